"""What the unit found, in a file that the daemon reads."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from launcher.network import firewall, state_file
from launcher.network.__main__ import main
from launcher.network.firewall import FirewallState

FOUND = FirewallState(managed=True, metadata="the rules are missing", failed=True)


def test_what_was_written_is_read_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    old = os.umask(0o077)
    try:
        state_file.write(FOUND, path)
    finally:
        os.umask(old)
    assert state_file.read(path) == FOUND
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["network.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": 1}', '{"at": "x"}', "\0", "[" * 9999])
def test_a_file_that_is_not_ours_says_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(text)
    assert state_file.read(path) is None
    assert state_file.read(tmp_path / "none") is None


def test_an_old_file_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    state_file.write(FOUND, path)
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"at": time.time() - state_file.OLD_SECONDS - 1}))
    assert state_file.read(path) is None


def test_only_a_change_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(firewall, "apply", lambda: FOUND)
    path = tmp_path / "network.json"
    assert main(["--state", str(path)]) == 1
    assert "not blocked for jobs: the rules are missing" in capsys.readouterr().err
    assert main(["--state", str(path)]) == 1
    assert capsys.readouterr().err == ""


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(firewall, "apply", lambda: FirewallState(managed=True))
    assert main(["--state", str(tmp_path / "none/network.json")]) == 1
    assert "cannot write" in capsys.readouterr().err
