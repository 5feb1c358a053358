"""The helper as a process: who may ask it, what it outlives, and what may hang without harm."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.client.sockets import answers
from launcher.errors import NotAllowed, PinRefused, PinsUnavailable, UserError
from launcher.fakegpu.sandbox import Sandbox
from launcher.mount_helper import MountRequest, Pins, User, frames, syscalls, tree
from launcher.mount_helper.client import HELPER
from launcher.mount_helper.fuse import check_server
from launcher.mount_helper.values import MOST_OPENINGS as MOST
from tests.support.daemon import as_user
from tests.support.pins import ALICE, BOB, Ground, mount
from tests.support.wait import wait_until
from tests.support.whole import many

KILLS = many(10, 40)
DEAD_SERVER = "user_id=0,group_id=0,allow_other"


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.close()


def home(ground: Ground, path: str = "") -> list[MountRequest]:
    return [MountRequest(str(ground.alice), path)]


@contextlib.contextmanager
def listening(ground: Ground, *arguments: str, before: tuple[str, ...] = ()) -> Iterator[str]:
    """Run a helper as systemd would, ``before`` it other words; yields its socket's path."""
    path = str(ground.place / "pins.sock")
    script = 'exec 3<&"$0"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    words = [*before, *HELPER, "--directory", str(ground.pins), *arguments]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        Path(path).chmod(0o666)
        listener.listen()
        fd = listener.fileno()
        helper = subprocess.Popen(["bash", "-c", script, str(fd), *words], pass_fds=[fd])
    try:
        yield path
    finally:
        helper.terminate()
        helper.wait()


@contextlib.contextmanager
def unanswered(target: Path, options: str) -> Iterator[None]:
    """Mount a file system whose server never says a word: every look into it hangs."""
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        mount("fuse", target, f"fd={device},rootmode=40000,{options}")
        yield
    finally:
        os.close(device)  # whoever hangs is let go


