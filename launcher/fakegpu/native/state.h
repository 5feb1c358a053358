/* The machine: the whole state of the fake GPUs, in one file that every process maps.
 *
 * launcher/fakegpu/state.py declares the same layout with ctypes, and a test compares the two.
 * All members have a fixed width, so that every compiler adds the same padding. Readers and writers
 * hold flock(LOCK_EX) on the file; the kernel drops it when a holder dies.
 */
#ifndef FAKEGPU_STATE_H
#define FAKEGPU_STATE_H

#include <stdint.h>

#define FAKE_MAGIC 0x55504746u
#define FAKE_VERSION 2u

enum {
    MAX_GPUS = 16,
    MAX_PROFILES = 18,
    MAX_STARTS = 12,
    MAX_GIS = 8,
    GI_IDS = 15,
    MAX_CIS = 8,
    MAX_PROCESSES = 256,
    MAX_FAULTS = 64,
    MAX_FUNCTIONS = 96,
    MAX_EVENTS = 64,
    CI_SHAPES = 9
};

enum { PRIVILEGE_EVERYONE = 0, PRIVILEGE_ROOT = 1, PRIVILEGE_NOBODY = 2 };
enum { KIND_COMPUTE = 0, KIND_GRAPHICS = 1, KIND_MPS = 2 };

/* Resources that a shape uses; `limits` of a GPU are its total (its full profile). */
typedef struct {
    uint32_t slices, copy, decoders, encoders, jpeg, ofa;
} Engines;

typedef struct {
    uint64_t memory_mib;
    char name[96];
    uint32_t id;          /* the board's profile id */
    uint32_t shape;       /* NVML's enum: never the same number by design */
    uint32_t max_instances;
    uint32_t sm;
    uint32_t size;        /* memory units */
    uint32_t start_count;
    uint32_t starts[MAX_STARTS];
    Engines engines;
} Profile;

/* serial: never reused, so that a handle to a destroyed object stays invalid. 0 is a free slot. */
typedef struct {
    uint32_t serial, id, shape, start, size, reserved;
} ComputeInstance;

typedef struct {
    uint32_t serial, id, profile, start;   /* profile: index into the GPU's profiles */
    ComputeInstance cis[MAX_CIS];
} GpuInstance;

typedef struct {
    uint64_t memory_mib;
    char uuid[48];
    char name[96];
    char board[32];
    uint32_t pci_device_id, pci_subsystem_id, pci_bus, minor, architecture, cuda_major, cuda_minor;
    uint32_t mig_capable, mig_current, mig_pending;
    uint32_t mode_needs_reset, mode_survives_reboot, reset_works, query_without_mode;
    uint32_t units, mirrored_ids, descending, lost, stuck, profile_count;
    Engines limits;
    Profile profiles[MAX_PROFILES];
    GpuInstance gis[MAX_GIS];
    char mig_uuids[GI_IDS][MAX_CIS][48];   /* a function of GPU UUID, GI id and CI id only */
} Gpu;

typedef struct {
    uint64_t memory_bytes;
    uint32_t used, pid, gpu, gi, ci, kind;
    uint32_t while_alive;   /* removed when the real process of that pid ends */
    uint32_t activity;      /* of its GPU instance, in percent */
    char name[64];
} Process;

/* Applies to the calls first..last after it was set (last 0: no end). */
typedef struct {
    char function[64];   /* "*" is every function */
    uint64_t first, last, seen;
    uint32_t active, code, hang_ms, serial;
} Fault;

typedef struct {
    char name[64];
    uint64_t calls;
} Counter;

typedef struct {
    uint64_t sequence, type, data;
    uint32_t gpu, gi, ci, reserved;
} Event;

typedef struct {
    uint32_t magic, version;
    uint64_t size;
    uint32_t gpu_count, serials, boot, init_code, privilege, cuda_version, persistence, reserved;
    uint64_t event_sequence;
    char driver_version[80];
    char nvml_version[80];
    uint32_t ci_counts[CI_SHAPES][CI_SHAPES];   /* [slices of the GI][slices of the CI] -> how many */
    Gpu gpus[MAX_GPUS];
    Process processes[MAX_PROCESSES];
    Fault faults[MAX_FAULTS];
    Counter counters[MAX_FUNCTIONS];
    Event events[MAX_EVENTS];
} State;

#endif
