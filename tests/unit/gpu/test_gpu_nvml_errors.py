from __future__ import annotations

import subprocess
import sys

import pytest

from launcher.errors import (
    DriverMismatch,
    DriverNotLoaded,
    GpuFault,
    GpuLost,
    GpuPermission,
    GpuUnavailable,
    LauncherError,
    NvmlLibraryMissing,
)
from launcher.gpu.calls import asking, nvml


@pytest.mark.parametrize(
    ("code", "cls", "word"),
    [
        (12, NvmlLibraryMissing, "--fake-gpu"),
        (9, DriverNotLoaded, "modprobe"),
        (18, DriverMismatch, "reboot"),
        (15, GpuLost, "Xid"),
        (4, GpuPermission, "root"),
        (17, GpuUnavailable, "daemon-reload"),
        (19, GpuFault, "doctor"),
        (999, GpuFault, "doctor"),
    ],
)
def test_a_return_code_becomes_one_error_that_says_what_to_do(
    code: int, cls: type[LauncherError], word: str
) -> None:
    error = asking.error_for("nvmlSomething", code)
    assert type(error) is cls
    assert "nvmlSomething" in str(error)
    assert word in str(error)


def test_a_code_without_a_name_is_shown_as_a_number() -> None:
    assert "code 12345" in str(asking.error_for("nvmlSomething", 12345))


@pytest.mark.parametrize(
    ("shape", "slices", "mib", "total", "name"),
    [
        (0, 1, 5952, 24576, "1g.6gb"),
        (8, 2, 11968, 24576, "2g.12gb+me"),
        (0, 1, 11008, 95830, "1g.12gb"),
        (9, 1, 22144, 95830, "1g.24gb"),
        (2, 3, 47488, 95830, "3g.47gb"),
        (15, 1, 24192, 97887, "1g.24gb+me.all"),
        (0xD, 1, 24192, 97887, "1g.24gb-me"),
        (0xC, 4, 97408, 97887, "4g.96gb+gfx"),
    ],
)
def test_a_profile_without_a_name_gets_the_one_nvidia_smi_prints(
    shape: int, slices: int, mib: int, total: int, name: str
) -> None:
    from launcher.gpu.inventory import profile_name

    info = nvml.ProfileInfo(14, shape, None, slices, 4, mib)
    assert profile_name(info, total) == name


def test_importing_the_room_does_not_import_nvidia_ml_py_or_tenacity() -> None:
    code = "import launcher.gpu, sys; print({'pynvml', 'tenacity'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
