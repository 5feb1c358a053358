"""Pulls from a real registry: while the job waits, once for all, with progress and with errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection
from launcher.engine.images import Images, Layer
from launcher.errors import NotAllowed
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import EVENT, GpuRequest, JobSpec, JobView, RegistryAuth
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.registry import HTPASSWD, Registry
from tests.support.wait import wait_until

ONE = GpuRequest(kind="profile", profile="1g.6gb")
NONE = GpuRequest(kind="none")
ANN_UID, BOB_UID = 4001, 4002
ANN = {"username": "ann", "password": "secret"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("private"), htpasswd=HTPASSWD)
    yield made
    made.stop()


@pytest.fixture
def images(sandbox: Sandbox) -> Images:
    return Images(DockerConnection(sandbox.docker_host))


@pytest.fixture
def fresh(sandbox: Sandbox, tmp_path: Path) -> str:
    """An image of its own: its layers are nowhere else."""
    api = DockerConnection(sandbox.docker_host).api()
    tag = f"fresh/{tmp_path.name.lower().replace('_', '-')}:1"
    made = api.create_container_from_config(
        {"Image": BUSYBOX, "Cmd": ["sh", "-c", "head -c 3000000 /dev/urandom > /data"]}
    )
    api.start(made["Id"])
    api.wait(made["Id"])
    repository, version = tag.split(":")
    api.commit(made["Id"], repository, version, conf={"Cmd": ["true"]})
    api.remove_container(made["Id"])
    return tag


def forget(sandbox: Sandbox, *tags: str) -> None:
    api = DockerConnection(sandbox.docker_host).api()
    for tag in tags:
        api.remove_image(tag, force=True)


def test_a_missing_image_is_pulled_while_the_job_waits_and_its_id_is_recorded(
    daemon: DaemonProcess, registry: Registry, sandbox: Sandbox, images: Images, fresh: str
) -> None:
    reference = registry.push(sandbox.docker_host, fresh, "team/app:1")
    forget(sandbox, fresh)
    assert images.find(reference) is None
    job = daemon.submit("wc", "-c", "/data", image=reference)
    reasons: set[str] = set()
    for frame in daemon.client.follow(str(job.id)):
        if frame.stream == EVENT:
            told = json.loads(frame.data)
            reasons |= {b["kind"] for b in told["blockers"]}
            if told["progress"]:
                assert told["job"]["slices"] == [], "a slice was held while an image was pulled"
    assert "ImagePull" in reasons
    shown = daemon.client.show(str(job.id))
    assert shown.job.outcome == "COMPLETED"
    assert shown.image_id == images.find(reference)
    assert daemon.output(job) == b"3000000 /data\n"


def test_one_pull_serves_all_who_wait(
    daemon: DaemonProcess, registry: Registry, sandbox: Sandbox, fresh: str
) -> None:
    reference = registry.push(sandbox.docker_host, fresh, "team/shared:1")
    forget(sandbox, fresh)
    request = JobSpec(name="many", image=reference, command=("true",), gpus=ONE)
    jobs = daemon.client.submit([request] * 6)
    assert {daemon.done(job).outcome for job in jobs} == {"COMPLETED"}
    events = [e for e in daemon.client.show(str(jobs[0].id)).events if e.event == "image"]
    assert len(events) == 1


def test_progress_is_reported_by_layer(
    registry: Registry, sandbox: Sandbox, images: Images, fresh: str
) -> None:
    reference = registry.push(sandbox.docker_host, fresh, "team/progress:1")
    forget(sandbox, fresh)
    seen: list[dict[str, Layer]] = []
    images.pull(reference, None, lambda layers: seen.append(dict(layers)))
    words = {layer.status for layers in seen for layer in layers.values()}
    assert "Pull complete" in words
    assert any(layer.total > 3_000_000 for layers in seen for layer in layers.values())


@pytest.mark.parametrize(
    ("name", "words"),
    [("team/nothing:1", "not found"), ("team/app:no-such-tag", "not found")],
)
def test_a_failed_pull_ends_the_job_with_the_words_of_the_registry(
    daemon: DaemonProcess, registry: Registry, name: str, words: str
) -> None:
    job = daemon.done(daemon.submit("true", image=f"{registry.host}/{name}"))
    assert (job.outcome, job.reason) == ("FAILED", "ImagePullFailed")
    assert words in (job.message or "")


def test_a_pull_uses_the_submitters_own_credentials_and_no_others(
    daemon: DaemonProcess, private: Registry, sandbox: Sandbox, fresh: str
) -> None:
    reference = private.push(sandbox.docker_host, fresh, "ann/app:1", ANN)
    forget(sandbox, fresh)
    refused = daemon.done(daemon.submit("true", image=reference))
    assert refused.reason == "ImagePullFailed"
    request = JobSpec(name="private", image=reference, command=("true",), gpus=ONE)
    given = {private.host: RegistryAuth(**ANN)}
    (job,) = daemon.client.submit([request], credentials=given)
    assert daemon.done(job).outcome == "COMPLETED"
    written = b"".join(p.read_bytes() for p in daemon.state.rglob("*") if p.is_file())
    assert b"secret" not in written, "credentials are kept in memory only"
    assert "secret" not in daemon.log.read_text()


def test_always_pulls_what_changed_and_never_does_not(
    daemon: DaemonProcess, registry: Registry, sandbox: Sandbox, images: Images, fresh: str
) -> None:
    reference = registry.push(sandbox.docker_host, fresh, "team/moving:1")
    api = DockerConnection(sandbox.docker_host).api()
    api.tag(BUSYBOX, *reference.rsplit(":", 1))
    old = images.find(reference)
    never = daemon.done(daemon.submit("true", image=reference, pull_policy="never"))
    assert (never.outcome, images.find(reference)) == ("COMPLETED", old)
    always = daemon.submit("ls", "/data", image=reference, pull_policy="always")
    assert daemon.output(always) == b"/data\n"
    assert images.find(reference) != old


def ask(
    daemon: DaemonProcess, reference: str, uid: int, policy: str, **credentials: RegistryAuth
) -> JobView:
    """Submit a CPU job of an image as a user."""
    request = JobSpec(
        name="private", image=reference, command=("true",), gpus=NONE, pull_policy=policy
    )
    with as_user(uid):
        (job,) = daemon.client.submit([request], credentials=credentials)
    return job


def test_made_up_credentials_give_nobody_an_image_that_is_here(
    daemon: DaemonProcess, private: Registry, sandbox: Sandbox, fresh: str
) -> None:
    """A pull that fails says nothing of whose the image is that has the name."""
    hers = private.push(sandbox.docker_host, fresh, "ann/hers:1", ANN)
    built = f"{private.host}/lab/built:1"
    DockerConnection(sandbox.docker_host).api().tag(BUSYBOX, *built.rsplit(":", 1))
    forget(sandbox, fresh)
    given = {private.host: RegistryAuth(**ANN)}
    assert daemon.done(ask(daemon, hers, ANN_UID, "missing", **given)).outcome == "COMPLETED"
    made_up = {private.host: RegistryAuth(username="bob", password="guessed")}
    for policy in ("missing", "never", "always", "missing", "never"):
        refused = daemon.done(ask(daemon, hers, BOB_UID, policy, **made_up))
        assert (refused.outcome, refused.reason) == ("FAILED", "ImagePullFailed"), policy
        assert "publish" not in (refused.message or ""), "others' images are not told of"
    assert daemon.done(ask(daemon, hers, ANN_UID, "never")).outcome == "COMPLETED"


def test_a_private_image_is_nobodys_where_the_daemon_died_before_it_was_on_record(
    make_daemon: MakeDaemon, private: Registry, sandbox: Sandbox, images: Images, fresh: str
) -> None:
    reference = private.push(sandbox.docker_host, fresh, "ann/crash:1", ANN)
    forget(sandbox, fresh)
    daemon = make_daemon()
    daemon.extra["LAUNCHER_CRASH_AT"] = "pull:after"
    daemon.start()
    given = {private.host: RegistryAuth(**ANN)}
    job = ask(daemon, reference, ANN_UID, "missing", **given)
    process = daemon.process
    assert process is not None
    wait_until(lambda: process.poll() is not None, timeout=20, what="it dies after the pull")
    image_id = images.find(reference)
    assert image_id is not None, "Docker has the image, and no record says whose it is"
    daemon.extra.clear()
    daemon.start()
    for name in (reference, images.digest(image_id) or ""):
        refused = daemon.done(ask(daemon, name, BOB_UID, "never"))
        assert (refused.outcome, refused.reason) == ("FAILED", "ImagePullFailed")
    (told,) = [check for check in daemon.client.doctor() if check.check == "images"]
    assert reference not in told.message, "`publish --all` must not give it to everybody"
    wait_until(
        lambda: "launch login" in (daemon.client.show(str(job.id)).blockers[0].have),
        what="her job waits for her login",
    )
    again = ask(daemon, reference, ANN_UID, "missing", **given)
    assert {daemon.done(each).outcome for each in (job, again)} == {"COMPLETED"}
    assert daemon.done(ask(daemon, reference, ANN_UID, "never")).outcome == "COMPLETED"


def test_an_image_that_was_there_is_the_admins_until_one_publishes_it(
    daemon: DaemonProcess, sandbox: Sandbox, fresh: str
) -> None:
    assert daemon.done(ask(daemon, fresh, 0, "never")).outcome == "COMPLETED"
    refused = daemon.done(ask(daemon, fresh, BOB_UID, "never"))
    assert refused.outcome == "FAILED"
    assert f"`launch image publish {fresh}`" in (refused.message or "")
    (told,) = [check for check in daemon.client.doctor() if check.check == "images"]
    assert "`launch image publish --all`" in (told.fix or "")
    with as_user(BOB_UID), pytest.raises(NotAllowed):
        daemon.client.publish([fresh])
    done = daemon.cli("images", "publish", fresh)
    assert (done.returncode, fresh in done.stdout) == (0, True), done.stderr
    assert daemon.done(ask(daemon, fresh, BOB_UID, "never")).outcome == "COMPLETED"
    daemon.stop()
    daemon.start()
    assert daemon.done(ask(daemon, fresh, BOB_UID, "never")).outcome == "COMPLETED"
    assert daemon.cli("images", "publish", "--all").returncode == 0
    (told,) = [check for check in daemon.client.doctor() if check.check == "images"]
    assert told.state == "ok"
    assert daemon.cli("images", "publish", "no/such").returncode == 2


def test_what_a_registry_gives_without_credentials_is_everybodys(
    daemon: DaemonProcess, registry: Registry, sandbox: Sandbox, fresh: str
) -> None:
    reference = registry.push(sandbox.docker_host, fresh, "team/open:1")
    for uid, policy in ((ANN_UID, "missing"), (BOB_UID, "never")):
        assert daemon.done(ask(daemon, reference, uid, policy)).outcome == "COMPLETED"


def test_the_least_recently_used_pulled_image_goes_and_others_stay(
    make_daemon: MakeDaemon, registry: Registry, sandbox: Sandbox, images: Images, fresh: str
) -> None:
    settings = '[history]\nmax_images = "1m"\nevery = "1s"\n'
    daemon = make_daemon("A30:1g.6gb*4", config=settings).start()
    reference = registry.push(sandbox.docker_host, fresh, "team/lru:1")
    forget(sandbox, fresh)
    job = daemon.submit("true", image=reference)
    daemon.until(job, "DONE")
    wait_until(lambda: images.find(reference) is None, timeout=60, what="it is removed")
    assert images.find(BUSYBOX) is not None, "the launcher did not pull it"
    assert not [image for image in daemon.client.image.local() if reference in image.names]
    daemon.until(daemon.submit("true", image=reference), "DONE")


def test_the_images_that_a_user_may_run_are_listed_with_their_last_use(
    daemon: DaemonProcess, registry: Registry, sandbox: Sandbox, fresh: str
) -> None:
    reference = registry.push(sandbox.docker_host, fresh, "team/listed:1")
    forget(sandbox, fresh)
    daemon.until(daemon.submit("true", image=reference), "DONE")
    (mine,) = [i for i in daemon.client.image.local() if reference in i.names]
    assert (mine.access, mine.used_by, mine.pulled_by, mine.jobs) == ("public", "root", "root", 0)
    assert mine.bytes > 3_000_000
    assert mine.used_at is not None
    (busybox,) = [i for i in daemon.client.image.local() if BUSYBOX in i.names]
    assert (busybox.pulled_by, busybox.used_at) == (None, None)
    with as_user(ANN_UID):
        assert daemon.client.image.local() == [], "which images others run is not shown"
        daemon.until(daemon.submit("true", image=reference), "DONE")
        (hers,) = daemon.client.image.local()
        assert (hers.pulled_by, hers.used_by, hers.names) == (None, "4001", [reference])
