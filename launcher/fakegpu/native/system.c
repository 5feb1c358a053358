/* Initialisation, shutdown, errors, versions, and finding GPUs. */
#include "handles.h"

#include <stdio.h>
#include <string.h>

NVML_FUNCTION_WHEN(ANY_TIME, nvmlInitWithFlags, (unsigned flags), (flags))
{
    (void)flags;
    return machine_init();
}

NVML_FUNCTION_WHEN(ANY_TIME, nvmlInit_v2, (void), ())
{
    return machine_init();
}

NVML_FUNCTION(nvmlShutdown, (void), ())
{
    return machine_shutdown();
}

/* NVML's own wording. */
EXPORT const char *nvmlErrorString(nvmlReturn_t result);
const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NO_PERMISSION: return "Insufficient Permissions";
    case NVML_ERROR_NOT_FOUND: return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_TIMEOUT: return "Timeout";
    case NVML_ERROR_FUNCTION_NOT_FOUND: return "Function Not Found";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    case NVML_ERROR_RESET_REQUIRED: return "GPU requires reset";
    case NVML_ERROR_OPERATING_SYSTEM: return "The operating system has blocked the request";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    case NVML_ERROR_IN_USE: return "In use by another client";
    case NVML_ERROR_MEMORY: return "Insufficient Memory";
    case NVML_ERROR_INSUFFICIENT_RESOURCES: return "Insufficient Resources";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH: return "Argument Version Mismatch";
    case NVML_ERROR_UNKNOWN: return "Unknown Error";
    }
    return "Unknown Error";
}

NVML_FUNCTION(nvmlSystemGetDriverVersion, (char *version, unsigned length), (version, length))
{
    return copy_text(version, length, machine->driver_version);
}

NVML_FUNCTION(nvmlSystemGetNVMLVersion, (char *version, unsigned length), (version, length))
{
    return copy_text(version, length, machine->nvml_version);
}

NVML_FUNCTION(nvmlSystemGetCudaDriverVersion, (int *version), (version))
{
    REQUIRE_ARGUMENT(version != NULL);
    *version = (int)machine->cuda_version;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlSystemGetCudaDriverVersion_v2, (int *version), (version))
{
    return body_nvmlSystemGetCudaDriverVersion(version);
}

NVML_FUNCTION(nvmlSystemGetProcessName, (unsigned pid, char *name, unsigned length),
              (pid, name, length))
{
    for (unsigned p = 0; p < MAX_PROCESSES; p++) {
        const Process *process = &machine->processes[p];
        if (process->used && process->pid == pid)
            return copy_text(name, length, process->name);
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML_FUNCTION(nvmlDeviceGetCount_v2, (unsigned *count), (count))
{
    REQUIRE_ARGUMENT(count != NULL);
    *count = machine->gpu_count;
    return NVML_SUCCESS;
}

static nvmlReturn_t give_gpu(uint32_t index, nvmlDevice_t *device)
{
    TRY(machine_wait_for(index));
    REQUIRE(!machine->gpus[index].lost, NVML_ERROR_GPU_IS_LOST);
    *device = gpu_handle(index);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t *device),
              (index, device))
{
    REQUIRE_ARGUMENT(device != NULL && index < machine->gpu_count);
    return give_gpu(index, device);
}

static nvmlReturn_t give_mig(uint32_t index, const char *uuid, nvmlDevice_t *device)
{
    Gpu *gpu = &machine->gpus[index];
    for (unsigned g = 0; g < MAX_GIS; g++) {
        const GpuInstance *gi = &gpu->gis[g];
        for (unsigned c = 0; gi->serial && c < MAX_CIS; c++) {
            const ComputeInstance *ci = &gi->cis[c];
            if (ci->serial && strcmp(gpu->mig_uuids[gi->id][ci->id], uuid) == 0) {
                TRY(machine_wait_for(index));
                REQUIRE(!gpu->lost, NVML_ERROR_GPU_IS_LOST);
                *device = mig_handle(index, ci);
                return NVML_SUCCESS;
            }
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML_FUNCTION(nvmlDeviceGetHandleByUUID, (const char *uuid, nvmlDevice_t *device), (uuid, device))
{
    REQUIRE_ARGUMENT(uuid != NULL && device != NULL);
    for (uint32_t i = 0; i < machine->gpu_count; i++) {
        if (strcmp(machine->gpus[i].uuid, uuid) == 0)
            return give_gpu(i, device);
        nvmlReturn_t code = give_mig(i, uuid, device);
        if (code != NVML_ERROR_NOT_FOUND)
            return code;
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML_FUNCTION(nvmlDeviceGetHandleByPciBusId_v2, (const char *bus_id, nvmlDevice_t *device),
              (bus_id, device))
{
    unsigned domain, bus, slot;
    REQUIRE_ARGUMENT(bus_id != NULL && device != NULL);
    REQUIRE_ARGUMENT(sscanf(bus_id, "%x:%x:%x.0", &domain, &bus, &slot) == 3);
    for (uint32_t i = 0; i < machine->gpu_count; i++)
        if (domain == 0 && slot == 0 && machine->gpus[i].pci_bus == bus)
            return give_gpu(i, device);
    return NVML_ERROR_NOT_FOUND;
}