def workers(pid: int) -> list[str]:
    """Return the processes that the helper has at work."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# --- who may ask


def test_only_root_and_the_daemons_uid_are_answered(ground: Ground) -> None:
    with listening(ground, "--daemon-uid", "61009") as path:
        pins = Pins.at(path)
        assert pins.ping().trouble is None
        for uid, allowed in ((61009, True), (61001, False), (61002, False)):
            with as_user(uid):
                if allowed:
                    assert pins.pin("launch-a-1-1", home(ground), ALICE)
                    continue
                with pytest.raises(NotAllowed, match=f"uid {uid} may not use"):
                    pins.unpin("launch-a-1-1")
        assert ground.names() == ["launch-a-1-1"]


@pytest.mark.parametrize(
    ("sent", "kind"),
    [(b"{}", "is not one of pin"), (b"[", "not JSON"), (b" " * (2**21 + 1), "larger than 2 MiB")],
)
def test_what_is_no_request_is_told_so_and_harms_nobody(
    ground: Ground, sent: bytes, kind: str
) -> None:
    pins, running = ground.helper()
    with running.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with pytest.raises(UserError, match=kind):
            raise frames.error_of(frames.decoded(frames.receive(connection)))
    running.connect().close()  # asks nothing
    first = running.pid
    assert (pins.ping().trouble, running.pid) == (None, first)


def test_a_helper_that_nobody_passed_a_socket_to_says_so() -> None:
    ended = subprocess.run(
        [*HELPER, "--directory", "/run/x"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr.startswith("error: no socket was passed")) == (2, True)


@contextlib.contextmanager
def apart(ground: Ground, *arguments: str) -> Iterator[Pins]:
    """Run a helper with mounts of its own, as in a container, on a socket that it makes."""
    path = ground.place / "own.sock"
    words = ["unshare", "--mount", "--propagation", "private", *HELPER]
    words += ["--directory", str(ground.pins), "--listen", str(path), *arguments]
    path.touch()  # an earlier helper's, which was killed
    helper = subprocess.Popen(words)
    try:
        wait_until(lambda: answers(str(path)), what="the helper listens")
        assert path.stat().st_mode & 0o777 == 0o600
        yield Pins.at(str(path))
    finally:
        helper.terminate()
        helper.wait()


def test_a_helper_in_a_container_mounts_where_dockerd_is(ground: Ground, sandbox: Sandbox) -> None:
    dockerd = sandbox.pid("dockerd")
    with apart(ground) as pins, pytest.raises(PinsUnavailable, match="does not see"):
        pins.pin("launcher-x-1-1", home(ground), ALICE, dockerd)
    with apart(ground, "--docker-host", sandbox.docker_host) as pins:
        (place,) = pins.pin("launcher-x-1-1", home(ground), ALICE, dockerd)
        assert sorted(os.listdir(place)) == sorted(os.listdir(ground.alice))  # noqa: PTH208
        secrets = pins.put_secrets("launcher-x-1-2", {"token": b"secret"}, ALICE, dockerd)
        assert Path(secrets, "token").read_bytes() == b"secret"
        assert pins.ping().trouble is None
        assert pins.unpin("launcher-x-1-1")
        assert pins.unpin("launcher-x-1-2")


def test_a_helper_that_does_not_find_dockerd_says_so(ground: Ground, tmp_path: Path) -> None:
    words = [*HELPER, "--directory", str(ground.pins), "--listen", str(tmp_path / "x.sock")]
    for host, why in (
        (f"unix://{tmp_path}/none.sock", "cannot reach Docker"),
        ("unix:///nowhere/docker.sock", "cannot reach Docker"),
    ):
        done = subprocess.run(
            [*words, "--docker-host", host], capture_output=True, text=True, check=False, timeout=30
        )
        assert (done.returncode, why in done.stderr) == (3, True)


def test_root_is_pinned_for_only_where_the_helper_was_told_so(ground: Ground) -> None:
    root = User(0, 0)
    mounted = [MountRequest(str(ground.secret.parent), "secret")]
    with pytest.raises(UserError, match="uid: 0 is root"):
        ground.helper()[0].pin("launch-a-1-1", mounted, root)
    assert ground.helper("--allow-root")[0].pin("launch-a-1-1", mounted, root)


def test_a_directory_of_pins_that_others_can_open_is_refused(ground: Ground) -> None:
    ground.pins.mkdir(0o755)
    pins, _ = ground.helper()
    with pytest.raises(PinsUnavailable, match="users other than root\n  Run: chown root"):
        pins.pin("launch-a-1-1", home(ground), ALICE)
    assert "is accessible to users other than root" in (pins.ping().trouble or "")


def test_a_ping_tells_whether_and_where_pins_can_be_made(ground: Ground) -> None:
    found = ground.helper()[0].ping()
    assert (found.trouble, found.namespace) == (None, str(Path("/proc/self/ns/mnt").readlink()))


def test_a_helper_without_the_right_to_mount_says_what_it_lacks(ground: Ground) -> None:
    few = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    with listening(ground, before=few) as path:
        assert "needs CAP_SYS_ADMIN" in (Pins.at(path).ping().trouble or "")
        with pytest.raises(PinsUnavailable, match=r"open_tree\(2\) is not permitted"):
            Pins.at(path).pin("launch-a-1-1", home(ground), ALICE)
    assert ground.names() == []


# --- what it outlives


def test_a_helper_ends_with_its_daemon_and_the_pins_stay(ground: Ground) -> None:
    pins, running = ground.helper()
    pins.pin("launch-a-1-1", home(ground), ALICE)
    pid = running.pid
    running.close()
    assert not Path(f"/proc/{pid}").exists()
    assert len(ground.mounts()) == 1


def test_a_killed_helper_is_started_again_by_the_next_question(ground: Ground) -> None:
    pins, running = ground.helper()
    pins.pin("launch-a-1-1", home(ground), ALICE)
    first = running.pid or 0
    os.kill(first, signal.SIGKILL)
    assert pins.unpin("launch-a-1-1") is True
    assert running.pid != first


def test_what_killed_helpers_left_behind_is_swept(
    ground: Ground, tell: Callable[[object], None]
) -> None:
    pins, running = ground.helper()
    below = [str(ground.directory(ground.alice / f"d{n}", ALICE).name) for n in range(8)]
    mounts = [each for path in below for each in home(ground, path)]
    stop, made = threading.Event(), [0]

    def pin_all(thread: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(PinsUnavailable):
                pins.pin(f"launch-a-{thread}-{made[0] % 50}", mounts, ALICE)
                made[0] += 1

    with ThreadPoolExecutor(3) as threads:
        working = [threads.submit(pin_all, thread) for thread in range(3)]
        try:
            for _ in range(KILLS):
                before = made[0]
                wait_until(lambda: made[0] > before + 2, what="pins are made")  # noqa: B023
                with contextlib.suppress(ProcessLookupError):  # the next one is being started
                    os.kill(running.pid or 0, signal.SIGKILL)
        finally:
            stop.set()
        for each in working:
            each.result()
    running.close()
    partly = [name for name in ground.names() if len(list((ground.pins / name).iterdir())) != 8]
    left = len(ground.mounts())
    swept = ground.helper()[0].sweep(list, "launch-a-")
    tell(
        f"helpers killed: {KILLS} among {made[0]} pins; swept {len(swept)} containers "
        f"({len(partly)} in the middle), mounts {left} before, {len(ground.mounts())} after"
    )
    assert left > 0
    assert ground.mounts() == ground.names() == []


def test_who_leaves_before_his_answer_is_no_trouble_of_the_helpers(
    ground: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    pins, running = ground.helper()
    for _ in range(8):
        with running.connect() as connection:
            connection.sendall(frames.encoded({"do": "ping"}))
            connection.shutdown(socket.SHUT_WR)
    assert pins.ping().trouble is None
    wait_until(lambda: not workers(running.pid or 0), what="all are answered")
    assert "Traceback" not in capfd.readouterr().err


def test_pins_of_one_container_that_are_made_at_once_become_one(ground: Ground) -> None:
    pins, _ = ground.helper()
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(pins.pin, "launch-a-1-1", home(ground), ALICE) for _ in range(64)]
        assert {tuple(each.result()) for each in made} == {(f"{ground.pins}/launch-a-1-1/0",)}
    assert len(ground.mounts()) == 1


def test_many_threads_pin_and_unpin_at_once(ground: Ground) -> None:
    pins, running = ground.helper()

    def once(number: int) -> None:
        name = f"launch-a-{number}-1"
        (path,) = pins.pin(name, home(ground), ALICE)
        assert Path(path).stat().st_ino == ground.alice.stat().st_ino
        assert pins.unpin(name)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(once, range(100)))
    assert ground.mounts() == ground.names() == []
    wait_until(lambda: not workers(running.pid or 0), what="nothing is left of its children")


# --- what may hang


@contextlib.contextmanager
def answering_only_init(target: Path) -> Iterator[None]:
    """Mount a file system whose server takes requests and never answers: no signal ends a wait."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    stop = threading.Event()

    def answer() -> None:
        while not stop.is_set():
            if not select.select([device], [], [], 0.05)[0]:
                continue
            with contextlib.suppress(BlockingIOError):
                request = os.read(device, 1 << 17)
                length, opcode, unique = struct.unpack_from("IIQ", request)
                assert length == len(request)
                if opcode == 26:  # FUSE_INIT, linux/fuse.h
                    out = struct.pack("IIIIHHIIHHI28x", 7, 31, 4096, 0, 8, 8, 4096, 1, 1, 0, 0)
                    os.write(device, struct.pack("IiQ", 16 + len(out), 0, unique) + out)

    with ThreadPoolExecutor(1) as threads:
        try:
            mount("fuse", target, f"fd={device},rootmode=40000,{DEAD_SERVER}")
            answering = threads.submit(answer)
            yield
        finally:
            stop.set()
            answering.result()
            os.close(device)  # whoever hangs is let go


