"""Ordinary users' mounts on a real dockerd: opened as their owner, whatever he does meanwhile."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.daemon.mounts.root_links import resolved
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import LauncherError, NotAllowed, PinRefused
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, JobView, Mount
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
NONE = GpuRequest(kind="none")


@pytest.fixture
def place() -> Iterator[Path]:
    """Roots that root owns all the way up: homes, what all may read, and a secret of root's."""
    home = Path("/srv") / f"launcher-{secrets.token_hex(6)}"  # /tmp is open to all
    home.mkdir(parents=True)
    for user in (ALICE, BOB):
        own = home / user.pw_name
        own.mkdir(mode=0o700)
        os.chown(own, user.pw_uid, user.pw_gid)
    (home / "shared").mkdir(mode=0o755)
    (home / "shared" / "set").write_text("data")
    secret = home / "secret"
    secret.mkdir(mode=0o700)
    (secret / "open").mkdir(mode=0o755)
    (secret / "open" / "key").write_text("root's")
    (home / "team" / "bobs" / "open").mkdir(parents=True)
    (home / "team" / "bobs" / "open" / "key").write_text("root's")
    os.chown(home / "team" / "bobs", BOB.pw_uid, BOB.pw_gid)
    (home / "team" / "bobs").chmod(0o700)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def daemon(pins: Path, make_daemon: MakeDaemon, place: Path) -> DaemonProcess:
    """A daemon whose users may mount below these roots."""
    roots = f'["{place}/{{user}}", "{place}/shared:ro", "{place}/team"]'
    config = f'{CONFIG}policy.mount_roots = {roots}\npins_directory = "{pins}"\n'
    return make_daemon(config=config).start()


def asked(*command: str, mounts: list[Mount], **fields: object) -> JobSpec:
    base = {"name": "mounts", "image": BUSYBOX, "gpus": NONE, "volumes": mounts} | fields
    return JobSpec(command=list(command), **base)  # type: ignore[arg-type]


def submit(daemon: DaemonProcess, request: JobSpec, uid: int = ALICE.pw_uid) -> JobView:
    with as_user(uid):
        return daemon.client.submit([request])[0]


