/* Processes on a GPU or a MIG device. With MIG mode on, other users' processes need privileges. */
#include "handles.h"
#include "rules.h"

#include <stddef.h>

static nvmlReturn_t list(nvmlDevice_t device, uint32_t kind, unsigned *count,
                         nvmlProcessInfo_t *infos)
{
    Target at;
    TRY(find_device(device, &at));
    REQUIRE_ARGUMENT(count != NULL && (infos != NULL || *count == 0));
    if (!at.ci && at.gpu->mig_current)
        REQUIRE_PRIVILEGE();
    unsigned room = *count, found = 0;
    uint32_t gi = at.gi ? at.gi->id : NVML_NOT_A_MIG_ID;
    uint32_t ci = at.ci ? at.ci->id : NVML_NOT_A_MIG_ID;
    for (unsigned p = 0; p < MAX_PROCESSES; p++) {
        const Process *process = &machine->processes[p];
        if (process->kind != kind || !process_is_on(process, at.index, gi, ci))
            continue;
        if (found < room)
            infos[found] = (nvmlProcessInfo_t){process->pid, process->memory_bytes, process->gi,
                                               process->ci};
        found++;
    }
    *count = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

/* The second version, of drivers before R510, has the same struct on the wire. */
#define PROCESS_LIST(name, kind)                                                  \
    NVML_FUNCTION(name, (nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos), \
                  (device, count, infos))                                         \
    {                                                                             \
        return list(device, kind, count, infos);                                  \
    }

PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3, KIND_COMPUTE)
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2, KIND_COMPUTE)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, KIND_GRAPHICS)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, KIND_GRAPHICS)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, KIND_MPS)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, KIND_MPS)
