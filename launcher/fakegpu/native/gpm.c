/* GPM: activity between two samples, of Hopper and newer boards. A sample belongs to a process.
 *
 * Nothing runs on a fake GPU: the activity is what a test gave the processes, at the two samples.
 */
#include "handles.h"
#include "rules.h"

#include <string.h>
#include <time.h>

enum { MAX_SAMPLES = 512 };

typedef struct {
    uint32_t serial, taken, gpu, gi;
    uint64_t at_ms;
    double percent;
} Sample;

static Sample samples[MAX_SAMPLES];
static uint32_t sample_serials;

static Sample *find_sample(nvmlGpmSample_t handle)
{
    uint32_t serial = (uint32_t)(uintptr_t)handle;
    for (unsigned i = 0; i < MAX_SAMPLES; i++)
        if (serial && samples[i].serial == serial)
            return &samples[i];
    return NULL;
}

static int has_gpm(const Gpu *gpu)
{
    return gpu->architecture >= NVML_DEVICE_ARCH_HOPPER;
}

NVML_FUNCTION(nvmlGpmQueryDeviceSupport, (nvmlDevice_t device, nvmlGpmSupport_t *support),
              (device, support))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(support != NULL);
    REQUIRE(support->version == 1, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    support->isSupportedDevice = has_gpm(at.gpu);
    return NVML_SUCCESS;
}

/* Buffers outlive nvmlShutdown, as memory does. */
NVML_FUNCTION(nvmlGpmSampleAlloc, (nvmlGpmSample_t *sample), (sample))
{
    REQUIRE_ARGUMENT(sample != NULL);
    for (unsigned i = 0; i < MAX_SAMPLES; i++) {
        if (samples[i].serial)
            continue;
        memset(&samples[i], 0, sizeof(samples[i]));
        samples[i].serial = ++sample_serials;
        *sample = (nvmlGpmSample_t)(uintptr_t)samples[i].serial;
        return NVML_SUCCESS;
    }
    return NVML_ERROR_MEMORY;
}

NVML_FUNCTION(nvmlGpmSampleFree, (nvmlGpmSample_t handle), (handle))
{
    Sample *sample = find_sample(handle);
    REQUIRE_ARGUMENT(sample != NULL);
    sample->serial = 0;
    return NVML_SUCCESS;
}

static nvmlReturn_t take(const Target *at, uint32_t gi, nvmlGpmSample_t handle)
{
    Sample *sample = find_sample(handle);
    REQUIRE_ARGUMENT(sample != NULL);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sample->taken = 1;
    sample->gpu = at->index;
    sample->gi = gi;
    sample->at_ms = (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
    sample->percent = 0;
    for (unsigned p = 0; p < MAX_PROCESSES; p++)
        if (process_is_on(&machine->processes[p], at->index, gi, NVML_NOT_A_MIG_ID))
            sample->percent += machine->processes[p].activity;
    if (sample->percent > 100)
        sample->percent = 100;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlGpmSampleGet, (nvmlDevice_t device, nvmlGpmSample_t sample), (device, sample))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE(has_gpm(at.gpu) && !at.gpu->mig_current, NVML_ERROR_NOT_SUPPORTED);
    return take(&at, NVML_NOT_A_MIG_ID, sample);
}

NVML_FUNCTION(nvmlGpmMigSampleGet, (nvmlDevice_t device, unsigned gi, nvmlGpmSample_t sample),
              (device, gi, sample))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE(has_gpm(at.gpu) && at.gpu->mig_current, NVML_ERROR_NOT_SUPPORTED);
    for (unsigned i = 0; i < MAX_GIS; i++)
        if (at.gpu->gis[i].serial && at.gpu->gis[i].id == gi)
            return take(&at, gi, sample);
    return NVML_ERROR_INVALID_ARGUMENT;
}

NVML_FUNCTION(nvmlGpmMetricsGet, (nvmlGpmMetricsGet_t *request), (request))
{
    REQUIRE_ARGUMENT(request != NULL);
    REQUIRE(request->version == 1, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    const Sample *first = find_sample(request->sample1), *second = find_sample(request->sample2);
    REQUIRE_ARGUMENT(first != NULL && second != NULL && first->taken && second->taken);
    REQUIRE_ARGUMENT(first->gpu == second->gpu && first->gi == second->gi);
    REQUIRE_ARGUMENT(second->at_ms > first->at_ms + 100);
    REQUIRE_ARGUMENT(request->numMetrics <= NVML_GPM_METRIC_MAX);
    for (unsigned i = 0; i < request->numMetrics; i++) {
        nvmlGpmMetric_t *metric = &request->metrics[i];
        int known = metric->metricId == NVML_GPM_METRIC_GRAPHICS_UTIL;
        metric->nvmlReturn = known ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
        metric->value = known ? (first->percent + second->percent) / 2 : 0;
    }
    return NVML_SUCCESS;
}
