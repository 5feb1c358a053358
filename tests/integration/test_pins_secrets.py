"""Secrets from the helper: files in memory that one user can read, and that nobody can change."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.errors import PinsUnavailable
from launcher.mount_helper import MountRequest, Pins, User
from launcher.service.units import units
from tests.integration.test_pins_helper import listening
from tests.support.pins import ALICE, BOB, Ground
from tests.support.wait import wait_until
from tests.support.whole import many

NAME = "launch-a-1-1"
FILES = {"token": b"hid\0den\xff", "empty": b""}
KILLS = many(6, 25)


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.close()


def mounted(ground: Ground) -> tuple[str, str, str]:
    """Return (the mount's options, the kind, the file system's options) of the one mount."""
    (line,) = ground.mounts()
    ours, _, theirs = line.partition(" - ")
    kind, _, options = theirs.split(" ")
    return ours.split(" ")[5], kind, options


def test_they_are_his_to_read_and_nobodys_to_change(ground: Ground) -> None:
    pins, _ = ground.helper()
    place = Path(pins.put_secrets(NAME, FILES, ALICE, os.getpid()))
    assert place == ground.pins / NAME / "secrets"
    for path, mode in ((place, 0o500), (place / "token", 0o400), (place / "empty", 0o400)):
        found = path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (61001, 61001, mode)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == FILES
    ours, kind, theirs = mounted(ground)
    assert kind == "tmpfs"
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(ours.split(","))
    assert "size=2048k" in theirs
    with pytest.raises(OSError, match="Read-only"):
        (place / "token").write_bytes(b"x")


@pytest.mark.parametrize(("user", "reads"), [(ALICE, True), (BOB, False)])
def test_only_he_can_open_them_where_they_are_mounted(
    ground: Ground, user: User, reads: bool
) -> None:
    """As in a container: it sees the mount, not the directories of root's above it."""
    pins, _ = ground.helper()
    fd = os.open(pins.put_secrets(NAME, FILES, ALICE), os.O_PATH | os.O_DIRECTORY)
    words = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    try:
        read = subprocess.run(
            [*words, "cat", f"/proc/self/fd/{fd}/token"],
            pass_fds=[fd], capture_output=True, check=False,
        )  # fmt: skip
    finally:
        os.close(fd)
    assert read.stdout == (FILES["token"] if reads else b"")


def test_the_capabilities_of_the_unit_are_enough(ground: Ground) -> None:
    text = units(Path("/usr/bin/true"), Path("/usr/bin/true"))["launcher-pins.service"]
    (found,) = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    caps = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in found.split())
    few = ("setpriv", f"--bounding-set=-all,{caps}", f"--inh-caps=-all,{caps}", "--no-new-privs")
    with listening(ground, before=few) as path:
        place = Path(Pins.at(path).put_secrets(NAME, FILES, ALICE))
        assert (place / "token").stat().st_uid == ALICE.uid
        assert Pins.at(path).unpin(NAME) is True
    assert ground.mounts() == ground.names() == []


def test_root_has_secrets_also_where_nothing_is_pinned_for_root(ground: Ground) -> None:
    place = Path(ground.helper()[0].put_secrets(NAME, FILES, User(0, 0)))
    assert (place / "token").stat().st_uid == 0


def test_as_many_and_as_large_as_a_job_may_have(ground: Ground) -> None:
    files = {f"s{number}": os.urandom(64 * 1024) for number in range(16)}
    place = Path(ground.helper()[0].put_secrets(NAME, files, ALICE))
    assert {path.name: path.read_bytes() for path in place.iterdir()} == files


def test_they_are_made_anew_beside_the_pins_and_go_with_them(ground: Ground) -> None:
    pins, _ = ground.helper()
    (pinned,) = pins.pin(NAME, [MountRequest(str(ground.alice), "")], ALICE)
    for content in (b"old", b"new"):
        place = Path(pins.put_secrets(NAME, {"token": content}, ALICE))
        assert (place / "token").read_bytes() == content
        assert Path(pinned).stat().st_ino == ground.alice.stat().st_ino
        assert len(ground.mounts()) == 2
    assert pins.sweep(list, "launch-a-") == [], "what is in use is left to unpin"
    pins.release(NAME)
    assert ground.mounts() == ground.names() == []
    pins.put_secrets(NAME, FILES, ALICE)
    assert ground.helper()[0].sweep(list, "launch-a-") == [NAME]
    assert ground.mounts() == ground.names() == []


def test_a_dockerd_that_does_not_see_them_is_told_and_nothing_is_left(ground: Ground) -> None:
    pins, _ = ground.helper()
    apart = subprocess.Popen(["unshare", "--mount", "sleep", "60"])
    try:
        ours = Path("/proc/self/ns/mnt").readlink()
        theirs = Path(f"/proc/{apart.pid}/ns/mnt")
        wait_until(lambda: theirs.readlink() != ours, what="it has mounts of its own")
        with pytest.raises(PinsUnavailable, match="does not see") as caught:
            pins.put_secrets(NAME, FILES, ALICE, apart.pid)
    finally:
        apart.kill()
        apart.wait()
    assert "hid" not in str(caught.value)
    assert ground.mounts() == ground.names() == []


def test_a_helper_without_the_right_to_mount_says_so_and_quotes_nothing(
    ground: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    ground.pins.mkdir(0o755)  # others may look into it
    with pytest.raises(PinsUnavailable, match="is accessible to users other than root") as caught:
        ground.helper()[0].put_secrets(NAME, FILES, ALICE)
    printed = capfd.readouterr()
    assert "hid" not in str(caught.value) + printed.out + printed.err


def test_killed_helpers_leave_whole_secrets_or_none_and_all_is_swept(
    ground: Ground, tell: Callable[[object], None]
) -> None:
    pins, running = ground.helper()
    files = {f"s{number}": bytes([number]) * 40_000 for number in range(16)}
    stop, made = threading.Event(), [0]

    def put_all(thread: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(PinsUnavailable):
                pins.put_secrets(f"launch-a-{thread}-{made[0] % 20}", files, ALICE)
                made[0] += 1

    with ThreadPoolExecutor(2) as threads:
        working = [threads.submit(put_all, thread) for thread in range(2)]
        try:
            for _ in range(KILLS):
                before = made[0]
                wait_until(lambda: made[0] > before + 1, what="secrets are put")  # noqa: B023
                with contextlib.suppress(ProcessLookupError):  # the next one is being started
                    os.kill(running.pid or 0, 9)
        finally:
            stop.set()
        for each in working:
            each.result()
    running.close()
    places = [line.split()[4] for line in ground.mounts()]
    for place in places:
        assert {p.name: p.read_bytes() for p in Path(place).iterdir()} == files
    swept = len(ground.helper()[0].sweep(list, "launch-a-"))
    tell(f"helpers killed: {KILLS} among {made[0]} containers' secrets; swept {swept}")
    assert len(places) == len(set(places)) > 0
    assert ground.mounts() == ground.names() == []
