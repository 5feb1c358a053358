"""Users load images of their own, which are nobody else's."""

from __future__ import annotations

import io
import json
import pwd
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import LauncherError, NotAllowed, UserError
from launcher.fakegpu import dockerapi
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, JobView
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.images import import_image, remove_image
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
SAVED = "launcher/saved:1"


@pytest.fixture
def archive(sandbox: Sandbox, tmp_path: Path) -> Iterator[Path]:
    """What `docker save` writes of an image that is gone afterwards."""
    import_image(sandbox, SAVED, {"hello": "echo loaded"})
    file = tmp_path / "app.tar"
    command = ["docker", "-H", sandbox.docker_host, "save", SAVED, "-o", str(file)]
    subprocess.run(command, check=True)
    remove_image(sandbox, SAVED)
    yield file
    for name in images_of(sandbox):
        remove_image(sandbox, name)


def images_of(sandbox: Sandbox) -> list[str]:
    _, body = dockerapi.call(sandbox.socket, "GET", "/images/json")
    tags = [tag for image in json.loads(body) for tag in image["RepoTags"] or []]
    return [tag for tag in tags if tag.startswith("launcher-own/")]


def pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(65536):
            yield piece


def load(daemon: DaemonProcess, file: Path, name: str = "app", uid: int = ALICE.pw_uid) -> str:
    with as_user(uid):
        return daemon.client.image.load(name, pieces(file)).name


def run(daemon: DaemonProcess, image: str, uid: int = ALICE.pw_uid, **more: str) -> JobView:
    spec = JobSpec("mine", image, GpuRequest(kind="none"), command=("hello",), **more)  # type: ignore[arg-type]
    with as_user(uid):
        return daemon.done(daemon.client.submit([spec])[0])


def test_a_user_runs_what_docker_save_wrote(daemon: DaemonProcess, archive: Path) -> None:
    assert load(daemon, archive) == "localhost/app:latest"
    for reference in ("localhost/app", "localhost/app:latest", f"localhost/{ALICE.pw_name}/app"):
        job = run(daemon, reference)
        assert (job.outcome, daemon.output(job)) == ("COMPLETED", b"loaded\n"), job.message
    always = run(daemon, "localhost/app", pull_policy="always")
    assert always.outcome == "COMPLETED", "no registry has it"
    with as_user(ALICE.pw_uid):
        (view,) = daemon.client.image.all()
    assert (view.name, view.user, view.public) == ("localhost/app:latest", ALICE.pw_name, False)
    assert view.bytes > 100_000


def test_an_archive_gives_docker_no_name(
    daemon: DaemonProcess, archive: Path, sandbox: Sandbox
) -> None:
    load(daemon, archive, "train:2")
    (kept,) = images_of(sandbox)
    assert kept.startswith("launcher-own/")
    assert f"/{ALICE.pw_uid}:" in kept
    status, _ = dockerapi.call(sandbox.socket, "GET", f"/images/{SAVED}/json")
    assert status == 404, "the name that the archive had"


def test_it_is_nobody_elses_until_an_admin_publishes_it(
    daemon: DaemonProcess, archive: Path
) -> None:
    load(daemon, archive)
    name = f"localhost/{ALICE.pw_name}/app"
    for reference in (name, "localhost/app"):
        job = run(daemon, reference, BOB.pw_uid)
        assert job.outcome == "FAILED"
        assert "no such image of yours" in (job.message or "")
    with as_user(BOB.pw_uid):
        assert daemon.client.image.all() == []
        with pytest.raises(LauncherError, match="there is no image"):
            daemon.client.image.remove(name)
    daemon.client.publish([name])
    job = run(daemon, name, BOB.pw_uid)
    assert (job.outcome, daemon.output(job)) == ("COMPLETED", b"loaded\n"), job.message
    with as_user(BOB.pw_uid), pytest.raises(LauncherError, match="there is no image"):
        daemon.client.image.remove(name)


def test_it_outlives_the_daemon_and_is_gone_when_removed(
    daemon: DaemonProcess, archive: Path, sandbox: Sandbox
) -> None:
    load(daemon, archive)
    daemon.kill()
    daemon.start()
    assert run(daemon, "localhost/app").outcome == "COMPLETED"
    with as_user(ALICE.pw_uid):
        daemon.client.image.remove("localhost/app")
        assert daemon.client.image.all() == []
    assert images_of(sandbox) == []
    assert run(daemon, "localhost/app").outcome == "FAILED"


