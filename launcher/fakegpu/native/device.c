/* Queries about a GPU or a MIG device. */
#include "handles.h"
#include "rules.h"

#include <stdio.h>
#include <string.h>

#define MIB (1024ull * 1024ull)

NVML_FUNCTION(nvmlDeviceGetName, (nvmlDevice_t device, char *name, unsigned length),
              (device, name, length))
{
    Target at;
    char text[sizeof(at.gpu->name) + 104];
    TRY(find_device(device, &at));
    if (!at.ci)
        return copy_text(name, length, at.gpu->name);
    const Profile *profile = profile_of(at.gpu, at.gi);
    uint32_t whole = profile->engines.slices;
    if (at.ci->size == whole)
        snprintf(text, sizeof(text), "%s MIG %s", at.gpu->name, profile->name);
    else
        snprintf(text, sizeof(text), "%s MIG %uc.%s", at.gpu->name, at.ci->size, profile->name);
    return copy_text(name, length, text);
}

NVML_FUNCTION(nvmlDeviceGetUUID, (nvmlDevice_t device, char *uuid, unsigned length),
              (device, uuid, length))
{
    Target at;
    TRY(find_device(device, &at));
    const char *text = at.ci ? at.gpu->mig_uuids[at.gi->id][at.ci->id] : at.gpu->uuid;
    return copy_text(uuid, length, text);
}

NVML_FUNCTION(nvmlDeviceGetMinorNumber, (nvmlDevice_t device, unsigned *minor), (device, minor))
{
    Target at;
    TRY(find_device(device, &at));
    REQUIRE(!at.ci, NVML_ERROR_NOT_SUPPORTED);
    REQUIRE_ARGUMENT(minor != NULL);
    *minor = at.gpu->minor;
    return NVML_SUCCESS;
}

static unsigned long long used_bytes(const Target *at)
{
    unsigned long long used = 0;
    uint32_t gi = at->gi ? at->gi->id : NVML_NOT_A_MIG_ID;
    uint32_t ci = at->ci ? at->ci->id : NVML_NOT_A_MIG_ID;
    for (unsigned p = 0; p < MAX_PROCESSES; p++) {
        const Process *process = &machine->processes[p];
        if (process->memory_bytes != NVML_VALUE_NOT_AVAILABLE
            && process_is_on(process, at->index, gi, ci))
            used += process->memory_bytes;
    }
    return used;
}

static nvmlReturn_t read_memory(nvmlDevice_t device, unsigned long long *total,
                                unsigned long long *used)
{
    Target at;
    TRY(find_device(device, &at));
    if (!at.ci && at.gpu->mig_current)
        REQUIRE_PRIVILEGE();
    *total = (at.ci ? profile_of(at.gpu, at.gi)->memory_mib : at.gpu->memory_mib) * MIB;
    *used = used_bytes(&at);
    if (*used > *total)
        *used = *total;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t *memory),
              (device, memory))
{
    REQUIRE_ARGUMENT(memory != NULL);
    TRY(read_memory(device, &memory->total, &memory->used));
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t *memory),
              (device, memory))
{
    REQUIRE_ARGUMENT(memory != NULL);
    REQUIRE(memory->version == NVML_STRUCT_VERSION(nvmlMemory_v2_t, 2),
            NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    TRY(read_memory(device, &memory->total, &memory->used));
    memory->reserved = 0;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetArchitecture, (nvmlDevice_t device, unsigned *architecture),
              (device, architecture))
{
    Target at;
    TRY(find_device(device, &at));
    REQUIRE_ARGUMENT(architecture != NULL);
    *architecture = at.gpu->architecture;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t device, int *major, int *minor),
              (device, major, minor))
{
    Target at;
    TRY(find_device(device, &at));
    REQUIRE_ARGUMENT(major != NULL && minor != NULL);
    *major = (int)at.gpu->cuda_major;
    *minor = (int)at.gpu->cuda_minor;
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, nvmlPciInfo_t *pci), (device, pci))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(pci != NULL);
    memset(pci, 0, sizeof(*pci));
    pci->bus = at.gpu->pci_bus;
    pci->pciDeviceId = at.gpu->pci_device_id;
    pci->pciSubSystemId = at.gpu->pci_subsystem_id;
    snprintf(pci->busIdLegacy, sizeof(pci->busIdLegacy), "0000:%02X:00.0", at.gpu->pci_bus & 0xFF);
    snprintf(pci->busId, sizeof(pci->busId), "00000000:%02X:00.0", at.gpu->pci_bus & 0xFF);
    return NVML_SUCCESS;
}

NVML_FUNCTION(nvmlDeviceGetPersistenceMode, (nvmlDevice_t device, unsigned *mode), (device, mode))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(mode != NULL);
    *mode = machine->persistence;
    return NVML_SUCCESS;
}

static int field_value(const Gpu *gpu, unsigned field, unsigned *value)
{
    if (field == NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED)
        *value = gpu->mig_capable && !gpu->mode_needs_reset;
    else if (field == NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE)
        *value = gpu->mig_capable && gpu->query_without_mode;
    else
        return 0;
    return 1;
}

NVML_FUNCTION(nvmlDeviceGetFieldValues, (nvmlDevice_t device, int count, nvmlFieldValue_t *values),
              (device, count, values))
{
    Target at;
    TRY(find_gpu(device, &at));
    REQUIRE_ARGUMENT(values != NULL && count > 0);
    for (int i = 0; i < count; i++) {
        unsigned value = 0;
        int known = field_value(at.gpu, values[i].fieldId, &value);
        values[i].nvmlReturn = known ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
        values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
        values[i].value.ullVal = value;
    }
    return NVML_SUCCESS;
}
