"""The units of the service: with the paths of this installation, where systemd sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli.verbs.service import install_service
from launcher.config.web import WEB_USER
from launcher.errors import UserError
from launcher.network.state_file import STATE_FILE
from launcher.service import uninstall
from launcher.service.units import NAMES, sysusers, tmpfiles, units
from tests.unit.cli.launch_command import Launch

LAUNCH, PYTHON = Path("/opt/launcher/bin/launch"), Path("/usr/bin/true")


def test_every_unit_has_the_paths_of_this_installation() -> None:
    found = units(LAUNCH, PYTHON)
    assert tuple(found) == NAMES
    text = "".join(found.values())
    for group in ("@system-service", "@mount", "@privileged", "@resources"):
        text = text.replace(group, "")
    assert "@" not in text
    assert f"ExecStart={LAUNCH} serve\n" in found["launcher.service"]
    assert f"ExecStart={PYTHON} -P -m launcher.mount_helper " in found["launcher-pins.service"]
    assert f"ExecStart={PYTHON} -P -m launcher.output\n" in found["launcher-output.service"]
    assert f"ExecStart={PYTHON} -P -m launcher.host " in found["launcher-host.service"]
    assert f"ExecStart={LAUNCH} web\n" in found["launcher-web.service"]
    runs = f"ExecStart={PYTHON} -P -m launcher.network --state {STATE_FILE}\n"
    assert runs in found["launcher-network.service"]


def test_the_network_is_for_the_web_service_alone_which_is_its_own_user() -> None:
    found = units(LAUNCH, PYTHON)
    assert "RestrictAddressFamilies=AF_UNIX\n" in found["launcher.service"]
    families = "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n"
    assert [name for name, text in found.items() if families in text] == ["launcher-web.service"]
    assert f"User={WEB_USER}\n" in found["launcher-web.service"]
    assert f"u {WEB_USER} - " in sysusers()


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


def test_a_group_that_does_not_exist_is_refused_before_anything_is_written(
    launch: Launch, tmp_path: Path
) -> None:
    place = tmp_path / "units"
    place.mkdir()
    failed = launch("install-service", "--group", "no-such-group", "--directory", str(place))
    assert (failed.code, list(place.iterdir())) == (2, [])
    assert "`groupadd no-such-group`" in failed.err


def system_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the directories of the system be below a place; return that of the units."""
    monkeypatch.setattr("sys.argv", [str(LAUNCH)])
    monkeypatch.setattr("sys.executable", str(PYTHON))
    places = {
        "PAM_SERVICES": place / "pam.d",
        "USERS_DIRECTORY": place / "sysusers.d",
        "TMPFILES_DIRECTORY": place / "tmpfiles.d",
        "ON_PATH": place / "bin/launch",
    }
    for name, value in places.items():
        monkeypatch.setattr(install_service, name, value)
    for name in ("pam.d", "bin", "units"):
        (place / name).mkdir()
    monkeypatch.setattr(install_service, "SYSTEM_UNITS", str(place / "units"))
    return place / "units"


def test_the_program_is_linked_where_all_users_and_sudo_find_it(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = system_in(tmp_path, monkeypatch)
    on_path = tmp_path / "bin/launch"
    for _ in range(2):  # an upgrade finds the link
        assert launch("install-service", "--directory", str(system)).code == 0
        assert on_path.readlink() == LAUNCH
    assert "u launcher-web - " in (tmp_path / "sysusers.d/launcher-web.conf").read_text()
    on_path.unlink()
    on_path.write_text("somebody's own")
    assert "is kept" in launch("install-service", "--directory", str(system)).err
    assert on_path.read_text() == "somebody's own"


def test_what_was_written_is_taken_away_and_nothing_else(
    tmp_path: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uninstall, "BOOTED", tmp_path / "not-booted")
    system = system_in(tmp_path, monkeypatch)
    mine = system / "launcher-mine.service"
    mine.write_text("[Unit]\nDescription=not the launcher's\n")
    changed = tmp_path / "pam.d" / "launcher-host"
    assert launch("install-service", "--directory", str(system)).code == 0
    assert (tmp_path / "tmpfiles.d" / "launcher.conf").read_text() == tmpfiles()
    changed.write_text("# by the admin\n")
    told = launch("install-service", "--uninstall", "--directory", str(system))
    assert told.code == 0, told.err
    assert "/var/lib/launcher and /etc/launcher stay" in told.err
    left = {path.name for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert left - {"stdout", "stderr"} == {"launcher-mine.service", "launcher-host"}
    again = launch("install-service", "--uninstall", "--directory", str(system))
    assert (again.code, again.err) == (0, f"no units are in {system}\n")
    both = launch("install-service", "--uninstall", "--print")
    assert both.code == 2
