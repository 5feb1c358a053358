/* MIG mode, and MIG devices as NVML enumerates them. */
#include "handles.h"
#include "rules.h"

#include <string.h>

NVML_FUNCTION(nvmlDeviceGetMigMode, (nvmlDevice_t device, unsigned *current, unsigned *pending),
              (device, current, pending))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(current != NULL && pending != NULL);
    REQUIRE(at.gpu->mig_capable, NVML_ERROR_NOT_SUPPORTED);
    *current = at.gpu->mig_current;
    *pending = at.gpu->mig_pending;
    return NVML_SUCCESS;
}

static int has_instances(const Gpu *gpu)
{
    for (unsigned g = 0; g < MAX_GIS; g++)
        if (gpu->gis[g].serial)
            return 1;
    return 0;
}

/* Success with an activation status: the call can succeed without a change of the mode. */
static nvmlReturn_t activate(const Target *at)
{
    Gpu *gpu = at->gpu;
    if (gpu->mig_pending == gpu->mig_current)
        return NVML_SUCCESS;
    if (has_instances(gpu) || in_use(at->index, NVML_NOT_A_MIG_ID, NVML_NOT_A_MIG_ID))
        return NVML_ERROR_IN_USE;
    if (gpu->mode_needs_reset && !gpu->reset_works)
        return NVML_ERROR_RESET_REQUIRED;
    gpu->mig_current = gpu->mig_pending;
    machine_event(NVML_EVENT_MIG_CONFIG, 0, at->index, NVML_NOT_A_MIG_ID, NVML_NOT_A_MIG_ID);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceSetMigMode, (nvmlDevice_t device, unsigned mode, nvmlReturn_t *activation),
              (device, mode, activation))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(activation != NULL && mode <= 1);
    REQUIRE(at.gpu->mig_capable, NVML_ERROR_NOT_SUPPORTED);
    REQUIRE_PRIVILEGE();
    at.gpu->mig_pending = mode;
    *activation = activate(&at);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetMaxMigDeviceCount, (nvmlDevice_t device, unsigned *count),
              (device, count))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(count != NULL);
    *count = at.gpu->mig_capable && at.gpu->mig_current ? at.gpu->limits.slices : 0;
    return NVML_SUCCESS;
}

/* The GPU instance after `last` in the order of GI ids, or NULL. */
static const GpuInstance *next_gi(const Gpu *gpu, int last)
{
    const GpuInstance *found = NULL;
    for (unsigned g = 0; g < MAX_GIS; g++) {
        const GpuInstance *gi = &gpu->gis[g];
        if (gi->serial && (int)gi->id > last && (!found || gi->id < found->id))
            found = gi;
    }
    return found;
}

static const ComputeInstance *next_ci(const GpuInstance *gi, int last)
{
    const ComputeInstance *found = NULL;
    for (unsigned c = 0; c < MAX_CIS; c++) {
        const ComputeInstance *ci = &gi->cis[c];
        if (ci->serial && (int)ci->id > last && (!found || ci->id < found->id))
            found = ci;
    }
    return found;
}

/* The MIG device at an index: ids in order; a GPU instance without a compute instance is a hole. */
static const ComputeInstance *at_index(const Gpu *gpu, uint32_t index)
{
    uint32_t position = 0;
    const GpuInstance *gi = NULL;
    while ((gi = next_gi(gpu, gi ? (int)gi->id : -1)) != NULL) {
        const ComputeInstance *ci = next_ci(gi, -1);
        do {
            if (position++ == index)
                return ci;
        } while (ci && (ci = next_ci(gi, (int)ci->id)) != NULL);
    }
    return NULL;
}

NVML_FUNCTION(nvmlDeviceGetMigDeviceHandleByIndex,
              (nvmlDevice_t device, unsigned index, nvmlDevice_t *mig), (device, index, mig))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE(at.gpu->mig_capable && at.gpu->mig_current, NVML_ERROR_NOT_SUPPORTED);
    REQUIRE_ARGUMENT(mig != NULL && index < at.gpu->limits.slices);
    const ComputeInstance *ci = at_index(at.gpu, index);
    REQUIRE(ci != NULL, NVML_ERROR_NOT_FOUND);
    *mig = mig_handle(at.index, ci);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned *index), (device, index))
{
    Target at;
    TRY(find_device(device, &at));
    REQUIRE_ARGUMENT(index != NULL);
    *index = at.index;
    for (uint32_t i = 0; at.ci && i < at.gpu->limits.slices; i++)
        if (at_index(at.gpu, i) == at.ci)
            *index = i;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetDeviceHandleFromMigDeviceHandle,
              (nvmlDevice_t mig, nvmlDevice_t *device), (mig, device))
{
    Target at;
    TRY(find_mig(mig, &at));
    REQUIRE_ARGUMENT(device != NULL);
    *device = gpu_handle(at.index);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceIsMigDeviceHandle, (nvmlDevice_t device, unsigned *is_mig),
              (device, is_mig))
{
    Target at;
    TRY(find_device(device, &at));
    REQUIRE_ARGUMENT(is_mig != NULL);
    *is_mig = at.ci != NULL;
    return NVML_SUCCESS;
}

/* A GPU's own handle has neither id: NOT_SUPPORTED, as in the header. */
static nvmlReturn_t mig_ids(nvmlDevice_t device, Target *at)
{
    TRY(find_device(device, at));
    REQUIRE(at->ci != NULL, NVML_ERROR_NOT_SUPPORTED);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetGpuInstanceId, (nvmlDevice_t device, unsigned *id), (device, id))
{
    Target at;
    TRY(mig_ids(device, &at));
    REQUIRE_ARGUMENT(id != NULL);
    *id = at.gi->id;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetComputeInstanceId, (nvmlDevice_t device, unsigned *id), (device, id))
{
    Target at;
    TRY(mig_ids(device, &at));
    REQUIRE_ARGUMENT(id != NULL);
    *id = at.ci->id;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetAttributes_v2,
              (nvmlDevice_t device, nvmlDeviceAttributes_t *attributes), (device, attributes))
{
    Target at;
    TRY(mig_ids(device, &at));
    REQUIRE_ARGUMENT(attributes != NULL);
    const Profile *profile = profile_of(at.gpu, at.gi);
    const Engines *engines = &profile->engines;
    *attributes = (nvmlDeviceAttributes_t){
        .multiprocessorCount = profile->sm * at.ci->size / engines->slices,
        .sharedCopyEngineCount = engines->copy,
        .sharedDecoderCount = engines->decoders,
        .sharedEncoderCount = engines->encoders,
        .sharedJpegCount = engines->jpeg,
        .sharedOfaCount = engines->ofa,
        .gpuInstanceSliceCount = engines->slices,
        .computeInstanceSliceCount = at.ci->size,
        .memorySizeMB = profile->memory_mib,
    };
    return NVML_SUCCESS;
}