def test_what_is_no_image_is_refused_and_leaves_nothing(
    daemon: DaemonProcess, archive: Path, sandbox: Sandbox
) -> None:
    whole = archive.read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("etc"))
    for data in (b"", b"x" * 100_000, whole[: len(whole) // 2], buffer.getvalue()):
        with as_user(ALICE.pw_uid), pytest.raises(UserError, match="archive"):
            daemon.client.image.load("app", iter([data]))
    for name in ("", "A", "a/b", "../a", "nvcr.io/nvidia/pytorch"):
        with as_user(ALICE.pw_uid), pytest.raises(UserError, match="is not a name"):
            daemon.client.image.load(name, pieces(archive))
    assert images_of(sandbox) == []


def test_the_images_of_a_user_have_a_limit(make_daemon: MakeDaemon, archive: Path) -> None:
    daemon = make_daemon(config=f"{CONFIG}quota.image_bytes = 1048576\n").start()
    with as_user(ALICE.pw_uid), pytest.raises(UserError, match="more than 1 MiB"):
        daemon.client.image.load("app", pieces(archive))
    daemon = make_daemon(config=f"{CONFIG}quota.image_bytes = 0\n").start()
    with as_user(ALICE.pw_uid), pytest.raises(NotAllowed, match="no room for more"):
        daemon.client.image.load("app", pieces(archive))


def test_a_name_without_a_registry_is_not_an_own_image(
    daemon: DaemonProcess, archive: Path
) -> None:
    load(daemon, archive, "busybox")
    assert run(daemon, BUSYBOX).outcome != "COMPLETED", "it has no `hello`"


def files_of(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        opened = {member.name: tar.extractfile(member) for member in tar if member.isreg()}
        return {name: file.read() for name, file in opened.items() if file}


def written(archive: Path, files: dict[str, bytes]) -> Path:
    file = archive.with_name("changed.tar")
    with tarfile.open(file, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def test_names_that_docker_alone_would_read_are_not_given(
    daemon: DaemonProcess, archive: Path, sandbox: Sandbox
) -> None:
    files = files_of(archive)
    one = json.loads(files["manifest.json"])[0] | {"RepoTags": None, "repotags": ["evil/evil:1"]}
    load(daemon, written(archive, files | {"manifest.json": json.dumps([one]).encode()}))
    status, _ = dockerapi.call(sandbox.socket, "GET", "/images/evil/evil:1/json")
    remove_image(sandbox, "evil/evil:1")
    assert status == 404


def test_another_users_layers_are_not_had_by_their_digests(
    daemon: DaemonProcess, archive: Path
) -> None:
    load(daemon, archive)
    files = files_of(archive)
    one = json.loads(files["manifest.json"])[0]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    changed = files | dict.fromkeys(one["Layers"], buffer.getvalue())
    with pytest.raises(UserError, match=r"layers are not those|not what its name says"):
        load(daemon, written(archive, changed), uid=BOB.pw_uid)


def changed_image(archive: Path, note: str, **more: object) -> Path:
    """The same image with another configuration, so with another id."""
    files = files_of(archive)
    one = json.loads(files["manifest.json"])[0]
    config = json.loads(files[one["Config"]]) | {"author": note}
    config["config"] = config["config"] | more
    one |= {"Config": "changed.json"}
    changed = {
        "changed.json": json.dumps(config).encode(),
        "manifest.json": json.dumps([one]).encode(),
    }
    return written(archive, files | changed)


def image_ids(sandbox: Sandbox) -> set[str]:
    _, body = dockerapi.call(sandbox.socket, "GET", "/images/json")
    return {image["Id"] for image in json.loads(body)}


def test_a_replaced_image_is_gone_once_no_job_uses_it(
    make_daemon: MakeDaemon, archive: Path, sandbox: Sandbox
) -> None:
    size = sum(map(len, files_of(archive).values()))  # of one layer, almost
    daemon = make_daemon(config=f"{CONFIG}quota.image_bytes = {size * 2}\n").start()
    before = image_ids(sandbox)
    load(daemon, archive)
    spec = JobSpec("uses", "localhost/app", GpuRequest(kind="none"), command=("sleep", "600"))
    with as_user(ALICE.pw_uid):
        (job,) = daemon.client.submit([spec])
    wait_until(lambda: daemon.state_of(job) == "RUNNING", what="it runs")
    load(daemon, changed_image(archive, "second"))
    assert len(image_ids(sandbox) - before) == 2
    with pytest.raises(LauncherError, match="when unpacked"):
        load(daemon, changed_image(archive, "third"), "other")
    with as_user(ALICE.pw_uid):
        daemon.client.cancel(job.id)
    daemon.done(job)
    load(daemon, changed_image(archive, "third"))
    with as_user(ALICE.pw_uid):
        daemon.client.image.remove("localhost/app")


def test_an_image_with_endless_volumes_is_refused(daemon: DaemonProcess, archive: Path) -> None:
    volumes: dict[str, object] = {f"/v{number}": {} for number in range(20_000)}
    load(daemon, changed_image(archive, "wide", Volumes=volumes))
    job = run(daemon, "localhost/app")
    assert job.outcome == "FAILED"
    assert "it has 20000 VOLUMEs, 64 at most" in (job.message or "")
