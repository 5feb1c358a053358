/* What a GPU refuses, and how its driver chooses: the only file with these rules. */
#ifndef FAKEGPU_RULES_H
#define FAKEGPU_RULES_H

#include "machine.h"

/* The profile with the board's profile id, or NULL. */
const Profile *profile_by_id(const Gpu *gpu, uint32_t id);
const Profile *profile_by_shape(const Gpu *gpu, uint32_t shape);
const Profile *profile_of(const Gpu *gpu, const GpuInstance *gi);

int placement_is_legal(const Profile *profile, uint32_t start, uint32_t size);

/* Whether an instance of the profile fits at start, beside the present ones. */
int can_stand(const Gpu *gpu, const Profile *profile, uint32_t start);

/* The driver's own choice of a placement: 0 and *start, or -1 if there is no room. */
int driver_choice(const Gpu *gpu, const Profile *profile, uint32_t *start);

uint32_t remaining_capacity(const Gpu *gpu, const Profile *profile);

/* The id that real GPUs assign to a GPU instance: a node of a binary tree over the GPU. Some
 * drivers swap the halves. */
uint32_t gi_id(const Gpu *gpu, const Profile *profile, uint32_t start);

GpuInstance *place(Gpu *gpu, const Profile *profile, uint32_t start);

/* Slices of a compute-instance shape (NVML's enum), 0 for an unsupported shape. */
uint32_t ci_slices(uint32_t shape);
uint32_t ci_count(const Profile *profile, uint32_t shape);
/* First compute slice of the GPU instance where the shape fits, or -1. */
int ci_room(const GpuInstance *gi, const Profile *profile, uint32_t shape);
int ci_can_stand(const GpuInstance *gi, const Profile *profile, uint32_t shape, uint32_t start);
int ci_legal_start(const Profile *profile, uint32_t shape, uint32_t start);

/* Whether a process is on the GPU (gi, ci NVML_NOT_A_MIG_ID), the GPU instance or the CI. */
int in_use(uint32_t gpu, uint32_t gi, uint32_t ci);
int process_is_on(const Process *process, uint32_t gpu, uint32_t gi, uint32_t ci);

#endif
