/* Compute instances: a GPU instance without one can run nothing and is not a MIG device. */
#include "handles.h"
#include "rules.h"

#include <stdio.h>
#include <string.h>

static nvmlReturn_t shaped(nvmlGpuInstance_t instance, unsigned shape, unsigned engines,
                           Target *at, const Profile **profile)
{
    TRY(find_gi(instance, at));
    REQUIRE_ARGUMENT(shape < NVML_COMPUTE_INSTANCE_PROFILE_COUNT);
    REQUIRE_ARGUMENT(engines < NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_COUNT);
    *profile = profile_of(at->gpu, at->gi);
    REQUIRE(ci_count(*profile, shape) > 0, NVML_ERROR_NOT_SUPPORTED);
    return NVML_SUCCESS;
}

static void fill(const Profile *profile, uint32_t shape, nvmlComputeInstanceProfileInfo_t *info)
{
    *info = (nvmlComputeInstanceProfileInfo_t){
        .id = shape,
        .sliceCount = ci_slices(shape),
        .instanceCount = ci_count(profile, shape),
        .multiprocessorCount = profile->sm * ci_slices(shape) / profile->engines.slices,
        .sharedCopyEngineCount = profile->engines.copy,
        .sharedDecoderCount = profile->engines.decoders,
        .sharedEncoderCount = profile->engines.encoders,
        .sharedJpegCount = profile->engines.jpeg,
        .sharedOfaCount = profile->engines.ofa,
    };
}