def test_what_hangs_for_good_takes_a_few_processes_of_its_user_and_none_of_others(
    ground: Ground,
) -> None:
    pins, _ = ground.helper("--opening-seconds", "5")
    dead = ground.directory(ground.alice / "dead", ALICE)

    def hanging() -> int:
        """Count the processes that wait in the kernel as alice."""
        found = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                text = status.read_text()
                found += "\nUid:\t61001\t" in text and "\nState:\tD" in text
        return found

    with answering_only_init(dead):
        with ThreadPoolExecutor(MOST) as threads:
            asked = [threads.submit(pins.check, home(ground, "dead/x"), ALICE) for _ in range(MOST)]
        for each in asked:
            with pytest.raises(PinRefused, match="does not answer within"):
                each.result()
        since = time.monotonic()
        for path in ("dead/x", ""):
            with pytest.raises(PinRefused, match="4 earlier mounts of uid 61001 still"):
                pins.check(home(ground, path), ALICE)
        assert time.monotonic() - since < 5, "it is not waited for what hangs"
        assert hanging() == MOST
        pins.check([MountRequest(str(ground.bob), "")], BOB)
    wait_until(lambda: not hanging(), what="they are let go")
    pins.check(home(ground), ALICE)


def test_a_place_that_does_not_answer_holds_up_nobody_else(ground: Ground) -> None:
    pins, running = ground.helper()
    pins.ping()
    dead = ground.directory(ground.alice / "dead", ALICE)
    with ThreadPoolExecutor(1) as threads:
        with unanswered(dead, DEAD_SERVER):
            hanging = threads.submit(pins.pin, "launch-a-1-1", home(ground, "dead/data"), ALICE)
            wait_until(lambda: opening(running.pid or 0), what="it hangs")
            assert pins.pin("launch-a-2-1", home(ground), ALICE)
            assert not hanging.done()
        with pytest.raises(PinRefused):
            hanging.result()
    wait_until(lambda: not workers(running.pid or 0), what="who hung is gone")


