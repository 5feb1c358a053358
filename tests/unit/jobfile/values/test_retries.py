"""Under ``schedule``: running again, a signal ahead of the limit, idleness, giving way."""

from __future__ import annotations

import re
import signal as signals

import pytest

from launcher.jobfile.values.retry_spec import parse_retries, parse_retry_on, retry_request
from launcher.jobfile.values.signals import parse_signal
from launcher.wire import Retries, SignalBefore
from tests.unit.jobfile.documents import read, said


def schedule(text: str, job: str = "image: x\ngpus: 1g.6gb") -> str:
    return f"{job}\nschedule: {{{text}}}\n"


@pytest.mark.parametrize(
    ("text", "retries"),
    [
        ("2", Retries(max=2, on=("infra",), backoff=0, max_backoff=3600)),
        ("0", Retries()),
        ("{max: 100}", Retries(max=100)),
        ("{max: 1, on: oom}", Retries(max=1, on=("oom",))),
        ("{max: 1, on: 'oom, any'}", Retries(max=1, on=("oom", "any"))),
        (
            "{on: [infra, oom, any, exit:75, 'exit:1-3', oom, exit:9-9], max: 2, backoff: 30s}",
            Retries(max=2, on=("infra", "oom", "any", "exit:75", "exit:1-3", "exit:9"), backoff=30),
        ),
        (
            "{max: 2, on: [timeout], backoff: 30s, max_backoff: 10m}",
            Retries(
                max=2,
                on=("timeout",),
                backoff=30,
                max_backoff=600,
            ),
        ),
        ("{max: 1, backoff: 2h}", Retries(max=1, backoff=7200, max_backoff=7200)),
    ],
)
def test_retries_in_all_their_forms(text: str, retries: Retries) -> None:
    assert read(schedule(f"retries: {text}")).retries == retries


@pytest.mark.parametrize("text", ["-1", "101", "x", "", "1.5", "99999", "٣"])
def test_what_is_no_number_of_retries_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match="is not a valid number of retries: write a whole number from 0"
    ):
        parse_retries(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "'' is not an end that can be retried: write infra, oom, timeout, any, exit:75 or"),
        ("infra,", "is not an end"),
        ("failed", "'failed' is not an end"),
        ("75", "'75' is not an end"),
        ("exit:", "is not an end"),
        ("exit:0", "exit code 0 is success"),
        ("exit:0-3", "exit code 0 is success"),
        ("exit:256", "they go from 1 to 255"),
        ("exit:3-1", "goes down: write exit:1-3"),
        ("exit:1-999", "they go from 1 to 255"),
    ],
)
def test_what_is_no_end_is_explained(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        parse_retry_on(text)


def test_the_longest_wait_is_no_shorter_than_the_first() -> None:
    with pytest.raises(ValueError, match="longest wait of 5s is shorter than the first, 30s"):
        retry_request(1, None, 30, 5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SIGUSR1@60s", SignalBefore(name="SIGUSR1", before=60)),
        ("{name: SIGUSR1, before: 60s}", SignalBefore(name="SIGUSR1", before=60)),
        ("{before: 1m30s, name: term}", SignalBefore(name="SIGTERM", before=90)),
        ("usr2@0:02:00", SignalBefore(name="SIGUSR2", before=120)),
        ("SIGCLD@1s", SignalBefore(name="SIGCHLD", before=1)),
    ],
)
def test_a_signal_is_read_in_both_forms(text: str, found: SignalBefore) -> None:
    assert read(schedule(f"signal: {text}")).signal == found
    assert found.name in signals.Signals.__members__


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("SIGUSR1", "does not say when: write SIGUSR1@60s"),
        ("SIGUSR3@60s", "'SIGUSR3' is not a valid signal"),
        ("@60s", "is not a valid signal"),
        ("SIG@60s", "is not a valid signal"),
        ("10@60s", "is a number: write the signal's name"),
        ("KILL@60s", "SIGKILL warns no program"),
        ("SIGSTOP@60s", "SIGSTOP warns no program"),
        ("SIGUSR1@60", "'60' has no unit: write 60s"),
        ("SIGUSR1@0s", "is not a time before the time limit"),
        ("SIGUSR1@", "is not a valid duration"),
    ],
)
def test_what_is_no_signal_is_explained(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        parse_signal(text)


def test_a_signal_needs_no_time_limit_beside_it_but_comes_after_the_start() -> None:
    assert read(schedule("signal: USR1@1h")).time_limit is None
    assert read(schedule("signal: USR1@59m, time_limit: 1h")).signal is not None
    wrong = said(schedule("time_limit: 1h, signal: USR1@1h"))
    assert wrong.startswith("3:28: `signal`: SIGUSR1 is to be sent 3600s before a time limit of")


def test_idleness_and_giving_way_are_read() -> None:
    job = read(schedule("idle_timeout: 30m, preemptible: true"))
    assert (job.idle_timeout, job.preemptible) == (1800.0, True)
    assert (read("image: x").idle_timeout, read("image: x").preemptible) == (None, False)


WRONG: dict[str, tuple[str, str]] = {
    "no number": ("retries: {on: [oom]}", "3:21: `retries` does not say how many: add `max: 2`"),
    "too many": ("retries: 101", "3:21: `retries`: '101' is not a valid number of retries"),
    "too many in a mapping": ("retries: {max: 101}", "3:27: `max`: '101' is not a valid number"),
    "a list": ("retries: [2]", "3:21: `retries` must be text, not a list"),
    "a misspelt key": ("retries: {max: 1, backof: 1s}", "3:30: `backof` is not a key of `retries`"),
    "no end": ("retries: {max: 1, on: []}", "3:34: `on` is empty"),
    "an unknown end": ("retries: {max: 1, on: [oom, x]}", "3:40: an end of `on`: 'x' is not"),
    "exit with a space": ("retries: {max: 1, on: [exit: 75]}", "3:35: an end of `on` must be text"),
    "no unit": ("retries: {max: 1, backoff: 30}", "3:39: `backoff`: '30' has no unit"),
    "waits": (
        "retries: {max: 1, backoff: 30s, max_backoff: 5s}",
        "3:57: `max_backoff`: the longest wait of 5s is shorter than the first, 30s",
    ),
    "no name": ("signal: {before: 60s}", "3:20: `signal` has no `name`: add `name: SIGUSR1`"),
    "no time": ("signal: {name: USR1}", "3:20: `signal` has no `before`: add `before: 60s`"),
    "a signal's key": ("signal: {nam: USR1}", "3:21: `nam` is not a key of `signal`"),
    "a wrong name": ("signal: {name: X, before: 60s}", "3:27: `name`: 'X' is not a valid signal"),
    "a wrong time": ("signal: {name: USR1, before: 0s}", "3:41: `before`: '0s' is not a time"),
    "idle for nothing": ("idle_timeout: 0s", "3:26: `idle_timeout`: a limit of nothing"),
    "preemptible": ("preemptible: 1", "3:25: `preemptible` must be true or false"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_the_schedule_is_named_where_it_stands(name: str) -> None:
    text, wrong = WRONG[name]
    assert said(schedule(text)).startswith(wrong)


@pytest.mark.parametrize("gpus", ["", "\ngpus: none"])
def test_a_job_without_a_gpu_cannot_be_idle(gpus: str) -> None:
    wrong = said(f"image: x\nschedule: {{idle_timeout: 30m}}{gpus}")
    assert wrong.startswith("2:12: `idle_timeout`: the job has no GPU that could be idle")
