#include "handles.h"

#include <stddef.h>

enum { IS_GPU = 0xD1, IS_MIG = 0xD2, IS_GI = 0xD3, IS_CI = 0xD4 };

_Static_assert(sizeof(void *) == sizeof(uint64_t), "handles are 64 bits");

static void *pack(unsigned kind, uint32_t gpu, uint32_t serial)
{
    uint64_t value = (uint64_t)kind << 56 | (uint64_t)gpu << 48;
    value |= (uint64_t)machine_epoch() << 32 | serial;
    return (void *)(uintptr_t)value;
}

nvmlDevice_t gpu_handle(uint32_t gpu)
{
    return pack(IS_GPU, gpu, 0);
}

nvmlDevice_t mig_handle(uint32_t gpu, const ComputeInstance *ci)
{
    return pack(IS_MIG, gpu, ci->serial);
}

nvmlGpuInstance_t gi_handle(uint32_t gpu, const GpuInstance *gi)
{
    return pack(IS_GI, gpu, gi->serial);
}

nvmlComputeInstance_t ci_handle(uint32_t gpu, const ComputeInstance *ci)
{
    return pack(IS_CI, gpu, ci->serial);
}

/* The GPU of a handle of the given kind, and the handle's serial. */
static nvmlReturn_t unpack(const void *handle, unsigned kind, Target *target, uint32_t *serial)
{
    uint64_t value = (uint64_t)(uintptr_t)handle;
    uint32_t gpu = (uint32_t)(value >> 48) & 0xFFu;
    REQUIRE_ARGUMENT(value >> 56 == kind);
    REQUIRE_ARGUMENT(((value >> 32) & 0xFFFFu) == machine_epoch());
    REQUIRE_ARGUMENT(gpu < machine->gpu_count);
    TRY(machine_wait_for(gpu));
    *target = (Target){gpu, &machine->gpus[gpu], NULL, NULL};
    *serial = (uint32_t)value;
    REQUIRE(!target->gpu->lost, NVML_ERROR_GPU_IS_LOST);
    return NVML_SUCCESS;
}

static nvmlReturn_t search_ci(Target *target, uint32_t serial)
{
    for (unsigned g = 0; serial && g < MAX_GIS; g++) {
        GpuInstance *gi = &target->gpu->gis[g];
        for (unsigned c = 0; gi->serial && c < MAX_CIS; c++) {
            if (gi->cis[c].serial == serial) {
                target->gi = gi;
                target->ci = &gi->cis[c];
                return NVML_SUCCESS;
            }
        }
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t find_gpu(nvmlDevice_t handle, Target *target)
{
    uint32_t serial;
    return unpack(handle, IS_GPU, target, &serial);
}

nvmlReturn_t find_mig(nvmlDevice_t handle, Target *target)
{
    uint32_t serial;
    TRY(unpack(handle, IS_MIG, target, &serial));
    return search_ci(target, serial);
}

nvmlReturn_t find_device(nvmlDevice_t handle, Target *target)
{
    if ((uint64_t)(uintptr_t)handle >> 56 == IS_GPU)
        return find_gpu(handle, target);
    return find_mig(handle, target);
}

nvmlReturn_t find_gi(nvmlGpuInstance_t handle, Target *target)
{
    uint32_t serial;
    TRY(unpack(handle, IS_GI, target, &serial));
    for (unsigned g = 0; serial && g < MAX_GIS; g++) {
        if (target->gpu->gis[g].serial == serial) {
            target->gi = &target->gpu->gis[g];
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t find_ci(nvmlComputeInstance_t handle, Target *target)
{
    uint32_t serial;
    TRY(unpack(handle, IS_CI, target, &serial));
    return search_ci(target, serial);
}
