"""What an ordinary user's container is like: HOME, /tmp, places to write, accounts, groups."""

from __future__ import annotations

import io
import pwd
import resource
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from launcher.fakegpu import dockerapi
from launcher.fakegpu.image import busybox_tar
from launcher.fakegpu.sandbox import Sandbox
from launcher.spec.job_spec import Ulimit
from launcher.wire import GpuRequest, JobSpec, JobView, Mount
from tests.conftest import MakeDaemon
from tests.support.daemon import CONFIG, DaemonProcess, as_user
from tests.support.images import remove_image
from tests.support.wait import wait_until

ALICE = pwd.getpwnam("games")
NONE = GpuRequest(kind="none")
HOME = f"/home/{ALICE.pw_name}"
PATH = "ENV PATH=/bin:/opt/conda/bin"

Entry = tuple[str, int, int]
"""A directory's path, its mode and its owner."""


@dataclass(frozen=True)
class Shape:
    """What popular images of one kind have in common."""

    changes: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


SHAPES = {
    "no-workdir": Shape(),
    "pytorch-workspace-0755": Shape(("WORKDIR /workspace",), (("workspace", 0o755, 0),)),
    "ngc-workspace-0777": Shape(("WORKDIR /workspace",), (("workspace", 0o777, 0),)),
    "node-usr-src-app": Shape(
        ("WORKDIR /usr/src/app",),
        (("usr", 0o755, 0), ("usr/src", 0o755, 0), ("usr/src/app", 0o755, 0)),
        {"usr/src/app/main": "code"},
    ),
    "conda-of-root": Shape(
        ("WORKDIR /opt/project", "ENV HOME=/root"),
        (("opt", 0o755, 0), ("opt/conda", 0o755, 0), ("opt/project", 0o750, 0)),
        {"opt/conda/marker": "conda"},
    ),
    "jupyter-user-of-its-own": Shape(
        ("USER 4321", "WORKDIR /home/jovyan", "ENV HOME=/home/jovyan"),
        (("home/jovyan", 0o755, 4321),),
        {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\njovyan:x:4321:100::/home/jovyan:/bin/sh\n"},
    ),
    "tmp-0755": Shape((), (("tmp", 0o755, 0),)),
    "workdir-of-root": Shape(("WORKDIR /root",), (("root", 0o700, 0),)),
    "distroless": Shape(
        ("WORKDIR /app",), (("app", 0o755, 0),), without=("etc/passwd", "etc/group")
    ),
    "linked-workdir": Shape(
        ("WORKDIR /work",),
        (("data", 0o755, 0), ("data/work", 0o755, 0)),
        links={"work": "data/work"},
    ),
    "links-into-mounts": Shape(
        (),
        (("opt", 0o755, 0), ("opt/app", 0o755, 0)),
        links={"w": "mnt/team", "v": "mnt/team/bobs", "x": "opt/app"},
    ),
    "uid-taken": Shape(
        ("WORKDIR /app",),
        (("app", 0o755, 0),),
        {
            "etc/passwd": "root:x:0:0::/root:/bin/sh\n"
            f"ubuntu:x:{ALICE.pw_uid}:{ALICE.pw_gid}::/x:/bin/sh\n"
        },
    ),
}


def image_of(name: str) -> str:
    return f"docker.io/library/shape-{name}:1"


def import_shape(sandbox: Sandbox, name: str, shape: Shape) -> None:
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox_tar())) as base,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for member in base:
            replaced = {path for path, _, _ in shape.entries} | {*shape.without, *shape.files}
            if member.name not in replaced:
                tar.addfile(member, base.extractfile(member) if member.isreg() else None)
        for path, mode, owner in shape.entries:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
            tar.addfile(entry)
        for path, text in shape.files.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o644, len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
        for path, target in shape.links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    changes = ('CMD ["sh"]', PATH, *shape.changes)
    dockerapi.import_image(sandbox.socket, packed.getvalue(), image_of(name), changes)


@pytest.fixture(scope="module")
def shapes(sandbox: Sandbox) -> Iterator[None]:
    for name, shape in SHAPES.items():
        import_shape(sandbox, name, shape)
    yield
    for name in SHAPES:
        remove_image(sandbox, image_of(name))


@pytest.fixture
def daemon(make_daemon: MakeDaemon, shapes: None) -> DaemonProcess:
    daemon = make_daemon().start()
    daemon.client.publish([image_of(name) for name in SHAPES])
    return daemon


def output(daemon: DaemonProcess, script: str, image: str = "no-workdir", **fields: object) -> str:
    """What a script of Alice's prints; it must succeed."""
    request = JobSpec(
        name="mine",
        image=image_of(image),
        gpus=NONE,
        command=("sh", "-c", script),
        **fields,  # type: ignore[arg-type]
    )
    with as_user(ALICE.pw_uid):
        job = daemon.client.submit([request])[0]
    view = daemon.done(job)
    log = (daemon.output(job) + daemon.output(job, 2)).decode()
    assert view.outcome == "COMPLETED", (view, log)
    return log