def pins_left(pins: Path) -> list[str]:
    """Return what is mounted below the directory of pins."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in mounts if f"{pins}/" in line]


def test_a_user_mounts_his_own_and_what_all_may_read(
    daemon: DaemonProcess, place: Path, pins: Path
) -> None:
    script = "echo out > /work/file; cat /in/set; touch /in/x 2>/dev/null || echo ' read-only'"
    mounts = [
        Mount(source=f"{place}/games", target="/work"),
        Mount(source=f"{place}/shared", target="/in", read_only=True),
    ]
    job = submit(daemon, asked("sh", "-c", script, mounts=mounts))
    assert daemon.output(job) == b"data read-only\n"
    written = place / "games" / "file"
    assert (written.read_text(), written.stat().st_uid) == ("out\n", ALICE.pw_uid)
    wait_until(lambda: not pins_left(pins), what="its pins are gone")


def test_a_new_directory_of_his_is_found_when_his_job_starts(
    daemon: DaemonProcess, place: Path
) -> None:
    sub = place / "games" / "sub"
    sub.mkdir()
    os.chown(sub, ALICE.pw_uid, ALICE.pw_gid)
    job = submit(daemon, asked("ls", "/work", mounts=[Mount(source=str(sub), target="/work")]))
    assert daemon.done(job).outcome == "COMPLETED"


ATTACKS: dict[str, Callable[[Path], list[Mount]]] = {
    "root's files": lambda p: [Mount(source="/etc", target="/h")],
    "the root of the host": lambda p: [Mount(source="/", target="/h")],
    "docker's socket": lambda p: [Mount(source="/var/run/docker.sock", target="/d")],
    "another's home": lambda p: [Mount(source=f"{p}/news", target="/h")],
    "root's open files": lambda p: [Mount(source=f"{p}/secret/open", target="/h")],
    "what another has closed": lambda p: [Mount(source=f"{p}/team/bobs/open", target="/h")],
    "out of his home by dots": lambda p: [Mount(source=f"{p}/games/../secret/open", target="/h")],
    "a link to root's files": lambda p: [Mount(source=f"{p}/games/link", target="/h")],
    "writing what all may read": lambda p: [Mount(source=f"{p}/shared", target="/h")],
    "nvidia's devices": lambda p: [
        Mount(source=f"{p}/games", target="/var/run/nvidia-container-devices/all")
    ],
    "the loader's files": lambda p: [Mount(source=f"{p}/games", target="/etc/ld.so.preload")],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_his_is_refused_at_submit(
    daemon: DaemonProcess, place: Path, attack: str, count: Callable[[str, int], None]
) -> None:
    (place / "games" / "link").symlink_to(place / "secret" / "open")
    count("escapes tried", 1)
    with pytest.raises((NotAllowed, PinRefused)):
        submit(daemon, asked("cat", "/h/key", mounts=ATTACKS[attack](place)))
    count("escapes successful", 0)


def test_a_link_that_is_put_in_place_after_the_submit_is_not_followed(
    daemon: DaemonProcess, place: Path, count: Callable[[str, int], None]
) -> None:
    data = place / "games" / "data"
    data.mkdir()
    os.chown(data, ALICE.pw_uid, ALICE.pw_gid)
    mounts = [Mount(source=str(data), target="/h")]
    job = submit(daemon, asked("cat", "/h/key", mounts=mounts, hold=True))
    data.rmdir()
    data.symlink_to(place / "secret" / "open")
    daemon.client.release(str(job.id))
    ended = daemon.done(job)
    count("escapes tried", 1)
    assert (ended.outcome, ended.exit_code) == ("FAILED", None)
    assert "volumes: " in (ended.message or "")
    assert daemon.client.show(str(job.id)).attempts[0].container_id is None
    count("escapes successful", 0)


def test_a_link_that_is_put_in_place_while_the_container_is_made_shows_it_nothing(
    daemon: DaemonProcess, place: Path, docker: Containers, count: Callable[[str, int], None]
) -> None:
    """The source is swapped all the while: what is pinned is his, or nothing starts."""
    here, there = place / "games" / "a", place / "games" / "b"
    here.mkdir()
    os.chown(here, ALICE.pw_uid, ALICE.pw_gid)
    there.symlink_to(place / "secret" / "open")
    mounts = [Mount(source=str(here), target="/h")]
    stop = os.fork()
    if stop == 0:
        while True:
            there.rename(place / "games" / "c")
            here.rename(there)
            (place / "games" / "c").rename(here)
    try:
        read = b""
        for _ in range(5):
            count("escapes tried", 1)
            try:
                job = submit(daemon, asked("cat", "/h/key", mounts=mounts))
            except LauncherError:
                continue
            daemon.done(job)
            read += daemon.output(job)
    finally:
        os.kill(stop, 9)
        os.waitpid(stop, 0)
    assert b"root's" not in read
    count("escapes successful", 0)


def test_a_daemon_that_is_killed_leaves_no_mount_once_its_jobs_are_over(
    daemon: DaemonProcess, place: Path, pins: Path
) -> None:
    mounts = [Mount(source=f"{place}/games", target="/work")]
    running = submit(daemon, asked("sh", "-c", "sleep 3; echo x > /work/late", mounts=mounts))
    daemon.until(running, "RUNNING")
    assert len(pins_left(pins)) == 1
    daemon.kill()
    daemon.start()
    assert daemon.done(running).outcome == "COMPLETED"
    assert (place / "games" / "late").read_text() == "x\n", "its mount was left alone"
    wait_until(lambda: not pins_left(pins), what="its pins are gone")


def test_a_container_that_was_made_before_the_daemon_died_is_started_with_its_mounts(
    daemon: DaemonProcess, place: Path, sandbox: Sandbox
) -> None:
    mounts = [Mount(source=f"{place}/games", target="/work")]
    daemon.stop()
    daemon.extra = {"LAUNCHER_CRASH_AT": "start:before"}
    daemon.start()
    job = submit(daemon, asked("sh", "-c", "echo x > /work/file", mounts=mounts))
    assert daemon.process is not None
    daemon.process.wait(20)
    daemon.extra = {}
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"
    assert (place / "games" / "file").read_text() == "x\n"
    assert DockerConnection(sandbox.docker_host).version()["Version"]


# --- directories of the container that are in a mount


def image_of(sandbox: Sandbox, name: str, **conf: object) -> str:
    """Make an image with this configuration."""
    api = DockerConnection(sandbox.docker_host).api()
    made = api.create_container_from_config({"Image": BUSYBOX, "Cmd": ["true"]})
    repository, tag = name.split(":")
    api.commit(made["Id"], repository, tag, conf=conf)
    api.remove_container(made["Id"])
    return name


def sub_of(place: Path, name: str) -> Path:
    """Make a directory of alice's in her home."""
    sub = place / "games" / name
    sub.mkdir()
    os.chown(sub, ALICE.pw_uid, ALICE.pw_gid)
    return sub


def test_a_job_starts_in_a_directory_below_a_mount(daemon: DaemonProcess, place: Path) -> None:
    sub_of(place, "sub")
    mounts = [Mount(source=f"{place}/games", target="/work")]
    for directory in ("/work", "/work/sub", "/work/./sub/"):
        script = "pwd; ls -di ."
        job = submit(daemon, asked("sh", "-c", script, mounts=mounts, working_dir=directory))
        told, inode = daemon.output(job).decode().split()[:2]
        assert told == directory.replace("/./", "/").rstrip("/")
        assert int(inode) == (place / "games" / told.removeprefix("/work").strip("/")).stat().st_ino


