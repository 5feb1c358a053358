/* How every function of the library accesses the machine. */
#ifndef FAKEGPU_MACHINE_H
#define FAKEGPU_MACHINE_H

#include "nvml_abi.h"
#include "state.h"

#define EXPORT __attribute__((visibility("default")))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The machine; valid only between machine_enter() and machine_leave(). */
extern State *machine;

enum { NEEDS_INIT = 1, ANY_TIME = 0 };

/* Take the lock, count the call, apply the scripted faults. On any other code: not entered. */
nvmlReturn_t machine_enter(const char *function, int needs_init);
void machine_leave(void);

/* Release the lock for a while; 0 if the machine is gone afterwards (leave it all the same). */
int machine_pause(unsigned milliseconds);

/* Count nvmlInit and nvmlShutdown of this process. */
nvmlReturn_t machine_init(void);
nvmlReturn_t machine_shutdown(void);

/* Changes with every nvmlInit of a process, which invalidates earlier handles. */
uint32_t machine_epoch(void);

/* A GPU that hangs: callers wait here until it responds; other GPUs are unaffected. */
nvmlReturn_t machine_wait_for(uint32_t gpu);

int machine_privileged(void);
void machine_event(uint64_t type, uint64_t data, uint32_t gpu, uint32_t gi, uint32_t ci);

/* An NVML function: the exported wrapper enters the machine, the following body does the work. */
#define NVML_FUNCTION_WHEN(when, name, parameters, arguments)      \
    EXPORT nvmlReturn_t name parameters;                           \
    static nvmlReturn_t body_##name parameters;                    \
    nvmlReturn_t name parameters                                   \
    {                                                              \
        nvmlReturn_t code = machine_enter(#name, when);            \
        if (code == NVML_SUCCESS) {                                \
            code = body_##name arguments;                          \
            machine_leave();                                       \
        }                                                          \
        return code;                                               \
    }                                                              \
    static nvmlReturn_t body_##name parameters

#define NVML_FUNCTION(name, parameters, arguments) \
    NVML_FUNCTION_WHEN(NEEDS_INIT, name, parameters, arguments)

#define TRY(expression)                        \
    do {                                       \
        nvmlReturn_t try_code = (expression);  \
        if (try_code != NVML_SUCCESS)          \
            return try_code;                   \
    } while (0)

#define REQUIRE(condition, code) \
    do {                         \
        if (!(condition))        \
            return (code);       \
    } while (0)

#define REQUIRE_ARGUMENT(condition) REQUIRE(condition, NVML_ERROR_INVALID_ARGUMENT)
#define REQUIRE_PRIVILEGE() REQUIRE(machine_privileged(), NVML_ERROR_NO_PERMISSION)

nvmlReturn_t copy_text(char *target, unsigned size, const char *text);

#endif
