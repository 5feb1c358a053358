"""The library's structures against nvidia-ml-py's own ctypes, and against the Python side."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pynvml
import pytest

from launcher.errors import LauncherError, UserError
from launcher.fakegpu import build_library, state
from launcher.fakegpu.build import FLAGS, SONAME, compile_c, sources
from launcher.fakegpu.hook import StubHook
from tests.support.machines import build_directory  # noqa: F401  (a fixture)

PYNVML_NAMES = {
    "nvmlPciInfo_t": "nvmlPciInfo_t",
    "nvmlDeviceAttributes_t": "c_nvmlDeviceAttributes",
}


class Row(ctypes.Structure):
    _fields_ = (
        ("structure", ctypes.c_char_p),
        ("member", ctypes.c_char_p),
        ("value", ctypes.c_uint64),
    )


@pytest.fixture
def rows(build_directory: Path) -> list[tuple[str, str | None, int]]:  # noqa: F811
    library = ctypes.CDLL(str(build_library(build_directory)))
    library.fakegpu_layout.restype = ctypes.POINTER(Row)
    count = ctypes.c_uint32()
    table = library.fakegpu_layout(ctypes.byref(count))
    found = []
    for i in range(count.value):
        member = table[i].member
        name = None if member is None else member.decode()
        found.append((table[i].structure.decode(), name, int(table[i].value)))
    return found


C_NAMES = {"MachineState": "State", "GpuState": "Gpu", "ProfileState": "Profile"}
"""What the C side calls a structure of ours, where it is another name."""


def shared() -> dict[str, type]:
    """The structures that C and Python share, by the names of the C side."""
    return {C_NAMES.get(cls.__name__, cls.__name__): cls for cls in state.SHARED}


def python_type(structure: str) -> type:
    ours = shared()
    if structure in ours:
        return ours[structure]
    return getattr(pynvml, PYNVML_NAMES.get(structure, f"c_{structure}"))


def test_every_size_and_offset_is_the_one_nvidia_ml_py_expects(
    rows: list[tuple[str, str | None, int]],
) -> None:
    for structure, member, value in rows:
        cls = python_type(structure)
        seen = ctypes.sizeof(cls) if member is None else getattr(cls, member).offset
        assert seen == value, f"{structure}.{member}"


def test_every_shared_structure_is_in_the_table(rows: list[tuple[str, str | None, int]]) -> None:
    assert shared().keys() <= {structure for structure, _, _ in rows}


@pytest.mark.parametrize(
    ("structure", "version"),
    [
        ("c_nvmlMemory_v2_t", pynvml.nvmlMemory_v2),
        ("c_nvmlGpuInstanceProfileInfo_v2_t", pynvml.nvmlGpuInstanceProfileInfo_v2),
        ("c_nvmlComputeInstanceProfileInfo_v2_t", pynvml.nvmlComputeInstanceProfileInfo_v2),
    ],
)
def test_a_version_field_is_the_size_and_the_version(structure: str, version: int) -> None:
    assert version == ctypes.sizeof(getattr(pynvml, structure)) | 2 << 24


def test_the_library_has_the_soname_that_nvidia_ml_py_asks_for(
    build_directory: Path,  # noqa: F811
) -> None:
    library = build_library(build_directory)
    dynamic = subprocess.run(
        ["readelf", "-d", library], capture_output=True, text=True, check=True
    ).stdout
    assert f"Library soname: [{SONAME}]" in dynamic


def test_nothing_but_nvml_and_its_own_entry_points_is_exported(
    build_directory: Path,  # noqa: F811
) -> None:
    table = subprocess.run(
        ["nm", "-D", "--defined-only", build_library(build_directory)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[-1] for line in table.splitlines()}
    assert {name for name in names if not name.startswith("nvml")} == {
        "fakegpu_layout",
        "fakegpu_use",
    }


def test_the_c_code_has_no_warning(tmp_path: Path) -> None:
    strict = ["-Wall", "-Wextra", "-Werror"]
    files = [path for path in sources() if path.suffix == ".c"]
    compile_c(files, tmp_path / SONAME, [*FLAGS, *strict])
    hook = files[0].parent / "hook" / "hook.c"
    compile_c([hook], tmp_path / "hook", ["-std=c11", "-D_GNU_SOURCE", "-O1", *strict])


def test_a_second_build_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_library(tmp_path)
    made = first.stat().st_mtime_ns
    assert build_library(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in first.parent.iterdir()] == [SONAME]


def test_without_a_compiler_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UserError) as caught:
        build_library(tmp_path)
    assert "apt-get install gcc libc6-dev" in str(caught.value)
    with pytest.raises(UserError):
        StubHook(tmp_path).build()


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -include no-such-header.h")
    with pytest.raises(LauncherError) as caught:
        build_library(tmp_path)
    assert "no-such-header.h" in str(caught.value)
