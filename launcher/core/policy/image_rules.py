"""Checks an image's environment, which NVIDIA's toolkit reads before the job does, and its working
directory, with the rules for a job's own.

The hook runs as root on the host with the container's environment. LD_PRELOAD there took over the
host (CVE-2025-23266, fixed in toolkit 1.17.8). A resource variable names devices other than the
leased ones (nvidia-container-toolkit, internal/config/image).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from launcher.core.policy.policy import has_no_controls, is_kernels

_LOADER = ("LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH")
_DEVICES = ("DOCKER_RESOURCE_", "NVIDIA_IMEX_CHANNELS", "NVIDIA_MIG_CONFIG_", "NVIDIA_MIG_MONITOR_")
_OLDER = {"amd64": ("386",), "arm64": ("arm",)}
TOOLKIT_FIXED = "1.17.8"
MOST_VOLUMES = 64
"""Docker creates a directory for each, in every container of the image."""


def names_a_library(environment: Mapping[str, str]) -> bool:
    """Whether an image changes the loader's behaviour: then the toolkit's version counts."""
    return any(environment.get(name) for name in _LOADER)


def runs_on(image: str, machine: str) -> bool:
    """Whether a machine runs programs of an image's architecture, both by Go's names (GOARCH).

    An unknown one counts as the machine's.
    """
    return "" in (image, machine) or image in (machine, *_OLDER.get(machine, ()))


def has_few_volumes(volumes: Sequence[str]) -> bool:
    """Whether Docker can create a container of an image in reasonable time."""
    return len(volumes) <= MOST_VOLUMES


def faults(
    environment: Mapping[str, str], working_dir: str | None, *, toolkit_fixed: bool
) -> Iterator[str]:
    """Yield why no job may run an image with this environment and WORKDIR.

    ``toolkit_fixed``: NVIDIA's toolkit of this machine ignores the image's loader variables.
    """
    if working_dir is not None and is_kernels(working_dir):
        yield f"its WORKDIR {working_dir!r} belongs to the kernel (rule image-directory)"
    elif working_dir is not None and not has_no_controls(working_dir):
        yield f"its WORKDIR {working_dir!r} has a control character (rule image-directory)"
    for name, value in environment.items():
        if name in _LOADER and value and not toolkit_fixed:
            yield (
                f"it sets {name}, which this machine's nvidia-container-toolkit would obey as root "
                f"(rule image-preload; allowed from toolkit {TOOLKIT_FIXED} on)"
            )
        if name.startswith(_DEVICES) and value:
            yield f"it sets {name}, which names other than leased devices (rule image-devices)"
