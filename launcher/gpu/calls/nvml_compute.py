"""Floor 1, the calls about the compute instances of a GPU instance."""

from __future__ import annotations

from launcher.gpu.calls import asking, nvml


def compute_profiles(instance: nvml.Handle) -> list[tuple[int, int, int]]:
    """Return (profile id, compute slices, most instances) of what a GPU instance can hold."""
    return _compute_profiles(instance, 1) or _compute_profiles(instance, 2)


def _compute_profiles(instance: nvml.Handle, version: int) -> list[tuple[int, int, int]]:
    call = "nvmlGpuInstanceGetComputeInstanceProfileInfo"
    refused = asking.UNKNOWABLE | asking.GONE | {asking.NO_PERMISSION}
    shapes = range(asking.pynvml_module().NVML_COMPUTE_INSTANCE_PROFILE_COUNT)
    infos = [asking.query(call, instance, shape, 0, version, unknown=refused) for shape in shapes]
    return [(i.id, i.sliceCount, i.instanceCount) for i in infos if i is not None]


def compute_instances(instance: nvml.Handle) -> list[tuple[int, int, nvml.Handle]]:
    """Return the compute instances of a GPU instance as (profile id, compute slices, handle)."""
    pynvml = asking.pynvml_module()
    refused = asking.UNKNOWABLE | asking.GONE | {asking.NO_PERMISSION}
    matches: list[tuple[int, int, nvml.Handle]] = []
    for profile_id, slices, most in compute_profiles(instance):
        handles = (pynvml.c_nvmlComputeInstance_t * max(1, most))()
        count = pynvml.c_uint(0)
        call = "nvmlGpuInstanceGetComputeInstances"
        result = asking.query(
            call, instance, profile_id, handles, pynvml.byref(count), unknown=refused
        )
        existing = [] if result is None else handles[: count.value]
        matches += [(profile_id, slices, handle) for handle in existing]
    return matches
