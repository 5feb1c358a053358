#include "rules.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

const Profile *profile_by_id(const Gpu *gpu, uint32_t id)
{
    for (unsigned i = 0; i < gpu->profile_count; i++)
        if (gpu->profiles[i].id == id)
            return &gpu->profiles[i];
    return NULL;
}

const Profile *profile_by_shape(const Gpu *gpu, uint32_t shape)
{
    for (unsigned i = 0; i < gpu->profile_count; i++)
        if (gpu->profiles[i].shape == shape)
            return &gpu->profiles[i];
    return NULL;
}

const Profile *profile_of(const Gpu *gpu, const GpuInstance *gi)
{
    return &gpu->profiles[gi->profile];
}

int placement_is_legal(const Profile *profile, uint32_t start, uint32_t size)
{
    for (unsigned i = 0; i < profile->start_count; i++)
        if (profile->starts[i] == start)
            return profile->size == size;
    return 0;
}

static void add(Engines *sum, const Engines *more)
{
    sum->slices += more->slices;
    sum->copy += more->copy;
    sum->decoders += more->decoders;
    sum->encoders += more->encoders;
    sum->jpeg += more->jpeg;
    sum->ofa += more->ofa;
}

static int within(const Engines *sum, const Engines *limit)
{
    return sum->slices <= limit->slices && sum->copy <= limit->copy
           && sum->decoders <= limit->decoders && sum->encoders <= limit->encoders
           && sum->jpeg <= limit->jpeg && sum->ofa <= limit->ofa;
}

int can_stand(const Gpu *gpu, const Profile *profile, uint32_t start)
{
    Engines sum = profile->engines;
    uint32_t same = 0, standing = 0;
    for (unsigned g = 0; g < MAX_GIS; g++) {
        const GpuInstance *gi = &gpu->gis[g];
        if (!gi->serial)
            continue;
        const Profile *other = profile_of(gpu, gi);
        if (start < gi->start + other->size && gi->start < start + profile->size)
            return 0;
        add(&sum, &other->engines);
        same += other == profile;
        standing++;
    }
    return standing < MAX_GIS && same < profile->max_instances && within(&sum, &gpu->limits);
}

int driver_choice(const Gpu *gpu, const Profile *profile, uint32_t *start)
{
    for (unsigned i = 0; i < profile->start_count; i++) {
        unsigned pick = gpu->descending ? profile->start_count - 1 - i : i;
        if (can_stand(gpu, profile, profile->starts[pick])) {
            *start = profile->starts[pick];
            return 0;
        }
    }
    return -1;
}

uint32_t remaining_capacity(const Gpu *gpu, const Profile *profile)
{
    static Gpu trial;   /* too large for a small stack; the machine is locked */
    uint32_t count = 0, start;
    trial = *gpu;
    const Profile *same = &trial.profiles[profile - gpu->profiles];
    while (driver_choice(&trial, same, &start) == 0 && place(&trial, same, start))
        count++;
    return count;
}

uint32_t gi_id(const Gpu *gpu, const Profile *profile, uint32_t start)
{
    uint32_t parts = gpu->units / profile->size;
    uint32_t part = start / profile->size;
    if (gpu->mirrored_ids && parts > 1)
        part ^= parts / 2;
    return parts - 1 + part;
}

GpuInstance *place(Gpu *gpu, const Profile *profile, uint32_t start)
{
    for (unsigned g = 0; g < MAX_GIS; g++) {
        GpuInstance *gi = &gpu->gis[g];
        if (gi->serial)
            continue;
        memset(gi, 0, sizeof(*gi));
        gi->id = gi_id(gpu, profile, start);
        gi->profile = (uint32_t)(profile - gpu->profiles);
        gi->start = start;
        gi->serial = ++machine->serials;
        return gi;
    }
    return NULL;
}

uint32_t ci_slices(uint32_t shape)
{
    static const uint32_t slices[NVML_COMPUTE_INSTANCE_PROFILE_COUNT] = {1, 2, 3, 4, 7, 8, 6, 0, 0};
    return shape < NVML_COMPUTE_INSTANCE_PROFILE_COUNT ? slices[shape] : 0;
}

uint32_t ci_count(const Profile *profile, uint32_t shape)
{
    uint32_t slices = ci_slices(shape);
    return slices ? machine->ci_counts[profile->engines.slices][slices] : 0;
}

int ci_legal_start(const Profile *profile, uint32_t shape, uint32_t start)
{
    uint32_t slices = ci_slices(shape);
    return slices && start % slices == 0 && start / slices < ci_count(profile, shape);
}

int ci_can_stand(const GpuInstance *gi, const Profile *profile, uint32_t shape, uint32_t start)
{
    uint32_t size = ci_slices(shape);
    if (!ci_legal_start(profile, shape, start))
        return 0;
    for (unsigned c = 0; c < MAX_CIS; c++) {
        const ComputeInstance *ci = &gi->cis[c];
        if (ci->serial && start < ci->start + ci->size && ci->start < start + size)
            return 0;
    }
    return 1;
}

int ci_room(const GpuInstance *gi, const Profile *profile, uint32_t shape)
{
    for (uint32_t start = 0; start < profile->engines.slices; start++)
        if (ci_can_stand(gi, profile, shape, start))
            return (int)start;
    return -1;
}

int process_is_on(const Process *process, uint32_t gpu, uint32_t gi, uint32_t ci)
{
    if (!process->used || process->gpu != gpu)
        return 0;
    if (gi != NVML_NOT_A_MIG_ID && process->gi != gi)
        return 0;
    if (ci != NVML_NOT_A_MIG_ID && process->ci != ci)
        return 0;
    return !process->while_alive || kill((pid_t)process->pid, 0) == 0 || errno != ESRCH;
}

int in_use(uint32_t gpu, uint32_t gi, uint32_t ci)
{
    for (unsigned p = 0; p < MAX_PROCESSES; p++)
        if (process_is_on(&machine->processes[p], gpu, gi, ci))
            return 1;
    return 0;
}