@pytest.mark.parametrize("path", ["", "dead/data"])
def test_a_place_that_does_not_answer_is_refused_after_a_while(ground: Ground, path: str) -> None:
    pins, _ = ground.helper("--opening-seconds", "0.5")
    dead = ground.directory(ground.alice / "dead", ALICE) if path else ground.alice
    told = r"does not answer within 0\.5 s\n  A file server may be down"
    with unanswered(dead, DEAD_SERVER), pytest.raises(PinRefused, match=told):
        pins.check(home(ground, path), ALICE)


def test_a_killed_helper_takes_along_who_hangs_for_it(ground: Ground) -> None:
    pins, running = ground.helper()
    pins.ping()
    dead = ground.directory(ground.alice / "dead", ALICE)
    with ThreadPoolExecutor(1) as threads:
        with unanswered(dead, DEAD_SERVER):
            hanging = threads.submit(pins.pin, "launch-a-1-1", home(ground, "dead/data"), ALICE)
            first = running.pid or 0
            opener = wait_until(lambda: opening(first), what="one opens as the user")
            worker = workers(first)[0]
            os.kill(first, signal.SIGKILL)
            for pid in (worker, opener):
                wait_until(lambda: not alive(pid), what=f"{pid} is gone")  # noqa: B023
            assert not hanging.done()  # it has asked again
        with pytest.raises(PinRefused):
            hanging.result()


