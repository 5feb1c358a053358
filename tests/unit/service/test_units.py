"""The units of the service: with the paths of this installation, where systemd sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import UserError
from launcher.service.units import NAMES, units
from tests.unit.cli.launch_command import Launch

LAUNCH, PYTHON = Path("/opt/launcher/bin/launch"), Path("/usr/bin/true")


def test_every_unit_has_the_paths_of_this_installation() -> None:
    found = units(LAUNCH, PYTHON)
    assert tuple(found) == NAMES
    assert "@" not in "".join(found.values()).replace("@system-service", "").replace("@mount", "")
    assert f"ExecStart={LAUNCH} serve\n" in found["launcher.service"]
    assert f"ExecStart={PYTHON} -P -m launcher.mount_helper " in found["launcher-pins.service"]
    assert f"ExecStart={PYTHON} -P -m launcher.output\n" in found["launcher-output.service"]
    assert f"ExecStart={PYTHON} -P -m launcher.host " in found["launcher-host.service"]


def test_everybody_may_ask_or_the_members_of_a_group() -> None:
    assert "SocketMode=0666\n" in units(LAUNCH, PYTHON)["launcher.socket"]
    for_group = units(LAUNCH, PYTHON, "gpu-users")["launcher.socket"]
    assert "SocketMode=0660\nSocketUser=root\nSocketGroup=gpu-users\n" in for_group
    assert "SocketMode=0600\n" in units(LAUNCH, PYTHON, "gpu-users")["launcher-pins.socket"]
    assert "SocketMode=0600\n" in units(LAUNCH, PYTHON, "gpu-users")["launcher-output.socket"]
    assert "SocketMode=0600\n" in units(LAUNCH, PYTHON, "gpu-users")["launcher-host.socket"]
    # What it tells a user is for a command of theirs that a job waits for.
    assert "SocketMode=0666\n" in units(LAUNCH, PYTHON, "gpu-users")["launcher-host-users.socket"]


@pytest.mark.parametrize("place", ["/home/alice/venv", "/root/venv", "/tmp/venv", "/run/user/1/v"])
def test_what_the_service_would_not_see_is_refused(place: str) -> None:
    with pytest.raises(UserError, match="does not see") as refused:
        units(Path(place) / "bin/launch", PYTHON)
    assert "/opt/launcher" in (refused.value.fix or "")


@pytest.mark.parametrize("name", ["with space", "per%cent", "quo'te", "$HOME"])
def test_a_path_that_a_unit_cannot_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot name"):
        units(Path("/opt") / name / "bin/launch", PYTHON)


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(tmp_path)


def test_the_verb_prints_the_units_and_writes_none(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [str(LAUNCH)])
    monkeypatch.setattr("sys.executable", str(PYTHON))
    shown = launch("install-service", "--print")
    assert shown.code == 0
    assert all(f"# {name}\n" in shown.out for name in NAMES)
    told = launch("install-service", "--directory", str(tmp_path))
    assert (told.code, told.out) == (0, "")
    assert "systemctl enable --now launcher.service" in told.err
    assert {each.name for each in tmp_path.iterdir()} >= set(NAMES)
    failed = launch("install-service", "--directory", str(tmp_path / "nowhere"))
    assert failed.code == 1
    assert "cannot write" in failed.err
