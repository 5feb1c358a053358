"""Users' mounts on a real dockerd: both attacks on bind mounts, and all that pins promise."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import PinRefused, PinsUnavailable
from launcher.fakegpu.sandbox import Sandbox
from launcher.mount_helper import MountRequest, Pins, User
from tests.support.pins import ALICE, BOB, Boxes, Ground, mount, share, swapping
from tests.support.wait import wait_until
from tests.support.whole import many

ATTEMPTS = many(400, 2000)
NAME = "launch-test-1-1"


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.close()


@pytest.fixture
def pins(ground: Ground) -> Pins:
    return ground.helper()[0]


@pytest.fixture
def boxes(sandbox: Sandbox, docker: Containers) -> Boxes:
    return Boxes(sandbox, docker)


def to_the_secret(ground: Ground, path: Path) -> None:
    """Put a symlink to the secret where a directory is."""
    path.rename(path.with_name(f"{path.name}-away"))
    path.symlink_to(ground.secret)


def refused(pins: Pins, mounted: MountRequest, user: User = ALICE) -> str:
    """Return why a mount is refused, told the same before and by the pin itself."""
    with pytest.raises(PinRefused) as before:
        pins.check([mounted], user)
    with pytest.raises(PinRefused) as caught:
        pins.pin(NAME, [mounted], user)
    assert str(before.value) == str(caught.value)
    return str(caught.value)


# --- a symlink that is put in the place of what was checked


def test_without_a_pin_a_later_symlink_shows_the_container_roots_files(
    ground: Ground, boxes: Boxes
) -> None:
    data = ground.directory(ground.alice / "data", ALICE)
    boxes.create(NAME, "cat /data/key", {"/data": str(data)})
    to_the_secret(ground, data)
    boxes.start(NAME)
    assert boxes.end(NAME) == "the secret"


def test_a_symlink_that_comes_after_the_pin_changes_nothing(
    ground: Ground, pins: Pins, boxes: Boxes
) -> None:
    data = ground.directory(ground.alice / "data", ALICE)
    ground.write(data / "key", "mine")
    (pin,) = pins.pin(NAME, [MountRequest(str(ground.alice), "data")], ALICE)
    boxes.create(NAME, "cat /data/key", {"/data": pin})
    to_the_secret(ground, data)
    boxes.start(NAME)
    assert boxes.end(NAME) == "mine"


def test_a_symlink_that_came_before_the_pin_is_refused(ground: Ground, pins: Pins) -> None:
    to_the_secret(ground, ground.directory(ground.alice / "data", ALICE))
    why = refused(pins, MountRequest(str(ground.alice), "data/key"))
    assert f"{ground.alice}/data/key: {ground.alice}/data leads outside {ground.alice}" in why
    assert ground.mounts() == ground.names() == []


@pytest.mark.timeout(300)
def test_no_swap_gets_a_pin_out_of_the_root_however_it_is_timed(
    ground: Ground, pins: Pins, tell: Callable[[object], None]
) -> None:
    data, top, inside = (
        ground.directory(ground.alice / name, ALICE) for name in ("data", "top", "in")
    )
    below = ground.directory(top / "secret", ALICE)
    mine = {each.stat().st_ino for each in (data, below)}
    (link := ground.alice / "link").symlink_to(ground.secret)
    (away := ground.alice / "away").symlink_to("../../open")
    ground.directory(ground.directory(ground.place / "open", ALICE) / "secret", ALICE)
    outside = ground.directory(ground.homes / "outside", ALICE)
    ground.directory(ground.homes / "data", ALICE)  # what `in/../data` is while `in` is outside
    found: Counter[str] = Counter()
    paths = ("data", "top/secret", "in/../data", "link")
    pairs = (data, link), (top, away), (inside, outside)
    with swapping(*pairs), ThreadPoolExecutor(4) as threads:

        def attempt(number: int) -> str:
            name = f"launch-race-{number % 8}-1"
            try:
                (pin,) = pins.pin(name, [MountRequest(str(ground.alice), paths[number % 4])], ALICE)
            except PinRefused:
                return "refused"
            return "pinned" if Path(pin).stat().st_ino in mine else "escaped"

        for batch in range(0, ATTEMPTS, 8):  # a name is pinned by one thread at a time
            found.update(threads.map(attempt, range(batch, batch + 8)))
    tell(f"swaps while pinning: {dict(found)}, escapes {found['escaped']}")
    assert found["escaped"] == 0
    assert found["pinned"] > ATTEMPTS // 20 < found["refused"]
    assert len(pins.sweep(list, "launch-race-")) == 0  # its own are left
    assert len(ground.helper()[0].sweep(list, "launch-race-")) <= 8
    assert ground.mounts() == []


# --- a directory above that is closed


def test_without_a_pin_a_closed_directory_above_does_not_count(
    ground: Ground, boxes: Boxes
) -> None:
    inner = ground.directory(ground.bob / "open", BOB)
    ground.write(inner / "key", "bob's")
    assert boxes.run(NAME, "cat /data/key", {"/data": str(inner)}) == "bob's"


def test_what_is_in_a_closed_directory_of_another_is_refused(ground: Ground, pins: Pins) -> None:
    ground.write(ground.directory(ground.bob / "open", BOB) / "key", "bob's")
    why = refused(pins, MountRequest(str(ground.homes), "bob/open"))
    assert why == (
        f"{ground.bob}/open: permission denied: uid 61001 may not search the directory of it"
    )
    deep = refused(pins, MountRequest(str(ground.homes), "bob/open/key"))
    assert f"the directory of {ground.bob}/open" in deep
    assert "uid 61001 may not enter it" in refused(pins, MountRequest(str(ground.homes), "bob"))
    assert pins.pin(NAME, [MountRequest(str(ground.homes), "bob/open")], BOB)


def test_a_group_that_the_user_is_in_opens_what_it_may(ground: Ground, pins: Pins) -> None:
    shared = ground.directory(ground.homes / "shared", BOB, 0o750)
    os.chown(shared, BOB.uid, 61005)
    ground.directory(shared / "inner", BOB)
    assert pins.pin(NAME, [MountRequest(str(ground.homes), "shared/inner")], ALICE)
    without = User(ALICE.uid, ALICE.gid)
    assert "permission denied" in refused(
        pins, MountRequest(str(ground.homes), "shared/inner"), without
    )


@pytest.mark.parametrize("link", ["../bob", "/etc", "/proc/self/root", "a/../../bob", ".."])
def test_a_symlink_that_leads_out_is_refused(ground: Ground, pins: Pins, link: str) -> None:
    ground.directory(ground.alice / "a", ALICE)
    ground.bob.chmod(0o755)
    (ground.alice / "link").symlink_to(link)
    why = refused(pins, MountRequest(str(ground.alice), "link"))
    assert f"{ground.alice}/link: it leads outside {ground.alice}" in why


@pytest.mark.parametrize("path", ["..", "../bob", "a/../../bob", "../alice", "../../homes/alice"])
def test_a_path_that_leads_out_is_refused(ground: Ground, pins: Pins, path: str) -> None:
    ground.directory(ground.alice / "a", ALICE)
    ground.bob.chmod(0o755)
    assert "leads outside" in refused(pins, MountRequest(str(ground.alice), path))


def test_a_symlink_that_stays_is_followed(ground: Ground, pins: Pins, boxes: Boxes) -> None:
    ground.write(ground.directory(ground.alice / "v2", ALICE) / "key", "two")
    ground.directory(ground.alice / "a", ALICE)
    (ground.alice / "a" / "current").symlink_to("../v2")
    (pin,) = pins.pin(NAME, [MountRequest(str(ground.alice), "a/current")], ALICE)
    assert boxes.run(NAME, "cat /data/key", {"/data": pin}) == "two"


# --- what may be a root, and what may be mounted


def test_a_root_below_what_a_user_can_change_is_refused_by_that_name(
    ground: Ground, pins: Pins
) -> None:
    inner = ground.directory(ground.alice / "inner", ALICE)
    ground.alice.chmod(0o755)
    why = refused(pins, MountRequest(str(inner), ""))
    assert f"{ground.alice} can be changed by users other than root (owner uid 61001" in why
    open_to_all = ground.directory(ground.place / "tmp", User(0, 0), 0o1777)
    below = ground.directory(open_to_all / "data", ALICE)
    assert f"{open_to_all} can be changed by users other than root (owner uid 0, mode 1777)" in (
        refused(pins, MountRequest(str(below), ""))
    )
    assert pins.pin(NAME, [MountRequest(str(open_to_all), "data")], ALICE)


def test_a_root_that_is_a_symlink_a_file_or_not_there_is_refused(
    ground: Ground, pins: Pins
) -> None:
    (ground.place / "link").symlink_to(ground.homes)
    why = refused(pins, MountRequest(str(ground.place / "link" / "alice"), ""))
    assert f"{ground.place}/link is a symlink\n  Name the target of the symlink." in why
    ground.write(ground.place / "file", "")
    assert "is not a directory" in refused(pins, MountRequest(str(ground.place / "file"), ""))
    assert "does not exist\n  Mount roots are set in" in refused(
        pins, MountRequest(str(ground.place / "no" / "x"), "")
    )


def test_what_is_neither_directory_nor_file_is_refused(ground: Ground, pins: Pins) -> None:
    os.mkfifo(ground.alice / "fifo", 0o666)
    os.mknod(ground.alice / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.mknod(ground.alice / "docker.sock", 0o666 | stat.S_IFSOCK)
    found = [refused(pins, MountRequest(str(ground.alice), each)) for each in ("fifo", "zero")]
    assert ["is a FIFO" in found[0], "is a device" in found[1]] == [True, True]
    assert "is a socket\n  Only directories" in refused(
        pins, MountRequest(str(ground.alice), "docker.sock")
    )


def test_what_is_not_there_or_goes_in_circles_is_refused(ground: Ground, pins: Pins) -> None:
    (ground.alice / "round").symlink_to("round")
    ground.write(ground.alice / "file", "")
    ground.write(ground.alice / "closed", "", BOB).chmod(0o600)
    home = str(ground.alice)
    assert f"{home}/a/b: {home}/a does not exist" in refused(pins, MountRequest(home, "a/b"))
    assert "it is a symlink that cannot be followed" in refused(pins, MountRequest(home, "round"))
    assert "is not a directory" in refused(pins, MountRequest(home, "file/x"))
    assert "too long" in refused(pins, MountRequest(home, "x" * 300))
    assert "uid 61001 may not read it" in refused(pins, MountRequest(home, "closed"))


# --- what a container then has


def test_writes_land_in_the_users_directory_as_his_own(
    ground: Ground, pins: Pins, boxes: Boxes
) -> None:
    (pin,) = pins.pin(NAME, [MountRequest(str(ground.alice), "", read_only=False)], ALICE)
    assert boxes.run(NAME, "id -u > /home/out", {"/home": pin}) == ""
    written = ground.alice / "out"
    assert (written.read_text(), written.stat().st_uid) == ("61001\n", 61001)


def test_read_only_is_so_and_nothing_has_setuid_or_devices(
    ground: Ground, pins: Pins, boxes: Boxes
) -> None:
    ground.write(ground.alice / "key", "mine", ALICE)
    mount("tmpfs", ground.directory(ground.alice / "below", ALICE), "mode=1777")
    home = str(ground.alice)
    paths = pins.pin(NAME, [MountRequest(home, ""), MountRequest(home, "", read_only=False)], ALICE)
    script = "cat /ro/key; touch /ro/x /ro/below/x /rw/x /rw/below/x; grep '/r[ow]' /proc/mounts"
    told = boxes.run(NAME, script, dict(zip(("/ro", "/rw"), paths, strict=True))).splitlines()
    assert told[:2] == [
        f"{'mine' * first}touch: {path}: Read-only file system"
        for first, path in ((True, "/ro/x"), (False, "/ro/below/x"))
    ]
    assert (ground.alice / "x").exists()
    assert (ground.alice / "below" / "x").exists()
    how = {line.split()[1]: line.split()[3].split(",") for line in told[2:]}
    assert how.keys() == {"/ro", "/ro/below", "/rw", "/rw/below"}
    assert all({"nosuid", "nodev"} < set(options) for options in how.values())
    assert [how[where][0] for where in ("/ro", "/ro/below", "/rw")] == ["ro", "ro", "rw"]


def test_a_file_is_pinned_as_a_file(ground: Ground, pins: Pins, boxes: Boxes) -> None:
    ground.write(ground.alice / "a", "one", ALICE)
    ground.write(ground.alice / "b", "two", ALICE)
    home = str(ground.alice)
    one, two = pins.pin(
        NAME, [MountRequest(home, "a"), MountRequest(home, "b", read_only=False)], ALICE
    )
    script = "cat /one; echo changed > /two; echo no > /one"
    told = boxes.run(NAME, script, {"/one": one, "/two": two})
    assert told.startswith("one")
    assert "Read-only" in told
    assert (ground.alice / "b").read_text() == "changed\n"
    assert pins.unpin(NAME)
    assert ground.names() == []


def test_what_is_mounted_at_the_source_later_does_not_come_along(
    ground: Ground, pins: Pins
) -> None:
    share(ground.place)
    below = ground.directory(ground.alice / "below", ALICE)
    pins.pin(NAME, [MountRequest(str(ground.alice), "")], ALICE)
    mount("tmpfs", below)
    assert len(ground.mounts()) == 1
    assert pins.unpin(NAME)
    assert ground.mounts() == []


def test_a_dockerd_that_would_see_an_empty_place_is_noticed_at_once(
    ground: Ground, pins: Pins, sandbox: Sandbox
) -> None:
    mounted = [MountRequest(str(ground.alice), "")]
    assert pins.pin(NAME, mounted, ALICE, sandbox.pid("dockerd"))
    elsewhere = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", "echo; exec sleep 60"],
        stdout=subprocess.PIPE,
    )
    with elsewhere:
        assert elsewhere.stdout is not None
        assert elsewhere.stdout.read(1) == b"\n"
        try:
            told = rf"\(pid {elsewhere.pid}\) does not see the mount at .*\n  Run the helper"
            with pytest.raises(PinsUnavailable, match=told):
                pins.pin("launch-test-2-1", mounted, ALICE, elsewhere.pid)
        finally:
            elsewhere.kill()
    with pytest.raises(PinsUnavailable, match="cannot be inspected"):
        pins.pin("launch-test-2-1", mounted, ALICE, elsewhere.pid)
    assert ground.names() == [NAME]


# --- the end of pins


def test_an_unpin_leaves_no_mount_and_a_running_container_keeps_its_own(
    ground: Ground, pins: Pins, boxes: Boxes, sandbox: Sandbox
) -> None:
    (pin,) = pins.pin(NAME, [MountRequest(str(ground.alice), "", read_only=False)], ALICE)
    boxes.create(
        NAME, "until [ -e /home/go ]; do sleep 0.05; done; echo > /home/out", {"/home": pin}
    )
    boxes.start(NAME)
    assert len(ground.mounts()) == 1
    assert (pins.unpin(NAME), pins.unpin(NAME)) == (True, False)
    assert ground.mounts() == ground.mounts(pid=sandbox.pid("dockerd") or 0) == []
    assert ground.names() == []
    ground.write(ground.alice / "go", "")
    boxes.end(NAME)
    assert (ground.alice / "out").exists()
    assert ground.of_alice not in Path("/proc/self/mountinfo").read_text()


def test_a_second_pin_of_a_container_takes_the_place_of_the_first(
    ground: Ground, pins: Pins
) -> None:
    home = str(ground.alice)
    ground.directory(ground.alice / "a", ALICE)
    first = pins.pin(NAME, [MountRequest(home, ""), MountRequest(home, "a")], ALICE)
    assert (len(first), len(ground.mounts())) == (2, 2)
    assert pins.pin(NAME, [MountRequest(home, "a")], ALICE) == first[:1]
    (mounted,) = ground.mounts()
    assert Path(mounted.split()[4]).samefile(ground.alice / "a")
    with pytest.raises(PinRefused):
        pins.pin(NAME, [MountRequest(home, "a"), MountRequest(home, "no")], ALICE)
    assert len(ground.mounts()) == 1  # what a running container has is not touched by a refusal


def test_a_sweep_takes_away_all_but_what_is_to_be_kept_and_what_is_of_others(
    ground: Ground, pins: Pins
) -> None:
    for name in ("launch-a-1-1", "launch-a-2-1", "launch-a-10-1", "launch-b-1-1"):
        pins.pin(name, [MountRequest(str(ground.alice), "")], ALICE)
    after, _ = ground.helper()  # of a daemon that was started again
    kept = ["launch-a-1-1"]
    assert after.sweep(lambda: kept, "launch-a-") == ["launch-a-10-1", "launch-a-2-1"]
    assert ground.names() == ["launch-a-1-1", "launch-b-1-1"]
    assert after.sweep(list, "") == ["launch-b-1-1"]
    after.release("launch-a-1-1")  # what was kept is known from then on
    assert ground.mounts() == []


def test_a_job_that_is_over_before_its_pins_are_known_leaves_none(
    ground: Ground, pins: Pins
) -> None:
    """Also one that is over while the sweep asks which are to be kept."""
    first, second = "launch-a-1-1", "launch-a-2-1"
    for name in (first, second):
        pins.pin(name, [MountRequest(str(ground.alice), "")], ALICE)
    after, _ = ground.helper()
    after.release(first)
    assert ground.names() == [second]

    def keep() -> list[str]:
        after.release(second)
        return [second]

    assert after.sweep(keep, "launch-a-") == []
    assert ground.mounts() == ground.names() == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_dockerd_that_ends_leaves_no_mount_once_swept(
    ground: Ground, pins: Pins, docker_here: Sandbox, how: signal.Signals
) -> None:
    boxes = Boxes(docker_here, Containers(DockerConnection(docker_here.docker_host)))
    (pin,) = pins.pin(NAME, [MountRequest(str(ground.alice), "", read_only=False)], ALICE)
    script = "until [ -e /home/go ]; do sleep 0.05; done; echo > /home/out"
    boxes.create(NAME, script, {"/home": pin})
    boxes.start(NAME)
    docker_here.stop_dockerd(how)
    try:
        assert ground.helper()[0].sweep(list, "launch-test-") == [NAME]
        assert ground.mounts() == []
    finally:
        docker_here.start_dockerd()
    assert ground.mounts(pid=docker_here.pid("dockerd") or 0) == []
    ground.write(ground.alice / "go", "")
    wait_until((ground.alice / "out").exists, what="the container still has the directory")
    boxes.end(NAME)
    assert ground.of_alice not in Path("/proc/self/mountinfo").read_text()