@pytest.mark.parametrize("name", SHAPES)
def test_home_tmp_and_the_working_directory_are_the_users_in_images_of_every_shape(
    daemon: DaemonProcess, name: str
) -> None:
    script = (
        "set -e; for at in . ~ /tmp ~/.cache; do mkdir -p $at/new; echo x > $at/file; done;"
        "pwd; echo $HOME; whoami; id -un; id -gn"
    )
    lines = output(daemon, script, name).split("\n")
    where = next((c.split()[1] for c in SHAPES[name].changes if c.startswith("WORKDIR")), HOME)
    where = "/data/work" if name == "linked-workdir" else where
    for path, text in SHAPES[name].files.items():
        if not path.startswith("etc/"):
            assert text in output(daemon, f"cat /{path}", name), "what is in it stays"
    assert lines[:5] == [where, HOME, ALICE.pw_name, ALICE.pw_name, ALICE.pw_name], lines


def test_the_cache_alone_outlives_a_job(daemon: DaemonProcess) -> None:
    files = "~/.profile ~/.local/bin/x ~/.cache/weights /tmp/t"
    output(daemon, f"mkdir -p ~/.local/bin; echo a | tee {files}")
    left = output(daemon, "cd ~; find . -type f; ls -A /tmp; cat .cache/weights")
    assert left.split() == ["./.cache/weights", "a"]
    homes = daemon.state / "homes"
    wait_until(lambda: not list((homes / "jobs").iterdir()), what="no job's directories are left")
    wait_until(lambda: not list((homes / "removed").iterdir()), what="they are deleted")
    assert (homes / "caches" / str(ALICE.pw_uid) / "cache" / "weights").read_text() == "a\n"


def test_other_users_of_the_machine_cannot_enter_the_homes(daemon: DaemonProcess) -> None:
    output(daemon, "chmod 777 ~ ~/.cache; touch ~/.cache/x")
    with as_user(pwd.getpwnam("news").pw_uid, reading=False), pytest.raises(PermissionError):
        (daemon.state / "homes" / "caches").stat()


def test_the_parents_of_a_mount_below_home_are_the_users(
    make_daemon: MakeDaemon, shapes: None
) -> None:
    with tempfile.TemporaryDirectory(prefix="mounts-", dir="/srv") as place:
        Path(place).chmod(0o755)
        config = f'{CONFIG}policy.mount_roots = ["{place}"]\n'
        daemon = make_daemon(config=config).start()
        daemon.client.publish([image_of("no-workdir")])
        inside = (
            Mount(place, f"{HOME}/.cache/huggingface/hub", read_only=True),
            Mount(place, f"{HOME}/work/deep/data", read_only=True),
            Mount(place, "/tmp/a/b", read_only=True),
        )
        script = (
            "cd ~; touch .cache/x .cache/huggingface/x work/x work/deep/x /tmp/a/x;"
            "stat -c %u .cache .cache/huggingface work work/deep /tmp/a"
        )
        told = output(daemon, script, volumes=inside)
    assert told.split() == [str(ALICE.pw_uid)] * 5


@pytest.mark.parametrize(
    ("target", "working_dir"),
    [
        ("/mnt/team", "/mnt/team/bobs"),
        ("/mnt/team", "/w/bobs"),
        ("/mnt/team", "/v"),
        ("/x/team", "/opt/app/team/bobs"),
    ],
)
def test_a_working_directory_in_a_mount_keeps_its_owner_whatever_leads_there(
    make_daemon: MakeDaemon, shapes: None, target: str, working_dir: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="mounts-", dir="/srv") as place:
        Path(place).chmod(0o755)
        (Path(place) / "bobs").mkdir(mode=0o755)
        config = f'{CONFIG}policy.mount_roots = ["{place}"]\n'
        daemon = make_daemon(config=config).start()
        daemon.client.publish([image_of("links-into-mounts")])
        mount = Mount(place, target)
        output(daemon, "true", "links-into-mounts", volumes=(mount,), working_dir=working_dir)
        assert (Path(place) / "bobs").stat().st_uid == 0


def test_limits_are_as_asked(daemon: DaemonProcess) -> None:
    # Not above this machine's own: a container of a sandbox may lack CAP_SYS_RESOURCE.
    most = min(resource.getrlimit(resource.RLIMIT_MEMLOCK)[1], 1 << 20)
    limits = {
        "memlock": Ulimit(most, most),
        "stack": Ulimit(67108864, 67108864),
        "nofile": Ulimit(100, 200),
    }
    told = output(daemon, "echo $(ulimit -l) $(ulimit -s) $(ulimit -n)", ulimits=limits)
    assert told.strip() == f"{most // 1024} 65536 100"


def test_tmp_is_in_memory_where_that_is_asked_for(daemon: DaemonProcess) -> None:
    script = "grep ' /tmp ' /proc/mounts; df -k /tmp | tail -1"
    in_memory, on_disk = output(daemon, script, tmp="memory"), output(daemon, script)
    assert "tmpfs" in in_memory.split()[0]
    assert in_memory != on_disk, "it may be in memory too, as is all of a test's machine"


