"""Background host jobs where systemd runs: a service for each, with a session of PAM."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from launcher.host.cgroup import CgroupLimits
from launcher.host.client import HostHelper, HostRefused, HostUnavailable, ProcessTree
from launcher.host.helper.children import NEVER_BEGAN, Command
from tests.support.wait import wait_until
from tests.systemd.conftest import LAUNCH, OTHER, USER, is_active, start_all, systemctl

PERSON = pwd.getpwnam(USER)
PAM = Path("/etc/pam.d/launcher-host")
FROM_PAM = "LAUNCHER_TEST_OF_PAM"


class Jobs:
    """Starts jobs as the daemon does, and removes them."""

    def __init__(self, helper: HostHelper) -> None:
        self.helper = helper
        self.names: list[str] = []

    def name(self) -> str:
        self.names.append(f"host-feed-{os.getpid() * 1000 + len(self.names)}-1")
        return self.names[-1]

    def spawn(
        self,
        *words: str,
        output: int = -1,
        directory: str = "/",
        user: str = USER,
        stdin: int | None = None,
        **environment: str,
    ) -> tuple[str, ProcessTree]:
        """Start a command as a user; its output is discarded by default."""
        name, told = self.name(), {"PATH": "/usr/bin:/bin"} | environment
        person = pwd.getpwnam(user)
        ids = person.pw_uid, person.pw_gid, [person.pw_gid]
        null = os.open(os.devnull, os.O_WRONLY)
        to = null if output == -1 else output
        try:
            tree = self.helper.spawn(
                name, Command(words, {}, told, directory, *ids), CgroupLimits(), to, to, stdin=stdin
            )
            return name, tree
        finally:
            os.close(null)

    def ended(self, name: str) -> ProcessTree:
        tree = self.helper.wait(name)
        assert tree is not None
        return tree


@pytest.fixture
def jobs(helper: HostHelper) -> Iterator[Jobs]:
    made = Jobs(helper)
    yield made
    for name in made.names:
        helper.kill(name)
        wait_until(lambda name=name: not helper.state(name)[1])
        helper.remove(name)


def unit(name: str) -> str:
    return f"launcher-{name}.service"


def output_of(jobs: Jobs, *words: str, **environment: str) -> list[str]:
    reads, writes = os.pipe()
    name, _ = jobs.spawn(*words, output=writes, **environment)
    os.close(writes)
    with open(reads) as told:  # noqa: PTH123
        lines = told.read().splitlines()  # to its end: nothing else has the pipe open
    assert jobs.ended(name).status == 0
    return lines


def test_a_service_runs_as_its_user_with_what_pam_adds(jobs: Jobs) -> None:
    Path("/etc/environment").write_text(f"{FROM_PAM}=yes\n")
    script = f"id -u; id -g; pwd; echo ${FROM_PAM} $OWN; cat /proc/self/cgroup; cat"
    told = output_of(jobs, "sh", "-c", script, OWN="a $b")
    assert told[:3] == [str(PERSON.pw_uid), str(PERSON.pw_gid), "/"]
    assert told[3] == "yes a $b"
    assert f"0::/launcher.slice/{unit(jobs.names[0])}" in told[4:]


def test_a_service_gets_the_stdin_that_it_is_given(jobs: Jobs) -> None:
    given, gives = os.pipe()
    (reads, writes), typed = os.pipe(), b"typed"
    name, _ = jobs.spawn("cat", stdin=given, output=writes)
    for fd in (given, writes):
        os.close(fd)
    os.write(gives, typed)
    os.close(gives)
    with open(reads, "rb") as told:  # noqa: PTH123
        assert told.read() == typed
    assert jobs.ended(name).status == 0


def test_the_environment_is_not_shown_to_other_users(jobs: Jobs) -> None:
    name, _ = jobs.spawn("sleep", "600", PASSWORD="hush-3f9c2a")
    assert "hush-3f9c2a" not in systemctl("show", unit(name))
    assert "hush-3f9c2a" not in systemctl("cat", unit(name))


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7 << 8), ("kill $$", signal.SIGTERM)],
)
def test_its_exit_status_is_known(jobs: Jobs, script: str, status: int) -> None:
    name, _ = jobs.spawn("sh", "-c", script)
    assert jobs.ended(name).status == status


@pytest.mark.parametrize("code", [0, 4])
def test_it_lasts_until_all_its_processes_have_ended(jobs: Jobs, fifo: Path, code: int) -> None:
    name, tree = jobs.spawn("sh", "-c", f"setsid sh -c 'setsid cat {fifo} &' ; exit {code}")
    wait_until(lambda: not Path(f"/proc/{tree.pid}").exists(), what="the main process has ended")
    known, populated = jobs.helper.state(name)
    assert populated
    assert known is not None
    assert known.ended_ns is None
    assert is_active(unit(name))
    fifo.write_text("")
    assert jobs.ended(name).status == code << 8


@pytest.mark.parametrize("ends_meanwhile", [False, True])
def test_a_helper_that_is_stopped_finds_it_again(
    jobs: Jobs, fifo: Path, ends_meanwhile: bool
) -> None:
    name, tree = jobs.spawn("sh", "-c", f"read line <{fifo}; exit 6")
    # Its sockets too: what asks them would start it again.
    systemctl("stop", "launcher.service", "launcher-host*.socket", "launcher-host.service")
    assert is_active(unit(name))
    with pytest.raises(HostUnavailable):
        jobs.helper.state(name)
    if ends_meanwhile:
        fifo.write_text("\n")
        wait_until(lambda: not is_active(unit(name)))
    start_all()
    if not ends_meanwhile:
        known = jobs.helper.state(name)[0]
        assert known is not None
        assert known.pid == tree.pid
        fifo.write_text("\n")
    assert jobs.ended(name).status == 6 << 8


@pytest.mark.parametrize(
    ("words", "directory", "place", "number"),
    [
        (["no-such-program"], "/", "no-such-program", 2),
        (["/etc/passwd"], "/", "/etc/passwd", 13),
        (["true"], "/no/such", "/no/such", 2),
        (["true"], "/root", "/root", 13),
    ],
)
def test_what_cannot_start_says_why_and_leaves_nothing(
    jobs: Jobs, words: list[str], directory: str, place: str, number: int
) -> None:
    with pytest.raises(HostRefused) as refused:
        jobs.spawn(*words, directory=directory)
    assert (refused.value.errno, refused.value.place) == (number, place)
    wait_until(lambda: jobs.helper.state(jobs.names[0]) == (None, False))
    wait_until(lambda: not is_loaded(jobs.names[0]))


@contextmanager
def pam(line: str) -> Iterator[None]:
    """Sessions of jobs have a module of PAM more, before the others."""
    installed = PAM.read_text()
    PAM.write_text(f"{line}\n{installed}")
    try:
        yield
    finally:
        PAM.write_text(installed)


@pytest.fixture
def holds(tmp_path: Path) -> Iterator[Path]:
    """A file; as long as it is there the sessions of one user do not start."""
    holds, script = tmp_path / "holds", tmp_path / "script"
    holds.touch()
    script.write_text(
        f"#!/bin/sh\n[ $PAM_USER != {OTHER} ] || while [ -e {holds} ]; do sleep 0.05; done\n"
    )
    script.chmod(0o755)
    with pam(f"session optional pam_exec.so quiet {script}"):
        yield holds


def is_loaded(name: str) -> bool:
    return unit(name) in systemctl("list-units", "--all", "--plain")


def test_one_users_slow_unit_holds_nobody_elses(jobs: Jobs, holds: Path) -> None:
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(jobs.spawn, "true", user=OTHER)
        wait_until(lambda: is_loaded(jobs.names[0]))
        assert jobs.ended(jobs.spawn("sh", "-c", "exit 3")[0]).status == 3 << 8
        assert not slow.done()
        holds.unlink()
        assert jobs.ended(slow.result(30)[0]).status == 0


@contextmanager
def closed_to_users() -> Iterator[None]:
    """The installation can be read by root alone."""
    place = Path(LAUNCH).parent.parent
    place.chmod(0o700)
    try:
        yield
    finally:
        place.chmod(0o755)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (closed_to_users(), "exited with status 203/EXEC"),
        (pam("account required pam_deny.so"), "exited with status 224/PAM"),
    ],
)
def test_a_unit_that_cannot_execute_says_why_at_once(
    jobs: Jobs, broken: AbstractContextManager[None], why: str
) -> None:
    since = time.monotonic()
    with broken, pytest.raises(HostRefused, match=why) as refused:
        jobs.spawn("true")
    assert time.monotonic() - since < 5
    assert f"journalctl -u {unit(jobs.names[0])}" in refused.value.message
    assert jobs.helper.state(jobs.names[0]) == (None, False)


def runs(name: str, *words: str) -> bool:
    """Whether the main process of a job's service has become its command."""
    pid = systemctl("show", "--property=MainPID", "--value", unit(name))
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1] == [*words]
    return False


