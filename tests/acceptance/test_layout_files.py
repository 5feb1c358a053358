"""``launch layout`` with files, ``assert``, and several GPUs: the installed command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.mig_parted_rules import FILES

DEFAULT = FILES / "config-default.yaml"


OnMachine = Callable[[str], Shell]


@pytest.fixture
def on(make_daemon: MakeDaemon, shell_for: MakeShell) -> OnMachine:
    """Return what starts a daemon on a machine, and returns a shell for it."""
    return lambda spec: shell_for(make_daemon(spec).start())


def standing(launch: Shell) -> list[tuple[int, str, int]]:
    """(GPU, profile, start) of what stands."""
    gpus = launch("layout", "show", "-o", "json").ok().json
    return [(gpu["index"], i["profile"], i["start"]) for gpu in gpus for i in gpu["instances"]]


def test_a_configuration_for_other_boards_is_refused_by_apply_plan_and_assert(
    on: OnMachine, tmp_path: Path
) -> None:
    launch = on("T4,A30:1g.6gb")
    file = tmp_path / "config.yaml"
    file.write_text(
        "version: v1\nmig-configs:\n  a:\n  - device-filter: '0x233010DE'\n    devices: all\n"
        "    mig-enabled: true\n    mig-devices: {}\n"
    )
    for verb in ("apply", "plan", "assert"):
        refused = launch("layout", verb, "-f", str(file))
        assert (refused.code, refused.out) == (2, b"")
        assert "devices all with PCI id 0x233010DE" in refused.err
        assert "1 (NVIDIA A30, PCI id 0x20B710DE" in refused.err
    assert standing(launch) == [(1, "1g.6gb", 0)]


@pytest.mark.parametrize("board", ["A30", "A100-40GB"])
def test_nvidias_file_is_applied_with_mig_mode_off_and_asserted(on: OnMachine, board: str) -> None:
    launch = on(board)
    enabled = ("-f", str(DEFAULT), "--config", "all-enabled")
    balanced = ("-f", str(DEFAULT), "--config", "all-balanced")
    assert "MIG mode is off, not on" in launch("layout", "assert", *balanced).text
    assert "mode on" in launch("layout", "plan", *enabled).ok().text
    launch("layout", "apply", *enabled).ok()
    launch("layout", "apply", *balanced).ok()
    launch("layout", "assert", *balanced).ok()
    different = launch("layout", "assert", *enabled)
    assert different.code == 5
    assert "is not asked for" in different.text
    launch("layout", "clear", "--mode-off").ok()
    launch("layout", "apply", *balanced).ok()
    launch("layout", "assert", *balanced).ok()


def test_assert_is_0_where_exactly_that_stands_and_5_with_the_differences_otherwise(
    on: OnMachine,
) -> None:
    launch = on("A30:1g.6gb*2,A30:2g.12gb")
    assert launch("layout", "assert", "--gpu", "0", "1g.6gb:2").ok().err == "the layout stands\n"
    different = launch("layout", "assert", "--gpu", "0", "1g.6gb", "2g.12gb")
    assert different.code == 5
    assert different.text.splitlines()[0].endswith("is not asked for")
    assert "GPU 0: 2g.12gb is missing" in different.text
    assert "the layout does not match" in different.err
    assert launch("layout", "assert", "--all", "1g.6gb:2").code == 5
    plan = launch("layout", "assert", "--gpu", "1", "2g.12gb", "-o", "json").ok().json
    assert plan["create"] == plan["destroy"] == []
    for words in ([], ["--gpu", "0", "9g.1gb"], ["--gpu", "0", "x"], ["--config", "a", "1g.6gb"]):
        assert launch("layout", "assert", *words).code == 2, words
    assert len(standing(launch)) == 3


def test_assert_does_not_match_while_mig_mode_waits_for_a_reboot(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon("A30").start()
    launch = shell_for(daemon)
    daemon.machine.set_reset_works(daemon.machine.gpu_uuids()[0], works=False)
    assert launch("layout", "enable").code == 4
    different = launch("layout", "assert", "1g.6gb")
    assert different.code == 5
    assert "MIG mode is off, and will be on after a reset or reboot" in different.text
    refused = launch("layout", "apply", "1g.6gb")
    assert refused.code == 2
    assert "takes effect after a reset of the GPU or a reboot" in refused.err


def test_a_plan_is_0_and_with_detailed_exitcode_5_if_something_would_change(on: OnMachine) -> None:
    launch = on("A30:1g.6gb")
    launch("layout", "plan", "1g.6gb:2").ok()
    assert launch("layout", "plan", "--detailed-exitcode", "1g.6gb:2").code == 5
    assert launch("layout", "plan", "--detailed-exitcode", "1g.6gb:2", "-o", "json").code == 5
    assert "nothing to change" in launch("layout", "plan", "--detailed-exitcode", "1g.6gb").ok().err


def test_several_gpus_are_changed_together(on: OnMachine) -> None:
    launch = on("A30,T4,A30,A30")
    uuid = launch("layout", "show", "-o", "json").ok().json[3]["uuid"]
    launch("layout", "enable", "--gpu", "0,2").ok()
    refused = launch("layout", "apply", "--all", "1g.6gb")
    assert refused.code == 2
    assert "GPU 3: MIG mode is off" in refused.err
    assert standing(launch) == []
    launch("layout", "apply", "--gpu", "0", "--gpu", f"2,{uuid}", "--enable", "1g.6gb:2").ok()
    assert [gpu for gpu, _, _ in standing(launch)] == [0, 0, 2, 2, 3, 3]
    launch("layout", "assert", "--all", "1g.6gb:2").ok()
    launch("layout", "clear", "--gpu", "2,3").ok()
    assert [gpu for gpu, _, _ in standing(launch)] == [0, 0]
    launch("layout", "disable", "--all").ok()
    modes = [gpu["mig_current"] for gpu in launch("layout", "show", "-o", "json").ok().json]
    assert modes == [False, None, False, False]
    for words in (["--gpu", "0,,2"], ["--gpu", ""], ["--gpu", "0", "--all"]):
        assert launch("layout", "enable", *words).code == 2, words
    for words in (["--gpu", "0"], ["--all"], ["--enable"]):
        assert launch("layout", "apply", "-f", str(DEFAULT), *words).code == 2, words


def test_where_no_gpu_supports_mig_it_is_said(on: OnMachine) -> None:
    launch = on("T4")
    for words in (["enable"], ["disable"], ["apply", "1g.6gb"], ["plan", "--all", "1g.6gb"],
                  ["create", "1g.6gb"], ["enable", "--all"]):  # fmt: skip
        refused = launch("layout", *words)
        assert refused.code == 2, words
        assert "none of the GPUs here supports MIG: 0 (Tesla T4" in refused.err
    for words in (["save"], ["export"], ["export", "-o", "json"]):
        refused = launch("layout", *words)
        assert (refused.code, refused.out) == (2, b""), words
        assert "supports MIG" in refused.err
    assert "no GPU of this machine supports MIG" in launch("layout", "profiles").ok().err
    assert "GPU 0 does not support MIG" in launch("layout", "profiles", "--gpu", "0").ok().err
    refused = launch("whatif", "--layout", "1g.6gb")
    assert refused.code == 2
    assert "none of the GPUs here supports MIG" in refused.err
    for words in ([], ["--all"], ["--all", "--mode-off"]):
        cleared = launch("layout", "clear", *words).ok()
        assert cleared.err == "no GPU of this machine supports MIG\nnothing to change\n"


def test_an_exported_layout_comes_back_at_its_places(on: OnMachine, tmp_path: Path) -> None:
    launch = on("A30:,A30")
    launch("layout", "apply", "--gpu", "0", "1g.6gb@1", "2g.12gb@2").ok()
    exported = launch("layout", "export", "-o", "json").ok().text
    file = tmp_path / "layout.json"
    file.write_text(exported)
    launch("layout", "assert", "-f", str(file)).ok()
    launch("layout", "clear", "--all").ok()
    launch("layout", "apply", "-f", str(file)).ok()
    assert standing(launch) == [(0, "1g.6gb", 1), (0, "2g.12gb", 2)]
    gpus = json.loads(exported)
    gpus[0]["gpu"] = "GPU-00000000-0000-0000-0000-000000000000"
    file.write_text(json.dumps(gpus))
    refused = launch("layout", "apply", "-f", str(file))
    assert refused.code == 2
    assert "GPU GPU-00000000-0000-0000-0000-000000000000 does not exist" in refused.err
    assert "GPUs here: 0 (GPU-" in refused.err


def test_a_file_is_read_from_standard_input(on: OnMachine) -> None:
    launch = on("A30:")
    text = DEFAULT.read_bytes()
    words = ("layout", "apply", "-f", "-", "--config", "all-balanced")
    launch(*words, stdin=text).ok()
    assert sorted(profile for _, profile, _ in standing(launch)) == ["1g.6gb", "1g.6gb", "2g.12gb"]
    assert "-f -" in launch("layout", "changes").ok().text
    empty = launch(*words, stdin=b"")
    assert empty.code == 2
    assert "<stdin>" in empty.err


def test_a_drain_of_a_gpu_without_slices_says_that_it_holds_for_later_ones(on: OnMachine) -> None:
    launch = on("A30:")
    assert "0 has no slice now" in launch("drain", "0").ok().err
    launch("layout", "create", "1g.6gb").ok()
    assert launch("slices", "-o", "json").ok().json[0]["state"] == "drained"
