/* Processes on a GPU or a MIG device. Other people's need privileges where MIG mode is on. */
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

NVML_FUNCTION(nvmlDeviceGetComputeRunningProcesses_v3,
              (nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos),
              (device, count, infos))
{
    return list(device, KIND_COMPUTE, count, infos);
}

NVML_FUNCTION(nvmlDeviceGetGraphicsRunningProcesses_v3,
              (nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos),
              (device, count, infos))
{
    return list(device, KIND_GRAPHICS, count, infos);
}

NVML_FUNCTION(nvmlDeviceGetMPSComputeRunningProcesses_v3,
              (nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos),
              (device, count, infos))
{
    return list(device, KIND_MPS, count, infos);
}
