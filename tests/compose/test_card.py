"""`docker compose up -d` on a machine with a card: jobs, restarts, upgrades, layouts."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Client
from launcher.client.sockets import answers
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import Mount
from tests.compose.stack import IMAGE, NONE, Stack
from tests.support.daemon import LAUNCH, as_user
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)
ALICE = pwd.getpwnam("games")


def test_jobs_of_root_and_of_an_ordinary_user_run_on_the_slices_of_the_machine(
    stack: Stack, gpu_docker: Sandbox, machine: Machine
) -> None:
    stack.up()
    wait_until(lambda: stack.health() == "healthy", what="Docker finds it healthy")
    status = stack.client.status()
    assert (status.state, status.gpus, status.fake_gpu) == ("healthy", 1, False)
    user = OrdinaryUser("games")  # nobody is the user of `launch web` there
    show = ("run", "--profile", "1g.6gb", IMAGE, "--", "sh", "-c", "id -u; echo $LAUNCHER_SLICES")
    try:
        for before, uid in (([], "0"), (user.command(docker=False), str(user.uid))):
            done = stack.launch(*show, before=before)
            assert done.returncode == 0, done.stderr
            told, uuid = done.stdout.splitlines()
            assert told == uid
            assert gpu_docker.hook.starts()[-1].devices == (uuid,)
        done = stack.launch("logs", "2", before=user.command(docker=False))
        assert done.stdout.splitlines()[0] == str(user.uid)
    finally:
        user.close()
    inside = stack.compose("exec", "-T", "launcher", "launch", "ps", "-a", "-o", "name")
    assert inside.stdout.split() == ["1", "2"]


def test_the_daemons_own_container_is_no_foreign_use_and_any_other_is(
    stack: Stack, gpu_docker: Sandbox
) -> None:
    stack.up()
    assert {s.state for s in stack.client.slices()} == {"free"}
    info = stack.container()
    request = info["HostConfig"]["DeviceRequests"]
    assert [r["Count"] for r in request] == [-1]
    labels, environment = info["Config"]["Labels"], info["Config"]["Env"]
    body = {
        "Image": IMAGE, "Entrypoint": ["sleep", "60"], "Labels": labels, "Env": environment,
        "Hostname": info["Config"]["Hostname"],
        "HostConfig": {"DeviceRequests": request, "NetworkMode": "none"},
    }  # fmt: skip
    stack.containers.create("twin", body)
    try:
        stack.containers.start("twin")
        wait_until(
            lambda: {s.state for s in stack.client.slices()} == {"foreign"}, timeout=20,
            what="another container with every GPU is seen",
        )  # fmt: skip
        assert "twin" in (stack.client.slices()[0].why or "")
    finally:
        stack.containers.remove("twin")


def test_a_job_outlives_a_daemon_that_is_killed_and_its_end_is_known(stack: Stack) -> None:
    stack.up()
    job = stack.running(stack.submit("sh", "-c", "sleep 4; exit 7"))
    before, daemon = stack.pid_of(job), stack.pid
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: stack.pid not in (0, daemon), timeout=20, what="Docker starts it again")
    wait_until(stack.answers, timeout=20, what="the daemon answers again")
    assert stack.pid_of(job) == before
    assert stack.client.wait(str(job.id), timeout=30).exit_code == 7


def test_output_without_a_newline_is_there_at_once_also_after_the_daemon_was_killed(
    stack: Stack,
) -> None:
    stack.up()
    script = "printf one; until [ -e /tmp/go ]; do sleep 0.05; done; printf two; sleep 60"
    job = stack.running(stack.submit("sh", "-c", script))
    daemon, keeper = stack.pid, stack.container("output")["Id"]
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: stack.pid not in (0, daemon), timeout=20, what="Docker starts it again")
    wait_until(stack.answers, timeout=20, what="the daemon answers again")
    assert stack.container("output")["Id"] == keeper
    Path(f"/proc/{stack.pid_of(job)}/root/tmp/go").touch()

    def printed() -> bytes:
        return b"".join(frame.data for frame in stack.client.logs(str(job.id)) if frame.data)

    wait_until(lambda: printed() == b"onetwo", what="what it printed is read, without a newline")
    stack.client.cancel(str(job.id), now=True)


def test_a_job_outlives_an_upgrade_and_is_taken_over(stack: Stack, repository: Path) -> None:
    stack.up()
    job = stack.running(stack.submit("sleep", "60"))
    before, container, image = (
        stack.pid_of(job),
        stack.container()["Id"],
        stack.container()["Image"],
    )
    module = repository / "launcher" / "__init__.py"
    text = module.read_text()
    try:
        module.write_text(text + "\n# a new version\n")
        stack.up("--build")
    finally:
        module.write_text(text)
    after = stack.container()
    assert (after["Id"], after["Image"]) != (container, image)
    assert after["Image"] != image
    assert stack.pid_of(job) == before
    stack.client.cancel(str(job.id))
    assert stack.client.wait(str(job.id), timeout=30).outcome == "CANCELLED"


def test_down_and_up_keep_the_queue_and_what_runs(stack: Stack) -> None:
    stack.up()
    long = stack.running(stack.submit("sh", "-c", "sleep 8; exit 3"))
    jobs = [stack.submit("sleep", "1") for _ in range(6)]
    before = stack.pid_of(long)
    stack.compose("down")
    assert stack.pid_of(long) == before
    done = stack.launch("status")
    assert (done.returncode, "no launcher daemon is running" in done.stderr) == (3, True)
    stack.up()
    assert stack.pid_of(long) == before
    assert [stack.client.wait(str(j.id), timeout=60).outcome for j in jobs] == ["COMPLETED"] * 6
    assert stack.client.wait(str(long.id), timeout=30).exit_code == 3


def test_a_docker_that_made_its_socket_anew_is_found_again(
    stack: Stack, gpu_docker: Sandbox
) -> None:
    stack.up()
    job = stack.running(stack.submit("sleep", "60"))
    before = stack.pid_of(job)
    gpu_docker.stop_dockerd()
    gpu_docker.start_dockerd()

    def goes_on() -> bool:
        return stack.answers() and stack.client.status().state == "healthy"

    wait_until(goes_on, timeout=60, what="the daemon reaches the new dockerd")
    assert stack.pid_of(job) == before
    assert stack.client.wait(str(stack.submit("true").id), timeout=30).outcome == "COMPLETED"


@contextlib.contextmanager
def another_daemon(stack: Stack, machine: Machine, place: Path, socket: Path) -> Iterator[Client]:
    """Run a daemon on the host as systemd does: the same GPUs, the same locks."""
    config = place / "launcher.toml"
    config.write_text(f'lock_dir = "{stack.run}"\n')
    words = ["serve", "--socket", str(socket), "--state-dir", str(place / "state")]
    words += ["--config", str(config), "--docker-host", stack.sandbox.docker_host]
    card = {
        "LD_LIBRARY_PATH": str(machine.directory / "card"),
        "FAKEGPU_STATE": str(machine.path),
    }
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([*LAUNCH, *words], env=os.environ | card, stderr=log)
    try:
        wait_until(lambda: answers(str(socket)), what="the host's daemon answers")
        yield Client(str(socket))
    finally:
        process.terminate()
        process.wait(20)


def test_a_second_daemon_on_the_same_gpus_leases_nothing_and_says_why(
    stack: Stack, machine: Machine, tmp_path: Path
) -> None:
    with another_daemon(stack, machine, tmp_path, tmp_path / "l.sock") as first:
        wait_until(lambda: first.status().gpus == 1, what="the host's daemon has the GPU")
        stack.up()
        done = stack.launch("status")
        words = f"is claimed by another launcher daemon (pid {first.status().pid}, store "
        assert done.returncode == 1
        for told in (done.stdout, stack.logs("launcher")):
            assert words in told
        assert {s.state for s in stack.client.slices()} == {"foreign"}
    wait_until(
        lambda: stack.client.status().state == "healthy", timeout=20, what="it takes the GPU over"
    )


def test_a_daemon_that_listens_on_the_same_socket_is_named_in_the_logs(
    stack: Stack, machine: Machine, tmp_path: Path
) -> None:
    stack.run.mkdir()
    with another_daemon(stack, machine, tmp_path, stack.socket) as first:
        stack.compose("up", "-d")
        words = "another daemon listens on /run/launcher/launcher.sock"
        wait_until(lambda: words in stack.logs("launcher"), timeout=30, what="it says so")
        assert first.status().state == "healthy"
        assert stack.launch("status").returncode == 0


def test_users_mount_what_they_may_open_and_have_secrets(stack: Stack, tmp_path: Path) -> None:
    home = Path(f"/home/{ALICE.pw_name}")
    made = not home.exists()
    home.mkdir(exist_ok=True)
    os.chown(home, ALICE.pw_uid, ALICE.pw_gid)
    (home / "words").write_text("hers\n")
    try:
        stack.up()
        job = stack.submit(
            "sh", "-c", "cat /work/words /run/secrets/token", uid=ALICE.pw_uid, gpus=NONE,
            volumes=[Mount(source=str(home), target="/work")], secrets={"token": "c2VjcmV0"},
        )  # fmt: skip
        with as_user(ALICE.pw_uid):
            assert stack.client.wait(str(job.id), timeout=30).outcome == "COMPLETED"
            frames = list(stack.client.logs(str(job.id)))
        assert b"".join(f.data for f in frames if f.stream == 1) == b"hers\nsecret"
        mounts = Path(f"/proc/{stack.pid}/mountinfo")
        wait_until(lambda: "/pins/" not in mounts.read_text(), what="no mount of the job is kept")
    finally:
        (home / "words").unlink()
        if made:
            home.rmdir()


def test_layouts_are_changed_by_a_daemon_that_ends_after_it_alone(stack: Stack) -> None:
    stack.up()
    job = stack.running(stack.submit("sleep", "120"))
    before = stack.pid_of(job)
    refused = stack.launch("layout", "create", "1g.6gb@3")
    assert refused.returncode == 1
    assert "the device nodes of new slices do not appear in a running container" in refused.stderr
    assert "docker compose run --rm layout" in refused.stderr
    done = stack.compose("run", "--rm", "layout", "show", check=False)
    assert (done.returncode, "docker compose stop launcher" in done.stderr) == (1, True)
    inside = stack.compose("exec", "-T", "launcher", "launch", "layout", "show")
    assert "1g.6gb" in inside.stdout
    stack.compose("stop", "launcher")
    done = stack.compose("run", "--rm", "layout", "apply", "--exact", "1g.6gb@0", "2g.12gb@2")
    assert "create 2g.12gb@2" in done.stdout
    assert stack.compose("run", "--rm", "layout", "apply", "9g.1gb", check=False).returncode == 2
    stack.up()
    assert sorted(s.profile for s in stack.client.slices()) == ["1g.6gb", "2g.12gb"]
    assert stack.pid_of(job) == before
    stack.client.cancel(str(job.id))