def is_settled(helper: HostHelper, name: str) -> bool:
    """Whether a start that was interrupted has one of its outcomes.

    With Type=exec it leaves nothing. With Type=simple the command runs if it was handed over;
    if it was not, its service is on record as one that never ran it.
    """
    known, _ = helper.state(name)
    ended = known is not None and known.ended_ns is not None
    return ended or runs(name, "sleep", "600") or not is_loaded(name)


@contextmanager
def explained(jobs: Jobs, name: str) -> Iterator[None]:
    """A failure shows what systemd and the helper know of a job."""
    try:
        yield
    except AssertionError as error:
        for command in (
            f"systemctl status --no-pager --full {unit(name)}",
            f"journalctl --no-pager --unit={unit(name)}",
            f"cat /run/launcher-host/{name}.json",
        ):
            error.add_note(f"# {command}\n{subprocess.getoutput(command)}")
        error.add_note(f"# the helper's state\n{jobs.helper.state(name)}")
        raise


def test_a_start_in_which_the_helper_is_killed_is_on_record_or_removed(
    jobs: Jobs, holds: Path
) -> None:
    with ThreadPoolExecutor() as threads:
        start = threads.submit(jobs.spawn, "sleep", "600", user=OTHER)
        wait_until(lambda: is_loaded(jobs.names[0]))
        systemctl("kill", "--signal=KILL", "launcher-host.service")
        with pytest.raises(HostUnavailable):
            start.result(30)
    wait_until(lambda: is_active("launcher-host.service"), what="the next helper")
    name = jobs.names[0]
    assert is_loaded(name)
    holds.unlink()
    with explained(jobs, name):
        wait_until(lambda: is_settled(jobs.helper, name), 30)
        known, populated = jobs.helper.state(name)
        if known is not None and known.ended_ns is not None:
            assert known.status == NEVER_BEGAN << 8
        else:
            assert populated == is_loaded(name) == (known is not None)


