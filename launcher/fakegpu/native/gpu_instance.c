/* GPU instances: profiles, placements, capacity, creation, destruction. */
#include "handles.h"
#include "rules.h"

#include <stdio.h>

static nvmlReturn_t mig_is_on(const Gpu *gpu)
{
    REQUIRE(gpu->mig_capable && gpu->mig_current, NVML_ERROR_NOT_SUPPORTED);
    return NVML_SUCCESS;
}

static nvmlReturn_t profiles_are_readable(const Gpu *gpu)
{
    return gpu->mig_capable && gpu->query_without_mode ? NVML_SUCCESS : mig_is_on(gpu);
}

static void fill_profile(const Profile *profile, nvmlGpuInstanceProfileInfo_t *info)
{
    *info = (nvmlGpuInstanceProfileInfo_t){
        .id = profile->id,
        .sliceCount = profile->engines.slices,
        .instanceCount = profile->max_instances,
        .multiprocessorCount = profile->sm,
        .copyEngineCount = profile->engines.copy,
        .decoderCount = profile->engines.decoders,
        .encoderCount = profile->engines.encoders,
        .jpegCount = profile->engines.jpeg,
        .ofaCount = profile->engines.ofa,
        .memorySizeMB = profile->memory_mib,
    };
}

static nvmlReturn_t fill_profile_v2(const Profile *profile, nvmlGpuInstanceProfileInfo_v2_t *info)
{
    nvmlGpuInstanceProfileInfo_t plain;
    REQUIRE(info->version == NVML_STRUCT_VERSION(nvmlGpuInstanceProfileInfo_v2_t, 2),
            NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    fill_profile(profile, &plain);
    info->id = plain.id;
    info->isP2pSupported = plain.isP2pSupported;
    info->sliceCount = plain.sliceCount;
    info->instanceCount = plain.instanceCount;
    info->multiprocessorCount = plain.multiprocessorCount;
    info->copyEngineCount = plain.copyEngineCount;
    info->decoderCount = plain.decoderCount;
    info->encoderCount = plain.encoderCount;
    info->jpegCount = plain.jpegCount;
    info->ofaCount = plain.ofaCount;
    info->memorySizeMB = plain.memorySizeMB;
    /* The driver writes "MIG 1g.6gb" here: callers strip the first word. */
    snprintf(info->name, sizeof(info->name), "MIG %.80s", profile->name);
    return NVML_SUCCESS;
}

static nvmlReturn_t shaped(nvmlDevice_t device, unsigned shape, const Profile **profile)
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(shape < NVML_GPU_INSTANCE_PROFILE_COUNT);
    TRY(profiles_are_readable(at.gpu));
    *profile = profile_by_shape(at.gpu, shape);
    REQUIRE(*profile != NULL, NVML_ERROR_NOT_SUPPORTED);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetGpuInstanceProfileInfo,
              (nvmlDevice_t device, unsigned shape, nvmlGpuInstanceProfileInfo_t *info),
              (device, shape, info))
{
    const Profile *profile;
    REQUIRE_ARGUMENT(info != NULL);
    TRY(shaped(device, shape, &profile));
    fill_profile(profile, info);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetGpuInstanceProfileInfoV,
              (nvmlDevice_t device, unsigned shape, nvmlGpuInstanceProfileInfo_v2_t *info),
              (device, shape, info))
{
    const Profile *profile;
    REQUIRE_ARGUMENT(info != NULL);
    TRY(shaped(device, shape, &profile));
    return fill_profile_v2(profile, info);
}

NVML_FUNCTION(nvmlDeviceGetGpuInstanceProfileInfoByIdV,
              (nvmlDevice_t device, unsigned id, nvmlGpuInstanceProfileInfo_v2_t *info),
              (device, id, info))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(info != NULL);
    TRY(profiles_are_readable(at.gpu));
    const Profile *profile = profile_by_id(at.gpu, id);
    REQUIRE_ARGUMENT(profile != NULL);
    return fill_profile_v2(profile, info);
}

/* The checks of every call with a profile id, in the order of the header. */
static nvmlReturn_t profiled(nvmlDevice_t device, unsigned id, Target *at, const Profile **profile)
{
    TRY(find_gpu(device, at));
    TRY(mig_is_on(at->gpu));
    REQUIRE_PRIVILEGE();
    *profile = profile_by_id(at->gpu, id);
    REQUIRE_ARGUMENT(*profile != NULL);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetGpuInstanceRemainingCapacity,
              (nvmlDevice_t device, unsigned id, unsigned *count), (device, id, count))
{
    Target at;
    const Profile *profile;
    TRY(profiled(device, id, &at, &profile));
    REQUIRE_ARGUMENT(count != NULL);
    *count = remaining_capacity(at.gpu, profile);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetGpuInstancePossiblePlacements_v2,
              (nvmlDevice_t device, unsigned id, nvmlGpuInstancePlacement_t *placements,
               unsigned *count),
              (device, id, placements, count))
{
    Target at;
    const Profile *profile;
    TRY(profiled(device, id, &at, &profile));
    REQUIRE_ARGUMENT(count != NULL);
    unsigned room = *count;
    *count = profile->start_count;
    if (!placements)
        return NVML_SUCCESS;
    REQUIRE(room >= profile->start_count, NVML_ERROR_INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < profile->start_count; i++)
        placements[i] = (nvmlGpuInstancePlacement_t){profile->starts[i], profile->size};
    return NVML_SUCCESS;
}

