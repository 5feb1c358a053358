/* Sizes and offsets of every structure shared with Python, for the tests to compare. */
#include "machine.h"

#include <stddef.h>

typedef struct {
    const char *structure, *member;   /* member NULL: `value` is the size of the structure */
    uint64_t value;
} Row;

#define SIZE(type) {#type, NULL, sizeof(type)}
#define AT(type, member) {#type, #member, offsetof(type, member)}

static const Row rows[] = {
    SIZE(nvmlPciInfo_t), AT(nvmlPciInfo_t, domain), AT(nvmlPciInfo_t, bus),
    AT(nvmlPciInfo_t, pciDeviceId), AT(nvmlPciInfo_t, busId),
    SIZE(nvmlMemory_t), AT(nvmlMemory_t, total), AT(nvmlMemory_t, free), AT(nvmlMemory_t, used),
    SIZE(nvmlMemory_v2_t), AT(nvmlMemory_v2_t, version), AT(nvmlMemory_v2_t, total),
    AT(nvmlMemory_v2_t, reserved), AT(nvmlMemory_v2_t, free), AT(nvmlMemory_v2_t, used),
    SIZE(nvmlProcessInfo_t), AT(nvmlProcessInfo_t, pid), AT(nvmlProcessInfo_t, usedGpuMemory),
    AT(nvmlProcessInfo_t, gpuInstanceId), AT(nvmlProcessInfo_t, computeInstanceId),
    SIZE(nvmlGpuInstancePlacement_t), AT(nvmlGpuInstancePlacement_t, start),
    AT(nvmlGpuInstancePlacement_t, size),
    SIZE(nvmlGpuInstanceProfileInfo_t), AT(nvmlGpuInstanceProfileInfo_t, id),
    AT(nvmlGpuInstanceProfileInfo_t, sliceCount), AT(nvmlGpuInstanceProfileInfo_t, instanceCount),
    AT(nvmlGpuInstanceProfileInfo_t, multiprocessorCount),
    AT(nvmlGpuInstanceProfileInfo_t, ofaCount), AT(nvmlGpuInstanceProfileInfo_t, memorySizeMB),
    SIZE(nvmlGpuInstanceProfileInfo_v2_t), AT(nvmlGpuInstanceProfileInfo_v2_t, version),
    AT(nvmlGpuInstanceProfileInfo_v2_t, id), AT(nvmlGpuInstanceProfileInfo_v2_t, sliceCount),
    AT(nvmlGpuInstanceProfileInfo_v2_t, ofaCount),
    AT(nvmlGpuInstanceProfileInfo_v2_t, memorySizeMB), AT(nvmlGpuInstanceProfileInfo_v2_t, name),
    SIZE(nvmlGpuInstanceInfo_t), AT(nvmlGpuInstanceInfo_t, device), AT(nvmlGpuInstanceInfo_t, id),
    AT(nvmlGpuInstanceInfo_t, profileId), AT(nvmlGpuInstanceInfo_t, placement),
    SIZE(nvmlComputeInstancePlacement_t), AT(nvmlComputeInstancePlacement_t, start),
    AT(nvmlComputeInstancePlacement_t, size),
    SIZE(nvmlComputeInstanceProfileInfo_t), AT(nvmlComputeInstanceProfileInfo_t, id),
    AT(nvmlComputeInstanceProfileInfo_t, instanceCount),
    AT(nvmlComputeInstanceProfileInfo_t, sharedOfaCount),
    SIZE(nvmlComputeInstanceProfileInfo_v2_t), AT(nvmlComputeInstanceProfileInfo_v2_t, version),
    AT(nvmlComputeInstanceProfileInfo_v2_t, id),
    AT(nvmlComputeInstanceProfileInfo_v2_t, sharedOfaCount),
    AT(nvmlComputeInstanceProfileInfo_v2_t, name),
    SIZE(nvmlComputeInstanceInfo_t), AT(nvmlComputeInstanceInfo_t, device),
    AT(nvmlComputeInstanceInfo_t, gpuInstance), AT(nvmlComputeInstanceInfo_t, id),
    AT(nvmlComputeInstanceInfo_t, profileId), AT(nvmlComputeInstanceInfo_t, placement),
    SIZE(nvmlDeviceAttributes_t), AT(nvmlDeviceAttributes_t, multiprocessorCount),
    AT(nvmlDeviceAttributes_t, gpuInstanceSliceCount),
    AT(nvmlDeviceAttributes_t, computeInstanceSliceCount), AT(nvmlDeviceAttributes_t, memorySizeMB),
    SIZE(nvmlEventData_t), AT(nvmlEventData_t, device), AT(nvmlEventData_t, eventType),
    AT(nvmlEventData_t, eventData), AT(nvmlEventData_t, gpuInstanceId),
    AT(nvmlEventData_t, computeInstanceId),
    SIZE(nvmlValue_t),
    SIZE(nvmlFieldValue_t), AT(nvmlFieldValue_t, fieldId), AT(nvmlFieldValue_t, timestamp),
    AT(nvmlFieldValue_t, valueType), AT(nvmlFieldValue_t, nvmlReturn), AT(nvmlFieldValue_t, value),
    SIZE(Engines), SIZE(ComputeInstance), AT(ComputeInstance, start),
    SIZE(Profile), AT(Profile, id), AT(Profile, starts), AT(Profile, engines),
    SIZE(GpuInstance), AT(GpuInstance, start), AT(GpuInstance, cis),
    SIZE(Gpu), AT(Gpu, uuid), AT(Gpu, pci_device_id), AT(Gpu, mig_capable),
    AT(Gpu, mode_needs_reset), AT(Gpu, units), AT(Gpu, limits), AT(Gpu, profiles), AT(Gpu, gis),
    AT(Gpu, mig_uuids),
    SIZE(nvmlGpmSupport_t), AT(nvmlGpmSupport_t, isSupportedDevice),
    SIZE(nvmlGpmMetric_t), AT(nvmlGpmMetric_t, nvmlReturn), AT(nvmlGpmMetric_t, value),
    SIZE(nvmlGpmMetricsGet_t), AT(nvmlGpmMetricsGet_t, sample1),
    AT(nvmlGpmMetricsGet_t, sample2), AT(nvmlGpmMetricsGet_t, metrics),
    SIZE(Process), AT(Process, used), AT(Process, while_alive), AT(Process, activity), AT(Process, name),
    SIZE(Fault), AT(Fault, first), AT(Fault, active), AT(Fault, serial),
    SIZE(Counter), AT(Counter, calls),
    SIZE(Event), AT(Event, type), AT(Event, gpu),
    SIZE(State), AT(State, size), AT(State, gpu_count), AT(State, driver_version),
    AT(State, ci_counts), AT(State, gpus), AT(State, processes), AT(State, faults),
    AT(State, counters), AT(State, events),
};

/* Returns the table; `count` receives its length. */
EXPORT const Row *fakegpu_layout(uint32_t *count);
const Row *fakegpu_layout(uint32_t *count)
{
    *count = (uint32_t)COUNT_OF(rows);
    return rows;
}
