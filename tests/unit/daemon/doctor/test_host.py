"""Disks, the clock, and tools that fail, hang or are not there."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.config.settings import load
from launcher.daemon.doctor import clocks, disks
from launcher.daemon.machine import tools
from tests.unit.daemon.doctor.machine import host, tool

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("free_mib", "state"), [(5000, "ok"), (2047, "warning"), (63, "problem"), (0, "problem")]
)
def test_the_queues_disk_is_well_low_or_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, state: str
) -> None:
    usage = SimpleNamespace(free=free_mib * disks.MIB)
    monkeypatch.setattr(disks.shutil, "disk_usage", lambda path: usage)
    found = disks.state(tmp_path)
    assert (found.check, found.state) == ("disk", state)
    assert found.message == f"{free_mib} MiB free for {tmp_path}"


def test_dockers_disk_has_its_own_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=5000 * disks.MIB)
    monkeypatch.setattr(disks.shutil, "disk_usage", lambda path: usage)
    found = disks.docker(str(tmp_path))
    assert (found.check, found.state) == ("docker disk", "warning")
    assert "docker system prune" in (found.fix or "")


@pytest.mark.parametrize("root", [None, "", "/nowhere/at/all"])
def test_a_disk_that_cannot_be_looked_at_is_unknown(root: str | None) -> None:
    found = disks.docker(root)
    assert (found.state, "unknown" in found.message) == ("ok", True)


@pytest.mark.parametrize(
    ("synchronised", "state", "words"),
    [
        (True, "ok", ", synchronised"),
        (None, "ok", "unknown whether"),
        (False, "warning", "reports its clock as not synchronised"),
    ],
)
def test_the_clock_is_synchronised_or_not_or_unknown(
    synchronised: bool | None, state: str, words: str
) -> None:
    found = clocks.check(NOW, synchronised)
    assert (found.state, words in found.message) == (state, True)
    assert "2026-11-25 12:00 UTC" in found.message


def test_a_clock_before_the_program_was_written_is_a_problem_even_if_synchronised() -> None:
    found = clocks.check(0.0, synchronised=True)
    assert found.state == "problem"
    assert "1970-01-01" in found.message


def test_the_kernel_tells_of_its_clock_or_does_not() -> None:
    assert clocks.synchronised() in (True, False, None)


def test_a_tool_is_asked_for_what_it_prints(tmp_path: Path) -> None:
    machine = host(tmp_path)
    tool(machine, "say", 'echo "$@"; cat')
    assert machine.output_of("say", "a b", "c") == "a b c\n"


def test_a_tool_that_is_missing_fails_or_is_broken_tells_nothing(tmp_path: Path) -> None:
    machine = host(tmp_path)
    tool(machine, "fails", "echo half; exit 3")
    tool(machine, "broken", "exit 0")
    machine.file("/usr/bin/broken").write_text("#!/no/such/interpreter\n")
    assert [machine.output_of(name) for name in ("missing", "fails", "broken")] == [None] * 3


def test_a_tool_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(tools, "REPAIR_SECONDS", 0.1)
    machine = host(tmp_path)
    tool(machine, "hangs", "exec sleep 60")
    assert machine.output_of("hangs") is None
    assert machine.repair(["hangs", "now"]) == "`hangs now` did not end within 0.1 s"


def test_a_repair_says_why_it_did_not_succeed(tmp_path: Path) -> None:
    machine = host(tmp_path)
    tool(machine, "works", "exit 0")
    tool(machine, "fails", "echo one >&2; echo 'no permission' >&2; exit 4")
    tool(machine, "silent", "exit 4")
    tool(machine, "broken", "exit 0")
    machine.file("/usr/bin/broken").write_text("#!/no/such/interpreter\n")
    assert machine.repair(["works"]) is None
    assert machine.repair(["fails", "a b"]) == "`fails 'a b'` failed: no permission"
    assert machine.repair(["silent"]) == "`silent` failed: exit status 4"
    assert machine.repair(["missing"]) == "cannot run `missing`: missing is not installed"
    assert (machine.repair(["broken"]) or "").startswith("cannot run `broken`: ")


def test_with_a_fake_gpu_the_real_drivers_files_and_tools_are_out_of_reach(tmp_path: Path) -> None:
    real = load({"state_dir": str(tmp_path)}, {})
    fake = dataclasses.replace(real, fake_gpu="A30:", lock_dir=tmp_path)
    assert tools.host_of(real).root == Path("/")
    assert tools.host_of(fake) == tools.Host(tmp_path / "root", f"{tmp_path}/root/usr/bin")
    assert tools.host_of(fake).which("sh") is None
