"""Secrets of who runs a daemon of his own: in his runtime directory, where that is in memory."""

from __future__ import annotations

import logging
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.config.settings import load
from launcher.core.model.job import Owner
from launcher.daemon.mounts.secret_mounts import InRuntime, Pinned, places_of
from launcher.errors import LauncherError, UserError
from launcher.mount_helper import Pins

ALICE = Owner(1000, 1000, "alice")
NAME = "launch-feed-1-1"


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A directory in memory, as /run/user/UID is."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        yield Path(place)


def nobody() -> None:
    raise OSError("no helper")


def test_they_are_closed_to_others_and_made_anew_each_time(runtime: Path) -> None:
    places = InRuntime(runtime)
    places.fill(NAME, ALICE, {"old": b"x", "token": b"old"}, None)
    places.fill(NAME, ALICE, {"token": b"hid\0den"}, None)
    place = Path(places.of(NAME))
    assert [path.name for path in place.iterdir()] == ["token"]
    assert (place / "token").read_bytes() == b"hid\0den"
    found = (place / "token", place, place.parent)
    assert [stat.S_IMODE(path.stat().st_mode) for path in found] == [0o400, 0o500, 0o700]
    places.clear(NAME)
    places.clear(NAME)
    assert list(place.parent.iterdir()) == []


def test_a_start_takes_away_what_is_left_of_its_own(
    runtime: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    places = InRuntime(runtime)
    for name in (NAME, "launch-feed-2-1", "launch-other-1-1"):
        places.fill(name, ALICE, {"token": b"x"}, None)
    new = "launch-feed-3-1"

    def keep() -> set[str]:
        places.fill(new, ALICE, {"token": b"x"}, None)  # it begins while the sweep looks
        return {NAME}

    places.sweep(keep, "launch-feed-")
    left = sorted(path.name for path in (runtime / "launcher-secrets").iterdir())
    assert left == [NAME, new, "launch-other-1-1"]
    assert "removed the secrets of launch-feed-2-1" in caplog.text


def test_without_a_directory_in_memory_a_job_cannot_have_any(tmp_path: Path) -> None:
    disk = Path(__file__).parent
    for runtime, why in (
        (None, "XDG_RUNTIME_DIR names no directory"),
        (tmp_path / "gone", "XDG_RUNTIME_DIR names no directory"),
        (disk, "not in memory"),
    ):
        places = InRuntime(runtime)
        with pytest.raises(UserError, match="has no place for them") as caught:
            places.check()
        assert why in str(caught.value)
        with pytest.raises(UserError):
            places.fill(NAME, ALICE, {"token": b"hidden"}, None)
    assert not (disk / "launcher-secrets").exists()


def test_what_cannot_be_written_is_told_without_the_secret(runtime: Path) -> None:
    (runtime / "launcher-secrets").write_text("")
    with pytest.raises(LauncherError, match="cannot write") as caught:
        InRuntime(runtime).fill(NAME, ALICE, {"token": b"hidden"}, None)
    assert "hidden" not in str(caught.value)


def test_where_a_helper_can_mount_they_are_pinned(runtime: Path) -> None:
    pins = Pins(nobody)  # type: ignore[arg-type]
    config = replace(load({"pins_directory": "/run/pins"}, {}), system=False, pins_socket=None)
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    assert isinstance(places_of(config, pins, env), InRuntime)
    for with_helper in (replace(config, system=True), replace(config, pins_socket="/run/p.sock")):
        places = places_of(with_helper, pins, env)
        assert isinstance(places, Pinned)
        assert places.of(NAME) == f"/run/pins/{NAME}/secrets"
        with pytest.raises(LauncherError, match="cannot be reached"):
            places.check()
