"""Directories of jobs: made, measured, deleted; as the user who owns them."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import homes
from launcher.core.jobs import disk_use
from launcher.homes import HomeRequest, quota
from launcher.homes.clear import clear
from launcher.homes.measure import MOST_DEPTH, measure
from launcher.homes.values import PART_OF_DISK

UID, GID = os.getuid(), os.getgid()
NAME = "launch-feed-7-1"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def request(**more: object) -> HomeRequest:
    fields = {"container": NAME, "uid": UID, "gid": GID, "cache": True} | more
    return HomeRequest(**fields)  # type: ignore[arg-type]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_home_is_private_tmp_is_for_all_and_parents_are_made(root: int, tmp_path: Path) -> None:
    files = {"passwd": "root:x:0:0::/:/bin/sh\n", "group": "ü\n"}
    homes.make(root, request(parents=("home/.cache/a", "tmp/x/y"), files=files))
    own = tmp_path / "jobs" / NAME
    assert (mode(own / "home"), mode(own / "tmp"), mode(own)) == (0o700, 0o1777, 0o711)
    assert (own / "home" / ".cache" / "a").is_dir()
    assert (own / "tmp" / "x" / "y").is_dir()
    assert (own / "passwd").read_text() == files["passwd"]
    assert (own / "group").read_bytes() == "ü\n".encode()
    assert mode(own / "passwd") == 0o644
    assert mode(tmp_path / "caches" / str(UID) / "cache") == 0o700


def test_the_default_limit_is_the_one_that_is_measured() -> None:
    assert PART_OF_DISK == disk_use.PART_OF_DISK


def test_without_project_quotas_a_directory_is_made_all_the_same(root: int) -> None:
    homes.make(root, request(limit=2**30))
    assert quota.limit(root, 0) in (True, False)


def test_an_attempt_starts_fresh_and_a_repeated_request_keeps_what_is_there(
    root: int, tmp_path: Path
) -> None:
    homes.make(root, request())
    file = tmp_path / "jobs" / NAME / "home" / "x"
    file.write_text("x")
    homes.make(root, request(fresh=False))
    assert file.exists()
    homes.make(root, request())
    assert not file.exists()
    assert homes.empty(root, 5.0)


def test_a_symlink_in_place_of_a_parent_is_not_followed(root: int, tmp_path: Path) -> None:
    homes.make(root, request())
    (tmp_path / "jobs" / NAME / "home" / "a").symlink_to("/etc")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        homes.make(root, request(fresh=False, parents=("home/a/b",)))
    assert not Path("/etc/b").exists()


def test_what_is_retired_is_gone_at_once_and_deleted_in_time(root: int, tmp_path: Path) -> None:
    homes.make(root, request())
    homes.make(root, request(container="launch-other-1-1"))
    assert homes.listed(root, "launch-feed-") == [NAME]
    homes.retire_all(root, [NAME, "launch-feed-9-9"], [UID, 4242])
    assert homes.listed(root, "launch-") == ["launch-other-1-1"]
    assert homes.users_with_caches(root) == []
    assert homes.empty(root, 5.0)
    assert list((tmp_path / "removed").iterdir()) == []


def test_deep_closed_and_linked_directories_are_deleted(root: int, tmp_path: Path) -> None:
    homes.make(root, request())
    home = os.open(tmp_path / "jobs" / NAME / "home", os.O_RDONLY)
    at = home
    for _ in range(1500):  # deeper than a path may be long, and than a stack
        os.mkdir("d" * 20, dir_fd=at)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_CREAT, dir_fd=at))
    os.close(at)
    tmp = tmp_path / "jobs" / NAME / "tmp"
    (tmp / "closed" / "inner").mkdir(parents=True)
    (tmp / "closed" / "inner" / "x").touch()
    (tmp / "closed" / "inner").chmod(0)
    (tmp / "closed").chmod(0)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").touch()
    (tmp / "link").symlink_to(outside)
    homes.retire_all(root, [NAME], [])
    assert homes.empty(root, 60.0)
    assert (outside / "keep").exists()


def test_deleting_stops_when_the_time_is_over_and_goes_on_later(tmp_path: Path) -> None:
    for n in range(50):
        (tmp_path / f"d{n}").mkdir()
        (tmp_path / f"d{n}" / "x").touch()
    left = iter(range(30))
    fd = os.open(tmp_path, os.O_RDONLY)
    assert not clear(fd, lambda: next(left, None) is None)
    assert clear(fd, lambda: False)
    os.close(fd)
    assert list(tmp_path.iterdir()) == []


def test_space_is_counted_once_for_each_file(root: int, tmp_path: Path) -> None:
    place = tmp_path / "jobs" / "x"
    (place / "sub").mkdir(parents=True)
    (place / "a").write_bytes(b"x" * 100_000)
    os.link(place / "a", place / "sub" / "b")
    with (place / "holes").open("wb") as file:
        file.truncate(10**9)
    (place / "out").symlink_to("/usr")
    use = measure(root, "jobs/x", 10.0)
    assert 100_000 <= use.bytes < 150_000
    assert (use.files, use.whole) == (4, True)
    assert measure(root, "jobs/none", 1.0) == homes.DiskUse(0, 0)


def test_what_is_too_deep_or_takes_too_long_is_said_not_to_be_all(
    root: int, tmp_path: Path
) -> None:
    at = tmp_path / "jobs" / "x"
    at.mkdir(parents=True)
    for _ in range(MOST_DEPTH + 2):
        at = at / "d"
        at.mkdir()
    (tmp_path / "jobs" / "x" / "file").write_bytes(bytes(8192))  # on tmpfs directories are free
    assert not measure(root, "jobs/x", 10.0).whole
    assert not measure(root, "jobs/x", -1.0).whole
    use = homes.measure_all(root, ["x"], [UID], 5.0)
    assert use.size > use.jobs["x"].bytes > 0
    assert use.caches == {UID: homes.DiskUse(0, 0)}


GAMES = pwd.getpwnam("games")


def owned_by_games(path: Path) -> Path:
    path.mkdir()
    os.chown(path, GAMES.pw_uid, GAMES.pw_gid)
    return path


def test_places_of_mounts_which_runc_made_as_root_are_deleted(root: int, tmp_path: Path) -> None:
    homes.make(root, request(uid=GAMES.pw_uid, gid=GAMES.pw_gid, parents=("home/a/b", "tmp/x")))
    own = tmp_path / "jobs" / NAME
    (own / "home" / "a" / "b" / "place").mkdir(mode=0o755)
    (own / "home" / "a" / "b" / "file").touch(mode=0o755)
    (own / "home" / "a" / "r1" / "r2" / "r3").mkdir(parents=True)
    (own / "home" / "a" / "r1" / "r2" / "file").touch()
    (own / "tmp" / "x" / "r4").mkdir(mode=0o755)
    homes.retire_all(root, [NAME], [])
    assert homes.empty(root, 5.0)
    assert not list((tmp_path / "removed").iterdir())


def test_what_cannot_be_deleted_does_not_keep_the_rest(root: int, tmp_path: Path) -> None:
    homes.make(root, request(uid=GAMES.pw_uid, gid=GAMES.pw_gid))
    home = tmp_path / "jobs" / NAME / "home"
    for number in range(10):
        owned_by_games(home / f"n{number}")
        (home / f"n{number}" / "big").write_text("data")
    busy = owned_by_games(home / "stuck")
    inner = busy / "others"
    inner.mkdir(mode=0o755)
    os.chown(inner, 1, 1)
    (inner / "x").touch()
    homes.retire_all(root, [NAME], [])
    with pytest.raises(OSError, match=r"denied|permitted"):
        homes.empty(root, 5.0)
    left = [path for path in (tmp_path / "removed").rglob("*") if path.is_file()]
    assert [path.name for path in left if path.name not in ("passwd", "group")] == ["x"]
