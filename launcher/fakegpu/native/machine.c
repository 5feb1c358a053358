/* Attaching to the state file, the lock, call counting and scripted faults.
 *
 * The lock is flock() on the file: the kernel frees it when a process dies, so a killed holder
 * blocks no other process. Inside one process it is also a mutex, because flock does not
 * distinguish threads. After a fork the child attaches again, as with the real library.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

State *machine;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static char state_path[PATH_MAX];
static int state_fd = -1;
static unsigned init_count;
static uint32_t epoch;
static uint32_t boot_at_init;

static void detach(void)
{
    if (machine)
        munmap(machine, sizeof(State));
    if (state_fd >= 0)
        close(state_fd);
    machine = NULL;
    state_fd = -1;
    init_count = 0;
}

static void forked(void)
{
    /* The descriptor shares its flock with the parent, so the child must not use it. */
    pthread_mutex_init(&guard, NULL);
    detach();
}

__attribute__((constructor)) static void loaded(void)
{
    pthread_atfork(NULL, NULL, forked);
}

static int attach(void)
{
    if (machine)
        return 1;
    const char *path = state_path[0] ? state_path : getenv("FAKEGPU_STATE");
    if (!path || !*path)
        return 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    struct stat info;
    void *map = MAP_FAILED;
    if (fstat(fd, &info) == 0 && info.st_size == (off_t)sizeof(State))
        map = mmap(NULL, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    State *state = map == MAP_FAILED ? NULL : map;
    if (state && (state->magic != FAKE_MAGIC || state->version != FAKE_VERSION)) {
        munmap(map, sizeof(State));
        state = NULL;
    }
    if (!state) {
        close(fd);
        return 0;
    }
    machine = state;
    state_fd = fd;
    return 1;
}

/* Point this process at a machine; NULL goes back to $FAKEGPU_STATE. */
EXPORT int fakegpu_use(const char *path);
int fakegpu_use(const char *path)
{
    if (path && strlen(path) >= sizeof(state_path))
        return -1;
    pthread_mutex_lock(&guard);
    detach();
    strcpy(state_path, path ? path : "");
    int found = attach();
    pthread_mutex_unlock(&guard);
    return found ? 0 : -1;
}

/* With the mutex held; 0 if there is no machine. */
static int lock_file(void)
{
    if (!attach())
        return 0;
    while (flock(state_fd, LOCK_EX) != 0 && errno == EINTR)
        ;
    return 1;
}

static void unlock_state(void)
{
    if (machine)
        flock(state_fd, LOCK_UN);
    pthread_mutex_unlock(&guard);
}

static void sleep_ms(unsigned milliseconds)
{
    struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000L};
    nanosleep(&pause, NULL);
}

static void count_call(const char *function)
{
    for (unsigned i = 0; i < MAX_FUNCTIONS; i++) {
        Counter *counter = &machine->counters[i];
        if (!counter->name[0])
            strncpy(counter->name, function, sizeof(counter->name) - 1);
        if (strcmp(counter->name, function) == 0) {
            counter->calls++;
            return;
        }
    }
}

static Fault *next_fault(const char *function)
{
    Fault *found = NULL;
    for (unsigned i = 0; i < MAX_FAULTS; i++) {
        Fault *fault = &machine->faults[i];
        if (!fault->active)
            continue;
        if (strcmp(fault->function, function) != 0 && strcmp(fault->function, "*") != 0)
            continue;
        fault->seen++;
        if (!found && fault->seen >= fault->first && (!fault->last || fault->seen <= fault->last))
            found = fault;
    }
    return found;
}

/* Hang without the lock, so that only this caller hangs; stop when the fault is cleared. */
static int play_hang(const Fault *fault)
{
    unsigned slot = (unsigned)(fault - machine->faults);
    unsigned left = fault->hang_ms;
    uint32_t serial = fault->serial;
    while (left > 0) {
        unsigned step = left < 10 ? left : 10;
        if (!machine_pause(step))
            return 0;
        if (!machine->faults[slot].active || machine->faults[slot].serial != serial)
            break;
        left -= step;
    }
    return 1;
}

static nvmlReturn_t play_faults(const char *function)
{
    Fault *fault = next_fault(function);
    if (!fault)
        return NVML_SUCCESS;
    nvmlReturn_t code = (nvmlReturn_t)fault->code;
    if (fault->hang_ms && !play_hang(fault))
        return NVML_ERROR_UNINITIALIZED;
    return code;
}

nvmlReturn_t machine_enter(const char *function, int needs_init)
{
    pthread_mutex_lock(&guard);
    if (!lock_file()) {
        pthread_mutex_unlock(&guard);
        return needs_init ? NVML_ERROR_UNINITIALIZED : NVML_ERROR_DRIVER_NOT_LOADED;
    }
    count_call(function);
    nvmlReturn_t code = play_faults(function);
    if (code == NVML_SUCCESS && needs_init && (!init_count || boot_at_init != machine->boot))
        code = NVML_ERROR_UNINITIALIZED;
    if (code != NVML_SUCCESS)
        unlock_state();
    return code;
}

void machine_leave(void)
{
    unlock_state();
}

int machine_pause(unsigned milliseconds)
{
    unlock_state();
    sleep_ms(milliseconds);
    pthread_mutex_lock(&guard);
    return lock_file();
}

nvmlReturn_t machine_init(void)
{
    if (machine->init_code)
        return (nvmlReturn_t)machine->init_code;
    if (boot_at_init != machine->boot)
        init_count = 0;
    if (init_count == 0)
        epoch++;
    boot_at_init = machine->boot;
    init_count++;
    return NVML_SUCCESS;
}

nvmlReturn_t machine_shutdown(void)
{
    REQUIRE(init_count, NVML_ERROR_UNINITIALIZED);
    init_count--;
    return NVML_SUCCESS;
}

uint32_t machine_epoch(void)
{
    return (epoch + (uint32_t)getpid() * 31u) & 0xFFFFu;
}

nvmlReturn_t machine_wait_for(uint32_t gpu)
{
    while (machine->gpus[gpu].stuck)
        REQUIRE(machine_pause(10), NVML_ERROR_UNINITIALIZED);
    return NVML_SUCCESS;
}

int machine_privileged(void)
{
    if (machine->privilege == PRIVILEGE_ROOT)
        return geteuid() == 0;
    return machine->privilege == PRIVILEGE_EVERYONE;
}

void machine_event(uint64_t type, uint64_t data, uint32_t gpu, uint32_t gi, uint32_t ci)
{
    Event event = {++machine->event_sequence, type, data, gpu, gi, ci, 0};
    machine->events[event.sequence % MAX_EVENTS] = event;
}

nvmlReturn_t copy_text(char *target, unsigned size, const char *text)
{
    REQUIRE_ARGUMENT(target != NULL);
    REQUIRE(strlen(text) < size, NVML_ERROR_INSUFFICIENT_SIZE);
    strcpy(target, text);
    return NVML_SUCCESS;
}