NVML_FUNCTION(nvmlGpuInstanceGetComputeInstanceProfileInfo,
              (nvmlGpuInstance_t instance, unsigned shape, unsigned engines,
               nvmlComputeInstanceProfileInfo_t *info),
              (instance, shape, engines, info))
{
    Target at;
    const Profile *profile;
    REQUIRE_ARGUMENT(info != NULL);
    TRY(shaped(instance, shape, engines, &at, &profile));
    fill(profile, shape, info);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlGpuInstanceGetComputeInstanceProfileInfoV,
              (nvmlGpuInstance_t instance, unsigned shape, unsigned engines,
               nvmlComputeInstanceProfileInfo_v2_t *info),
              (instance, shape, engines, info))
{
    Target at;
    const Profile *profile;
    nvmlComputeInstanceProfileInfo_t plain;
    REQUIRE_ARGUMENT(info != NULL);
    REQUIRE(info->version == NVML_STRUCT_VERSION(nvmlComputeInstanceProfileInfo_v2_t, 2),
            NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    TRY(shaped(instance, shape, engines, &at, &profile));
    fill(profile, shape, &plain);
    memcpy(&info->id, &plain, sizeof(plain));   /* v2 is a version, then v1, then a name */
    if (plain.sliceCount == profile->engines.slices)
        snprintf(info->name, sizeof(info->name), "MIG %.80s", profile->name);
    else
        snprintf(info->name, sizeof(info->name), "MIG %uc.%.80s", plain.sliceCount, profile->name);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlGpuInstanceGetComputeInstanceRemainingCapacity,
              (nvmlGpuInstance_t instance, unsigned shape, unsigned *count),
              (instance, shape, count))
{
    Target at;
    const Profile *profile;
    TRY(shaped(instance, shape, 0, &at, &profile));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(count != NULL);
    *count = 0;
    for (uint32_t start = 0; start < profile->engines.slices; start++)
        *count += (unsigned)ci_can_stand(at.gi, profile, shape, start);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlGpuInstanceGetComputeInstancePossiblePlacements,
              (nvmlGpuInstance_t instance, unsigned shape,
               nvmlComputeInstancePlacement_t *placements, unsigned *count),
              (instance, shape, placements, count))
{
    Target at;
    const Profile *profile;
    TRY(shaped(instance, shape, 0, &at, &profile));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(count != NULL);
    unsigned room = *count, total = ci_count(profile, shape), size = ci_slices(shape);
    *count = total;
    if (!placements)
        return NVML_SUCCESS;
    REQUIRE(room >= total, NVML_ERROR_INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < total; i++)
        placements[i] = (nvmlComputeInstancePlacement_t){i * size, size};
    return NVML_SUCCESS;
}

static uint32_t free_ci_id(const GpuInstance *gi)
{
    for (uint32_t id = 0; id < MAX_CIS; id++) {
        int taken = 0;
        for (unsigned c = 0; c < MAX_CIS; c++)
            taken |= gi->cis[c].serial && gi->cis[c].id == id;
        if (!taken)
            return id;
    }
    return MAX_CIS;
}

static nvmlReturn_t create(Target *at, const Profile *profile, unsigned shape, uint32_t start,
                           nvmlComputeInstance_t *instance)
{
    uint32_t id = free_ci_id(at->gi);
    REQUIRE(ci_can_stand(at->gi, profile, shape, start), NVML_ERROR_INSUFFICIENT_RESOURCES);
    for (unsigned c = 0; c < MAX_CIS && id < MAX_CIS; c++) {
        ComputeInstance *ci = &at->gi->cis[c];
        if (ci->serial)
            continue;
        *ci = (ComputeInstance){0, id, shape, start, ci_slices(shape), 0};
        ci->serial = ++machine->serials;
        *instance = ci_handle(at->index, ci);
        machine_event(NVML_EVENT_MIG_CONFIG, 0, at->index, at->gi->id, ci->id);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
}

NVML_FUNCTION(nvmlGpuInstanceCreateComputeInstance,
              (nvmlGpuInstance_t instance, unsigned shape, nvmlComputeInstance_t *created),
              (instance, shape, created))
{
    Target at;
    const Profile *profile;
    TRY(shaped(instance, shape, 0, &at, &profile));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(created != NULL);
    int start = ci_room(at.gi, profile, shape);
    REQUIRE(start >= 0, NVML_ERROR_INSUFFICIENT_RESOURCES);
    return create(&at, profile, shape, (uint32_t)start, created);
}

NVML_FUNCTION(nvmlGpuInstanceCreateComputeInstanceWithPlacement,
              (nvmlGpuInstance_t instance, unsigned shape,
               const nvmlComputeInstancePlacement_t *placement, nvmlComputeInstance_t *created),
              (instance, shape, placement, created))
{
    Target at;
    const Profile *profile;
    TRY(shaped(instance, shape, 0, &at, &profile));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(created != NULL && placement != NULL);
    REQUIRE_ARGUMENT(placement->size == ci_slices(shape));
    REQUIRE_ARGUMENT(ci_legal_start(profile, shape, placement->start));
    return create(&at, profile, shape, placement->start, created);
}

NVML_FUNCTION(nvmlComputeInstanceDestroy, (nvmlComputeInstance_t instance), (instance))
{
    Target at;
    TRY(find_ci(instance, &at));
    REQUIRE_PRIVILEGE();
    REQUIRE(!in_use(at.index, at.gi->id, at.ci->id), NVML_ERROR_IN_USE);
    machine_event(NVML_EVENT_MIG_CONFIG, 0, at.index, at.gi->id, at.ci->id);
    at.ci->serial = 0;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlGpuInstanceGetComputeInstances,
              (nvmlGpuInstance_t instance, unsigned shape, nvmlComputeInstance_t *instances,
               unsigned *count),
              (instance, shape, instances, count))
{
    Target at;
    const Profile *profile;
    TRY(shaped(instance, shape, 0, &at, &profile));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(instances != NULL && count != NULL);
    *count = 0;
    for (unsigned c = 0; c < MAX_CIS; c++)
        if (at.gi->cis[c].serial && at.gi->cis[c].shape == shape)
            instances[(*count)++] = ci_handle(at.index, &at.gi->cis[c]);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlGpuInstanceGetComputeInstanceById,
              (nvmlGpuInstance_t instance, unsigned id, nvmlComputeInstance_t *found),
              (instance, id, found))
{
    Target at;
    TRY(find_gi(instance, &at));
    REQUIRE_PRIVILEGE();
    REQUIRE_ARGUMENT(found != NULL);
    for (unsigned c = 0; c < MAX_CIS; c++) {
        if (at.gi->cis[c].serial && at.gi->cis[c].id == id) {
            *found = ci_handle(at.index, &at.gi->cis[c]);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML_FUNCTION(nvmlComputeInstanceGetInfo_v2,
              (nvmlComputeInstance_t instance, nvmlComputeInstanceInfo_t *info), (instance, info))
{
    Target at;
    TRY(find_ci(instance, &at));
    REQUIRE_ARGUMENT(info != NULL);
    /* The device is the MIG device itself, so that its creator can read the UUID. */
    *info = (nvmlComputeInstanceInfo_t){mig_handle(at.index, at.ci), gi_handle(at.index, at.gi),
                                        at.ci->id, at.ci->shape, {at.ci->start, at.ci->size}};
    return NVML_SUCCESS;
}
