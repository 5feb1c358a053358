/* Handles are numbers, not addresses: kind, GPU, process epoch and the serial of the object.
 * A handle to a destroyed object, or from before a shutdown, is INVALID_ARGUMENT and cannot crash.
 */
#ifndef FAKEGPU_HANDLES_H
#define FAKEGPU_HANDLES_H

#include "machine.h"

/* The object of a handle; `gi` and `ci` are NULL if it is a larger object. */
typedef struct {
    uint32_t index;   /* of the GPU */
    Gpu *gpu;
    GpuInstance *gi;
    ComputeInstance *ci;
} Target;

nvmlDevice_t gpu_handle(uint32_t gpu);
nvmlDevice_t mig_handle(uint32_t gpu, const ComputeInstance *ci);
nvmlGpuInstance_t gi_handle(uint32_t gpu, const GpuInstance *gi);
nvmlComputeInstance_t ci_handle(uint32_t gpu, const ComputeInstance *ci);

nvmlReturn_t find_gpu(nvmlDevice_t handle, Target *target);      /* a GPU, no MIG device */
nvmlReturn_t find_mig(nvmlDevice_t handle, Target *target);      /* a MIG device, no GPU */
nvmlReturn_t find_device(nvmlDevice_t handle, Target *target);   /* either */
nvmlReturn_t find_gi(nvmlGpuInstance_t handle, Target *target);
nvmlReturn_t find_ci(nvmlComputeInstance_t handle, Target *target);

#endif