static nvmlReturn_t create(Target *at, const Profile *profile, uint32_t start,
                           nvmlGpuInstance_t *instance)
{
    REQUIRE(can_stand(at->gpu, profile, start), NVML_ERROR_INSUFFICIENT_RESOURCES);
    GpuInstance *gi = place(at->gpu, profile, start);
    REQUIRE(gi != NULL, NVML_ERROR_INSUFFICIENT_RESOURCES);
    *instance = gi_handle(at->index, gi);
    machine_event(NVML_EVENT_MIG_CONFIG, 0, at->index, gi->id, NVML_NOT_A_MIG_ID);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceCreateGpuInstance,
              (nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *instance),
              (device, id, instance))
{
    Target at;
    const Profile *profile;
    uint32_t start = 0;
    TRY(profiled(device, id, &at, &profile));
    REQUIRE_ARGUMENT(instance != NULL);
    REQUIRE(driver_choice(at.gpu, profile, &start) == 0, NVML_ERROR_INSUFFICIENT_RESOURCES);
    return create(&at, profile, start, instance);
}

NVML_FUNCTION(nvmlDeviceCreateGpuInstanceWithPlacement,
              (nvmlDevice_t device, unsigned id, const nvmlGpuInstancePlacement_t *placement,
               nvmlGpuInstance_t *instance),
              (device, id, placement, instance))
{
    Target at;
    const Profile *profile;
    TRY(profiled(device, id, &at, &profile));
    REQUIRE_ARGUMENT(instance != NULL && placement != NULL);
    REQUIRE_ARGUMENT(placement_is_legal(profile, placement->start, placement->size));
    return create(&at, profile, placement->start, instance);
}

NVML_FUNCTION(nvmlGpuInstanceDestroy, (nvmlGpuInstance_t instance), (instance))
{
    Target at;
    TRY(find_gi(instance, &at));
    REQUIRE_PRIVILEGE();
    for (unsigned c = 0; c < MAX_CIS; c++)
        REQUIRE(!at.gi->cis[c].serial, NVML_ERROR_IN_USE);
    REQUIRE(!in_use(at.index, at.gi->id, NVML_NOT_A_MIG_ID), NVML_ERROR_IN_USE);
    machine_event(NVML_EVENT_MIG_CONFIG, 0, at.index, at.gi->id, NVML_NOT_A_MIG_ID);
    at.gi->serial = 0;
    return NVML_SUCCESS;
}

/* As in the header: the caller's array has room for the instance count, `count` is output only. */
NVML_FUNCTION(nvmlDeviceGetGpuInstances,
              (nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *instances, unsigned *count),
              (device, id, instances, count))
{
    Target at;
    const Profile *profile;
    TRY(profiled(device, id, &at, &profile));
    REQUIRE_ARGUMENT(instances != NULL && count != NULL);
    *count = 0;
    for (unsigned g = 0; g < MAX_GIS; g++) {
        const GpuInstance *gi = &at.gpu->gis[g];
        if (gi->serial && profile_of(at.gpu, gi) == profile)
            instances[(*count)++] = gi_handle(at.index, gi);
    }
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetGpuInstanceById,
              (nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *instance),
              (device, id, instance))
{
    Target at;
    TRY(find_gpu(device, &at));
    TRY(mig_is_on(at.gpu));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(instance != NULL);
    for (unsigned g = 0; g < MAX_GIS; g++) {
        const GpuInstance *gi = &at.gpu->gis[g];
        if (gi->serial && gi->id == id) {
            *instance = gi_handle(at.index, gi);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML_FUNCTION(nvmlGpuInstanceGetInfo, (nvmlGpuInstance_t instance, nvmlGpuInstanceInfo_t *info),
              (instance, info))
{
    Target at;
    TRY(find_gi(instance, &at));
    REQUIRE_ARGUMENT(info != NULL);
    const Profile *profile = profile_of(at.gpu, at.gi);
    *info = (nvmlGpuInstanceInfo_t){
        gpu_handle(at.index), at.gi->id, profile->id, {at.gi->start, profile->size}};
    return NVML_SUCCESS;
}