def test_a_directory_below_a_mount_that_is_missing_is_refused_and_not_made(
    daemon: DaemonProcess, place: Path
) -> None:
    mounts = [Mount(source=f"{place}/games", target="/work")]
    told = rf"working_dir /work/x/y does not exist in {place}/games"
    with pytest.raises(PinRefused, match=told):
        submit(daemon, asked("true", mounts=mounts, working_dir="/work/x/y"))
    sub = sub_of(place, "x")
    job = submit(daemon, asked("true", mounts=mounts, working_dir="/work/x", hold=True))
    sub.rmdir()
    daemon.client.release(str(job.id))
    ended = daemon.done(job)
    assert (ended.outcome, ended.exit_code) == ("FAILED", None)
    assert f"volumes: working_dir /work/x does not exist in {place}/games" in (ended.message or "")
    assert list((place / "games").iterdir()) == []


@pytest.mark.parametrize("link", ["/proc/self/fd/7", "/proc/1/root", "sub", "/etc"])
@pytest.mark.parametrize("below", ["", "/x"])
def test_a_directory_below_a_mount_is_reached_by_no_symlink(
    daemon: DaemonProcess, place: Path, count: Callable[[str, int], None], link: str, below: str
) -> None:
    sub_of(place, "sub")
    (place / "games" / "link").symlink_to(link)
    mounts = [Mount(source=f"{place}/games", target="/work")]
    count("escapes tried", 1)
    with pytest.raises(PinRefused, match=rf"working_dir /work/link{below} is a symlink in"):
        submit(daemon, asked("pwd", mounts=mounts, working_dir=f"/work/link{below}"))
    count("escapes successful", 0)


def test_an_images_own_directories_are_not_made_in_a_users_tree(
    daemon: DaemonProcess, place: Path, sandbox: Sandbox
) -> None:
    mounts = [Mount(source=f"{place}/games", target="/app")]
    of = {
        "the image's WORKDIR": image_of(sandbox, "launcher/dir:1", WorkingDir="/app/src"),
        "the image's VOLUME": image_of(sandbox, "launcher/vol:1", Volumes={"/app/src": {}}),
    }
    daemon.client.publish(list(of.values()))
    for what, image in of.items():
        ended = daemon.done(submit(daemon, asked("pwd", mounts=mounts, image=image)))
        assert ended.outcome == "FAILED"
        assert f"{what} /app/src does not exist in {place}/games" in (ended.message or "")
        assert list((place / "games").iterdir()) == []
    sub_of(place, "src")
    for what, image in of.items():
        job = submit(daemon, asked("pwd", mounts=mounts, image=image))
        expected = b"/app/src\n" if what.endswith("WORKDIR") else b"/home/games\n"
        assert daemon.output(job) == expected


@pytest.fixture
def linked(place: Path) -> Path:
    """Homes that are symlinks of root's to another place, as with NFS and autofs."""
    homes = place / "homes"
    homes.mkdir()
    for user in (ALICE, BOB):
        (homes / user.pw_name).symlink_to(place / user.pw_name)
    return homes


@pytest.mark.parametrize("by", ["the configured path", "the path that it leads to"])
def test_a_home_that_is_a_symlink_is_mounted_by_either_path(
    pins: Path, make_daemon: MakeDaemon, place: Path, linked: Path, by: str
) -> None:
    config = f'{CONFIG}policy.mount_roots = ["{linked}/{{user}}"]\npins_directory = "{pins}"\n'
    daemon = make_daemon(config=config).start()
    data = place / "games" / "data"
    data.mkdir()
    (data / "key").write_text("mine")
    for path in (data, data / "key"):
        os.chown(path, ALICE.pw_uid, ALICE.pw_gid)
    source = linked / "games" / "data" if by == "the configured path" else data
    mounts = [Mount(source=str(source), target="/h")]
    job = submit(daemon, asked("cat", "/h/key", mounts=mounts))
    assert daemon.output(job) == b"mine"
    spec = daemon.client.show(str(job.id)).spec
    assert spec is not None
    assert spec.volumes[0].source == str(linked / "games" / "data")


def test_a_root_is_resolved_only_where_root_alone_can_have_made_the_link(
    place: Path, linked: Path, count: Callable[[str, int], None]
) -> None:
    assert resolved(str(linked / "games")) == str(place / "games")
    (place / "all").symlink_to("homes/../homes")
    assert resolved(str(place / "all" / "games")) == str(place / "games")
    assert resolved(str(place / "games")) == str(place / "games")
    users = place / "games" / "link"
    users.symlink_to(place / "secret")
    for path in (users, place / "nowhere", place / "round"):
        (place / "round").unlink(missing_ok=True)
        (place / "round").symlink_to("round")
        count("escapes tried", 1)
        assert resolved(str(path)) == str(path)
    (place / "system").symlink_to("/etc")
    assert resolved(str(place / "system")) == str(place / "system"), "it is never a root"
    count("escapes successful", 0)