def test_a_unit_that_no_record_knows_is_listed_and_can_be_removed(jobs: Jobs) -> None:
    name = jobs.name()
    words = ["--quiet", f"--unit={unit(name)}", "--slice=launcher", "--remain-after-exit"]
    subprocess.run(["systemd-run", *words, "true"], check=True, timeout=60)
    assert name in jobs.helper.names("feed")
    wait_until(lambda: not jobs.helper.state(name)[1])
    jobs.helper.remove(name)
    assert not is_loaded(name)
    assert name not in jobs.helper.names("feed")


SESSION = 'echo "[$XDG_RUNTIME_DIR]"; cat /proc/self/cgroup'


def test_a_job_has_no_session_of_logind_which_would_take_it_out_of_its_unit(jobs: Jobs) -> None:
    """Why pam_systemd is not among the modules: its session is a unit of another slice."""
    directory, *cgroups = output_of(jobs, "sh", "-c", SESSION)
    assert directory == "[]"
    assert f"0::/launcher.slice/{unit(jobs.names[0])}" in cgroups
    with pam("session required pam_systemd.so"):
        directory, *cgroups = output_of(jobs, "sh", "-c", SESSION)
    assert directory == f"[/run/user/{PERSON.pw_uid}]"
    assert any(line.startswith("0::/user.slice/") for line in cgroups), cgroups


def test_the_runtime_directory_of_a_user_who_lingers_can_be_named(jobs: Jobs) -> None:
    directory = Path(f"/run/user/{PERSON.pw_uid}")
    subprocess.run(["loginctl", "enable-linger", USER], check=True, timeout=60)
    try:
        wait_until(directory.exists)
        script = 'touch "$XDG_RUNTIME_DIR/mine" && cat /proc/self/cgroup'
        cgroups = output_of(jobs, "sh", "-c", script, XDG_RUNTIME_DIR=str(directory))
        assert f"0::/launcher.slice/{unit(jobs.names[0])}" in cgroups
        assert (directory / "mine").stat().st_uid == PERSON.pw_uid
    finally:
        subprocess.run(["loginctl", "disable-linger", USER], check=True, timeout=60)