def test_accounts_cannot_be_changed(daemon: DaemonProcess) -> None:
    assert "refused" in output(daemon, "echo x >> /etc/passwd || echo refused")


def limited(make_daemon: MakeDaemon, more: str) -> DaemonProcess:
    daemon = make_daemon(config=f"{CONFIG}{more}\n").start()
    daemon.client.publish([image_of("no-workdir")])
    return daemon


def submit(daemon: DaemonProcess, script: str) -> JobView:
    request = JobSpec(
        name="mine", image=image_of("no-workdir"), gpus=NONE, command=("sh", "-c", script)
    )
    with as_user(ALICE.pw_uid):
        return daemon.client.submit([request])[0]


def waits_for_disk(daemon: DaemonProcess, job: JobView) -> bool:
    blockers = daemon.client.queue.why(job.id).blockers
    return any("have" in b.have and "limit" in b.have for b in blockers)


def test_a_user_whose_job_is_above_the_limit_starts_no_other_one(
    make_daemon: MakeDaemon, shapes: None
) -> None:
    daemon = limited(make_daemon, 'policy.disk = "8m"')
    fills = "dd if=/dev/zero of=/tmp/x bs=1M count=11;until [ -e ~/.cache/go ]; do sleep 0.1; done"
    first = submit(daemon, fills)
    wait_until(
        lambda: daemon.state_of(first) == "RUNNING" and "11" in usage_of(daemon, first),
        what="filled",
    )
    second = submit(daemon, "touch ~/.cache/go")
    wait_until(lambda: waits_for_disk(daemon, second), what="the second waits")
    third = submit(daemon, "true")
    with as_user(ALICE.pw_uid):
        daemon.client.cancel(first.id)
    assert daemon.done(second).outcome == daemon.done(third).outcome == "COMPLETED"


def usage_of(daemon: DaemonProcess, job: JobView) -> str:
    """The MiB that a job has, as its user sees it."""
    with as_user(ALICE.pw_uid):
        (view,) = daemon.client.disk()
    return str([j.bytes >> 20 for j in view.jobs if j.id == job.id])


def test_a_job_far_above_the_limit_ends_with_the_reason(
    make_daemon: MakeDaemon, shapes: None
) -> None:
    daemon = limited(make_daemon, 'policy.disk = "8m"')
    job = submit(daemon, "dd if=/dev/zero of=$HOME/x bs=1M count=20 2>&-; exec sleep 60")
    ended = daemon.done(job)
    assert ended.outcome == "CANCELLED"
    assert "more than 2 times the limit of 8 MiB" in (ended.message or "")


def test_a_full_cache_keeps_jobs_waiting_until_it_is_emptied(
    make_daemon: MakeDaemon, shapes: None
) -> None:
    daemon = limited(make_daemon, "quota.cache_bytes = 4194304")
    daemon.done(submit(daemon, "dd if=/dev/zero of=$HOME/.cache/x bs=1M count=6"))
    holds = submit(daemon, "exec sleep 60")
    wait_until(
        lambda: "clear-cache" in str(daemon.client.queue.why(submit(daemon, "true").id)), what="x"
    )
    with as_user(ALICE.pw_uid):
        assert daemon.client.clear_cache().bytes >= 6 << 20
    job = submit(daemon, "ls -A ~/.cache")
    assert (daemon.done(job).outcome, daemon.output(job)) == ("COMPLETED", b"")
    daemon.client.cancel(holds.id)


def test_directories_that_are_deep_or_closed_are_deleted_too(daemon: DaemonProcess) -> None:
    output(
        daemon,
        "cd ~; i=0; while [ $i -lt 600 ]; do mkdir d; cd d; i=$((i+1)); done; touch f;"
        "cd /tmp; mkdir -p a/b; touch a/b/c; ln -s /etc link; chmod 0 a/b a",
    )
    homes = daemon.state / "homes"
    wait_until(
        lambda: not list((homes / "jobs").iterdir()) and not list((homes / "removed").iterdir()),
        what="they are deleted",
    )


def test_a_job_that_runs_out_of_memory_is_told_how_much_of_it_was_files(
    daemon: DaemonProcess,
) -> None:
    fill = "dd if=/dev/zero bs=1M count=50"
    script = f"{fill} of=/tmp/x; sleep 1.5; {fill} of=/tmp/y"
    request = JobSpec(
        name="mine", image=image_of("no-workdir"), gpus=NONE, mem_limit=64 << 20,
        shm_size=32 << 20, tmp="memory",
        command=("sh", "-c", script),
    )  # fmt: skip
    with as_user(ALICE.pw_uid):
        job = daemon.client.submit([request])[0]
    ended = daemon.done(job)
    assert ended.outcome == "OUT_OF_MEMORY", ended
    assert "its memory limit is 64 MiB; when last measured, 5" in (ended.message or "")
