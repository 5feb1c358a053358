"""What NVIDIA's container toolkit says where it cannot give a GPU, in its own words.

Taken from reports of users; ``{uuid}`` is the device that was asked for.
"""

from __future__ import annotations

from launcher.engine.outcome import Refusal

CLI = "nvidia-container-cli: "
MODE = "Auto-detected mode as 'legacy'\n"
MERGED = "/var/lib/docker/overlay2/00eb3e/merged"
NO_FILE = "no such file or directory"

SAYS: tuple[tuple[str, Refusal], ...] = (
    (CLI + "initialization error: nvml error: driver not loaded", Refusal.GPU_SYSTEM),
    (
        MODE + CLI + "initialization error: nvml error: driver/library version mismatch",
        Refusal.GPU_SYSTEM,
    ),
    (
        MODE + CLI + "initialization error: load library failed: libnvidia-ml.so.1: cannot open "
        f"shared object file: {NO_FILE}",
        Refusal.GPU_SYSTEM,
    ),
    (
        "nvidia-container-cli.real: initialization error: driver error: failed to process request",
        Refusal.GPU_SYSTEM,
    ),
    (MODE + CLI + "detection error: nvml error: unknown error", Refusal.GPU_SYSTEM),
    (
        "Using requested mode 'legacy'\n" + CLI + "detection error: nvml error: gpu requires reset",
        Refusal.GPU_SYSTEM,
    ),
    (
        CLI + f"detection error: open failed: /usr/lib/libnvidia-tls.so.570.153.02: {NO_FILE}",
        Refusal.GPU_SYSTEM,
    ),
    (CLI + "container error: cgroup subsystem devices not found", Refusal.GPU_SYSTEM),
    (
        CLI + "permission error: capability change failed: operation not permitted",
        Refusal.GPU_SYSTEM,
    ),
    (
        MODE + CLI + "mount error: failed to add device rules: unable to find any existing device "
        "filters attached to the cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not "
        "permitted",
        Refusal.GPU_SYSTEM,
    ),
    (
        CLI + "mount error: open failed: /sys/fs/cgroup/devices/system.slice/docker-1.scope/"
        f"devices.allow: {NO_FILE}",
        Refusal.GPU_SYSTEM,
    ),
    (CLI + f"ldcache error: open failed: /sbin/ldconfig.real: {NO_FILE}", Refusal.GPU_SYSTEM),
    (
        "/usr/bin/"
        + CLI
        + "error while loading shared libraries: libnvidia-container.so.1: cannot "
        f"open shared object file: {NO_FILE}",
        Refusal.GPU_SYSTEM,
    ),
    (
        "invoking the NVIDIA Container Runtime Hook directly (e.g. --gpus) is not supported",
        Refusal.GPU_SYSTEM,
    ),
    (MODE + CLI + "device error: {uuid}: unknown device", Refusal.DEVICE_GONE),
    (CLI + "device error: unknown device id: {uuid}", Refusal.DEVICE_GONE),
    (
        MODE + CLI + "requirement error: unsatisfied condition: cuda>=12.8, please update your "
        "driver to a newer version, or use an earlier cuda container",
        Refusal.USER,
    ),
    (
        CLI
        + "requirement error: unsatisfied condition: nvidia-container-cli: initialization error: "
        "nvml error: driver not loaded",
        Refusal.USER,
    ),
    (
        CLI + f"mount error: file creation failed: {MERGED}/usr/lib/aarch64-linux-gnu/"
        "libnvidia-fatbinaryloader.so.440.18: file exists",
        Refusal.USER,
    ),
    (CLI + f"mount error: stat failed: /dev/nvidia-caps/nvidia-cap21: {NO_FILE}", Refusal.INFRA),
    (
        CLI + f"mount error: stat failed: /proc/driver/nvidia/gpus/0000:01:00.0: {NO_FILE}",
        Refusal.INFRA,
    ),
    (CLI + "ldcache error: process /sbin/ldconfig failed with error code: 1", Refusal.INFRA),
    (CLI + "ldcache error: process /sbin/ldconfig terminated with signal 9", Refusal.INFRA),
)
