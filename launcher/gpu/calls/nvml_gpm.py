"""Floor 1, GPM: activity of a GPU or GPU instance between two samples (Hopper and newer).

A sample is a buffer that the library allocates. The two samples must be more than 100 ms apart
(NVML reference, ``nvmlGpmMetricsGet``).
"""

from __future__ import annotations

from launcher.gpu.calls import asking, nvml

_REFUSED = asking.UNKNOWABLE | asking.GONE | {asking.NO_PERMISSION}


def is_supported(gpu: nvml.Handle) -> bool:
    """Return whether a GPU has GPM; older drivers and boards do not."""
    reply = asking.query("nvmlGpmQueryDeviceSupport", gpu, unknown=_REFUSED)
    return reply is not None and bool(reply.isSupportedDevice)


def allocated() -> nvml.Handle | None:
    """Return a new buffer for a sample, None if this driver has none."""
    return asking.query("nvmlGpmSampleAlloc", unknown=_REFUSED)


def free(sample: nvml.Handle) -> None:
    """Free a buffer; one that the library does not know is not an error."""
    asking.query("nvmlGpmSampleFree", sample, unknown=_REFUSED | {asking.UNINITIALIZED})


def sample_gpu(gpu: nvml.Handle, sample: nvml.Handle) -> bool:
    """Fill a buffer with the counters of a GPU whose MIG mode is off; False if it is refused."""
    return asking.query("nvmlGpmSampleGet", gpu, sample, unknown=_REFUSED) is not None


def sample_instance(gpu: nvml.Handle, gi: int, sample: nvml.Handle) -> bool:
    """Fill a buffer with the counters of a GPU instance; False if it is refused."""
    return asking.query("nvmlGpmMigSampleGet", gpu, gi, sample, unknown=_REFUSED) is not None


def graphics_percent(first: nvml.Handle, second: nvml.Handle) -> float | None:
    """Return the part of the time between two samples in which a compute or graphics app was
    active, in percent; None if it is unknown."""
    pynvml = asking.pynvml_module()
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    request.numMetrics = 1
    request.sample1, request.sample2 = first, second
    request.metrics[0].metricId = pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL
    reply = asking.query("nvmlGpmMetricsGet", request, unknown=_REFUSED)
    if reply is None or reply.metrics[0].nvmlReturn:
        return None
    value = float(reply.metrics[0].value)
    return value if 0.0 <= value <= 100.0 else None
