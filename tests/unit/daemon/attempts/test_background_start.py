"""The command of a host job: as its user's login would run it, and why it did not run."""

from __future__ import annotations

import errno
import os
import pwd
from dataclasses import replace

import pytest

from launcher.core.messages.events import StartFailure
from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.settings import Policy
from launcher.daemon.attempts.background_start import (
    CANNOT_RUN,
    NOT_FOUND,
    PATH,
    ROOTS_PATH,
    _not_started,
    command_of,
)
from launcher.daemon.attempts.start_errors import NotStarted
from launcher.host.client import HostRefused
from launcher.spec.job_spec import JobSpec

ME = pwd.getpwuid(os.getuid())
DAEMON = pwd.getpwnam("daemon")
SPEC = JobSpec("job", "", command=("./train.sh", "a"), environment={"LR": "1", "HOME": "/other"})


def asked(uid: int = DAEMON.pw_uid, spec: JobSpec = SPEC) -> PolicyInput:
    return PolicyInput(spec, Person(Owner(uid, uid, "whoever")), Policy(), 0)


def test_the_environment_is_that_of_a_login_and_the_jobs_and_nothing_of_the_daemons() -> None:
    command = command_of(asked(), {"LAUNCHER_JOB_ID": "7"})
    assert command.login == {
        "HOME": DAEMON.pw_dir,
        "LOGNAME": "daemon",
        "PATH": PATH,
        "SHELL": DAEMON.pw_shell,
        "USER": "daemon",
    }
    assert command.environment == {"LR": "1", "HOME": "/other", "LAUNCHER_JOB_ID": "7"}
    assert (command.words, command.uid) == (("./train.sh", "a"), DAEMON.pw_uid)


def test_the_launchers_own_variables_stand_above_the_jobs() -> None:
    assert command_of(asked(), {"LR": "2"}).environment["LR"] == "2"


def test_root_has_roots_path() -> None:
    assert command_of(asked(0), {}).login["PATH"] == ROOTS_PATH


def test_a_job_runs_in_its_directory_or_at_home() -> None:
    assert command_of(asked(), {}).directory == DAEMON.pw_dir
    spec = replace(SPEC, working_dir="/work")
    assert command_of(asked(spec=spec), {}).directory == "/work"


def test_a_user_who_cannot_log_in_runs_nothing() -> None:
    with pytest.raises(NotStarted, match="no entry in passwd") as refused:
        command_of(asked(4_000_000_000), {})
    assert refused.value.failure is StartFailure.USER


@pytest.mark.parametrize(
    ("number", "place", "failure", "code", "words"),
    [
        (errno.ENOENT, "./train.sh", StartFailure.USER, NOT_FOUND, "command: because"),
        (errno.EACCES, "./train.sh", StartFailure.USER, CANNOT_RUN, "command: because"),
        (errno.ENOENT, DAEMON.pw_dir, StartFailure.USER, None, "working_dir: because"),
        (errno.EPERM, "/sys/fs/cgroup", StartFailure.INFRA, None, "host job: because"),
        (None, None, StartFailure.INFRA, None, "host job: because"),
    ],
)
def test_what_was_refused_says_whose_fault_it_is(
    number: int | None, place: str | None, failure: StartFailure, code: int | None, words: str
) -> None:
    event = _not_started(HostRefused("because", number, place), command_of(asked(), {}))
    assert (event.failure, event.exit_code, event.message) == (failure, code, words)
