/* Event sets: they belong to a process; the events themselves are in the machine. */
#include "handles.h"

#include <string.h>
#include <time.h>

enum { MAX_SETS = 16 };

typedef struct {
    uint32_t serial, epoch;
    uint64_t seen;
    unsigned long long types[MAX_GPUS];
} EventSet;

static EventSet sets[MAX_SETS];
static uint32_t set_serials;

static EventSet *find_set(nvmlEventSet_t handle)
{
    uint32_t serial = (uint32_t)(uintptr_t)handle;
    for (unsigned i = 0; i < MAX_SETS; i++)
        if (serial && sets[i].serial == serial && sets[i].epoch == machine_epoch())
            return &sets[i];
    return NULL;
}

NVML_FUNCTION(nvmlEventSetCreate, (nvmlEventSet_t *set), (set))
{
    REQUIRE_ARGUMENT(set != NULL);
    for (unsigned i = 0; i < MAX_SETS; i++) {
        if (sets[i].serial && sets[i].epoch == machine_epoch())
            continue;   /* an event set from before nvmlShutdown is invalid */
        memset(&sets[i], 0, sizeof(sets[i]));
        sets[i].serial = ++set_serials;
        sets[i].epoch = machine_epoch();
        sets[i].seen = machine->event_sequence;
        *set = (nvmlEventSet_t)(uintptr_t)sets[i].serial;
        return NVML_SUCCESS;
    }
    return NVML_ERROR_MEMORY;
}

NVML_FUNCTION(nvmlEventSetFree, (nvmlEventSet_t handle), (handle))
{
    EventSet *set = find_set(handle);
    REQUIRE_ARGUMENT(set != NULL);
    set->serial = 0;
    return NVML_SUCCESS;
}

static unsigned long long supported(const Gpu *gpu)
{
    return NVML_EVENT_XID | (gpu->mig_capable ? NVML_EVENT_MIG_CONFIG : 0);
}

NVML_FUNCTION(nvmlDeviceGetSupportedEventTypes, (nvmlDevice_t device, unsigned long long *types),
              (device, types))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(types != NULL);
    *types = supported(at.gpu);
    return NVML_SUCCESS;
}

/* Events are registered on the GPU: a MIG handle is NOT_SUPPORTED. */
NVML_FUNCTION(nvmlDeviceRegisterEvents,
              (nvmlDevice_t device, unsigned long long types, nvmlEventSet_t handle),
              (device, types, handle))
{
    Target at;
    EventSet *set = find_set(handle);
    TRY(find_device(device, &at));
    REQUIRE(!at.ci, NVML_ERROR_NOT_SUPPORTED);
    REQUIRE_ARGUMENT(set != NULL);
    REQUIRE((types & ~supported(at.gpu)) == 0, NVML_ERROR_NOT_SUPPORTED);
    set->types[at.index] |= types;
    return NVML_SUCCESS;
}

/* The next event of the set, oldest first; events that left the ring are lost. */
static int take(EventSet *set, nvmlEventData_t *data)
{
    while (set->seen < machine->event_sequence) {
        const Event *event = &machine->events[++set->seen % MAX_EVENTS];
        if (event->sequence != set->seen || event->gpu >= machine->gpu_count)
            continue;
        if (!(set->types[event->gpu] & event->type))
            continue;
        if (event->gi != NVML_NOT_A_MIG_ID && !machine_privileged())
            continue;   /* unprivileged clients see events of the whole GPU only */
        *data = (nvmlEventData_t){gpu_handle(event->gpu), event->type, event->data, event->gi,
                                  event->ci};
        return 1;
    }
    return 0;
}

static unsigned long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000ull + (unsigned long long)now.tv_nsec / 1000000ull;
}

NVML_FUNCTION(nvmlEventSetWait_v2, (nvmlEventSet_t handle, nvmlEventData_t *data, unsigned timeout),
              (handle, data, timeout))
{
    REQUIRE_ARGUMENT(data != NULL);
    unsigned long long end = now_ms() + timeout;
    for (;;) {
        EventSet *set = find_set(handle);
        REQUIRE_ARGUMENT(set != NULL);
        if (take(set, data))
            return NVML_SUCCESS;
        REQUIRE(now_ms() < end, NVML_ERROR_TIMEOUT);
        REQUIRE(machine_pause(20), NVML_ERROR_UNINITIALIZED);
    }
}