def test_what_a_user_serves_below_a_place_is_refused_with_the_place(ground: Ground) -> None:
    pins, _ = ground.helper()
    inner = ground.directory(ground.directory(ground.alice / "a", ALICE) / "ssh", ALICE)
    told = rf"{ground.alice}: {inner} is on a file system that a user serves \(fuse\)"
    with unanswered(inner, "user_id=61001,group_id=61001,allow_other"):
        for ask in (
            lambda: pins.check(home(ground), ALICE),
            lambda: pins.pin("launch-a-1-1", home(ground), ALICE),
        ):
            with pytest.raises(PinRefused, match=told):
                ask()
        assert ground.mounts() == ground.names() == []
        beside = ground.directory(ground.alice / "beside", ALICE)
        mount("tmpfs", ground.directory(beside / "below", ALICE))
        assert pins.pin("launch-a-1-1", home(ground, beside.name), ALICE)
        assert len(ground.mounts()) == 2, "what root mounted comes along"


def test_what_a_user_serves_is_found_in_what_was_mounted_and_not_before_alone(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = ground.directory(ground.alice / "late", ALICE)
    monkeypatch.setattr(tree, "check_open", lambda fd, mount: os.fstat(fd).st_mode)
    fd = os.open(ground.alice, os.O_PATH)
    try:
        with (
            unanswered(inner, "user_id=61001,group_id=61001,allow_other"),
            tree.MountTree.locked(str(ground.pins)) as made,
            pytest.raises(PinRefused, match=f"{inner} is on a file system that a user serves"),
        ):
            made.pin("launch-a-1-1", [(fd, home(ground)[0])])
    finally:
        os.close(fd)
    assert ground.mounts() == ground.names() == []


def test_root_asks_nothing_of_a_file_system_that_a_user_serves(ground: Ground) -> None:
    with unanswered(ground.alice, "user_id=61001,group_id=61001,allow_other"):
        fd = os.open(ground.alice, os.O_PATH)
        try:
            mode, mount_id = syscalls.kind_of(fd)
        finally:
            os.close(fd)
        mounts = Path("/proc/self/mountinfo").read_text()
        with pytest.raises(PinRefused, match=r"a user serves \(fuse\)"):
            check_server(mounts, mount_id, home(ground)[0])
    assert mode & 0o170000 == 0o040000


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (signal.SIGSTOP, "does not answer within 5 s"),
        (signal.SIGKILL, "the process that opened it ended"),
    ],
)
def test_a_user_who_stops_or_kills_what_opens_for_him_gains_nothing(
    ground: Ground, how: signal.Signals, told: str
) -> None:
    pins, running = ground.helper("--opening-seconds", "5")
    pins.ping()
    dead = ground.directory(ground.alice / "dead", ALICE)
    with unanswered(dead, DEAD_SERVER), ThreadPoolExecutor(1) as threads:
        asked = threads.submit(pins.pin, "launch-a-1-1", home(ground, "dead/x"), ALICE)
        opener = wait_until(lambda: opening(running.pid or 0), what="one opens as the user")
        os.kill(opener, how)
        with pytest.raises((PinRefused, PinsUnavailable), match=told):
            asked.result()
        wait_until(lambda: not workers(running.pid or 0), what="it is gone")
    assert ground.names() == []


def alive(pid: int | str) -> bool:
    """Whether a process is there that has not ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def opening(helper: int) -> int | None:
    """Return the process that has become alice, once it has: with her rights and nothing else."""
    with contextlib.suppress(OSError, ValueError):
        (worker,) = workers(helper)
        (child,) = workers(int(worker))
        lines = Path(f"/proc/{child}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if status["Uid"].split() != ["61001"] * 4:
            return None
        assert status["Gid"].split() == ["61001"] * 4
        assert status["Groups"].split() == ["61005"]
        assert {status[name] for name in ("CapEff", "CapPrm", "CapAmb")} == {"0" * 16}
        assert Path(f"/proc/{child}/mem").stat().st_uid == 0  # not dumpable: nobody traces it
        files = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir()]
        assert len([name for name in files if name.startswith("socket:")]) == 1
        return int(child)
    return None
