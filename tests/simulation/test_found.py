"""What the drills found, each as a history of its own: it must not happen again."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from launcher import wire
from launcher.daemon.attempts.follower import Follower
from tests.simulation.docker import Restart
from tests.simulation.program import Program
from tests.simulation.rehearsal import Crash, Rehearsal
from tests.simulation.scenario import IMAGE, Ask, Scenario, Trouble, gpu_request

ONE = gpu_request("1g.6gb")
INFRA = wire.Retries(max=1, on=("infra",))


def submit(at: float = 0.0, **fields: object) -> tuple[float, Ask]:
    """Return a submit of one job, on one slice unless ``gpus`` says otherwise."""
    program = fields.pop("program", Program(1.0))
    assert isinstance(program, Program)
    asked = {"name": "job", "image": IMAGE, "gpus": ONE, "command": program.command()} | fields
    return at, Ask("submit", (wire.JobSpec(**asked),))  # type: ignore[arg-type]


def run(
    events: Iterable[tuple[float, Ask | Trouble]],
    crash: Crash | None = None,
    **fields: object,
) -> Rehearsal:
    """Run a history; whatever happens, nothing is wrong at its end."""
    scenario = Scenario(list(events), length=60.0, **fields)  # type: ignore[arg-type]
    made = Rehearsal(1, scenario, crash=crash, keep=True)
    assert made.run().wrong == [], made.lines
    return made


def test_a_start_whose_answer_is_lost_before_docker_goes_away_is_found_when_it_is_back() -> None:
    away = (0.5, Trouble("restart", 90.0, how=Restart.LIVE))
    made = run([submit(), away], script={("start", 0): "lost-after"}, latency=0.3)
    assert made.ended == {1: ("COMPLETED", 0)}
    assert len(made.docker.record) == 1


@pytest.mark.parametrize("fault", ["lost-before", "late"])
def test_a_start_that_a_dockerd_did_not_answer_is_not_sent_to_the_next_one(fault: str) -> None:
    away = (3.5, Trouble("restart", 90.0, how=Restart.LIVE))
    made = run([submit(), away], script={("start", 0): fault}, latency=0.3)
    assert made.ended == {1: ("LOST", None)}, "the one that was asked may have done it"
    assert made.docker.record == []


def test_an_end_before_a_reboot_is_believed_although_nobody_had_seen_the_start() -> None:
    reboot = (30.0, Trouble("reboot", 3.0))
    made = run([submit(program=Program(1.0, exit=7)), reboot], script={("inspect", 0): "late"})
    assert made.ended == {1: ("FAILED", 7)}


def test_an_exit_255_whose_end_docker_missed_is_nobodys() -> None:
    away = (2.0, Trouble("containerd", 30.0))
    made = run([submit(program=Program(9.0, exit=255)), away])
    assert made.ended == {1: ("LOST", None)}


@pytest.mark.parametrize("crash", [None, Crash(1, "stop:after")])
@pytest.mark.parametrize("code", [0, 7])
def test_an_exit_0_that_docker_makes_up_of_an_end_that_it_missed_is_nobodys(
    crash: Crash | None, code: int
) -> None:
    away = (2.0, Trouble("containerd", 30.0))
    seven = Program(9.0, exit=code)
    lost = run([submit(program=seven), away], crash, tells_missed_ends=False)
    kept = run([submit(program=seven), away], crash)
    assert lost.ended == {1: ("LOST", None)}
    assert kept.ended == {1: ("FAILED" if code else "COMPLETED", code)}


@pytest.mark.parametrize("crash", [None, (2.5, Trouble("crash"))])
def test_an_exit_0_of_a_container_over_whose_end_dockerd_was_killed_is_nobodys(
    crash: tuple[float, Trouble] | None,
) -> None:
    dies = (1.0, Trouble("dies-at-end", 2.0))
    seven = Program(2.0, exit=7)
    more = [] if crash is None else [crash]
    made = run([submit(program=seven), submit(program=Program(4.1)), dies, *more])
    again = run([submit(program=seven, retries=INFRA), dies, *more])
    assert made.ended == {1: ("LOST", None), 2: ("COMPLETED", 0)}
    assert again.ended == {1: ("FAILED", 7)}


DIES = (0.0, Trouble("dies", 20.0))


@pytest.mark.parametrize("crash", [None, Crash(1, "start:before")])
def test_a_job_that_dockerd_started_and_died_before_it_wrote_that_down_is_not_run_again(
    crash: Crash | None,
) -> None:
    made = run([DIES, submit(program=Program(5.0))], crash)
    starts = [r.name for r in made.docker.record]
    assert (made.ended, starts) == ({1: ("LOST", None)}, ["launch-00000000-1-1"])


def test_where_its_retries_say_infra_it_runs_again_under_a_number_of_its_own() -> None:
    made = run([DIES, submit(program=Program(5.0), retries=INFRA)])
    assert made.ended == {1: ("COMPLETED", 0)}
    assert [r.name for r in made.docker.record] == ["launch-00000000-1-1", "launch-00000000-1-2"]


def test_a_job_whose_start_containerd_did_not_answer_is_lost_and_its_slice_waits_for_it() -> None:
    events = [submit(program=Program(9.0)), submit(1.0, program=Program(1.0))]
    made = run(events, script={("start", 0): "broken"})
    assert made.ended == {1: ("LOST", None), 2: ("COMPLETED", 0)}
    assert len(made.docker.record) == 2


@pytest.mark.parametrize("slow", [1, 2])
def test_a_slice_whose_processes_nvml_hides_waits_for_a_start_that_docker_does_not_know(
    slow: int,
) -> None:
    """Also where the container was removed before the proof had looked at it."""
    lingers = submit(program=Program(0.1, lingers=100.0))
    hidden = (0.0, Trouble("hides", 200.0))
    four = submit(1.0, gpus=gpu_request("1g.6gb", 4))
    run([lingers, hidden, four], script={("start", 0): "broken", ("inspect", slow): "slow"})


def test_a_short_job_whose_start_was_not_answered_is_not_started_again() -> None:
    made = run([submit(program=Program(0.01))], script={("start", 0): "lost-after"})
    assert [r.name for r in made.docker.record] == ["launch-00000000-1-1"]


@pytest.mark.parametrize("point", ["start:after", "commit:before"])
def test_a_job_that_may_have_run_is_lost_where_its_container_was_removed_meanwhile(
    point: str,
) -> None:
    removed = (0.9, Trouble("removed"))
    at = 1 if point == "start:after" else 3
    made = run([submit(program=Program(20.0)), removed], Crash(at, point))
    assert made.ended == {1: ("LOST", None)}
    assert len(made.docker.record) == 1


def test_a_job_whose_container_vanishes_right_after_its_start_is_lost_and_not_run_again() -> None:
    removed = (30.0, Trouble("removed"))
    made = run([submit(program=Program(90.0)), removed], script={("inspect", 0): "late"})
    assert made.ended == {1: ("LOST", None)}


def test_a_log_that_docker_cannot_read_for_a_while_is_complete_all_the_same() -> None:
    script = {("logs", n): "error" for n in range(5)}
    run([submit(program=Program(3.0, lines=4))], script=script)  # its log is compared at the end


def test_a_gang_that_was_cut_off_goes_on_with_its_slices_in_the_order_they_were_given() -> None:
    events = [
        submit(program=Program(9.0)),
        submit(program=Program(3.0)),
        submit(4.0, program=Program(2.0), gpus=gpu_request("1g.6gb", 2)),
    ]
    for at in range(1, 4):
        made = run(events, Crash(at, "create:after"))
        assert {end for end, _ in made.ended.values()} == {"COMPLETED"}


@pytest.mark.parametrize("how", list(Restart))
def test_an_end_that_docker_made_up_is_lost_and_run_again_where_the_job_says_so(
    how: Restart,
) -> None:
    live = how in (Restart.LIVE, Restart.FORGETS)
    restart = (2.0, Trouble("restart", 10.0, how=how))
    program = Program(5.0 if live else 20.0)
    made = run(
        [submit(program=program), submit(program=program, retries=INFRA), restart],
        live_restore=live,
    )
    kept = how is Restart.LIVE
    assert made.ended == {1: ("COMPLETED", 0) if kept else ("LOST", None), 2: ("COMPLETED", 0)}
    assert len(made.docker.record) == (2 if kept else 3)


@pytest.mark.parametrize("reboots", [1, 2])
def test_no_exit_code_is_believed_of_a_job_that_a_reboot_ended(reboots: int) -> None:
    went = [(3.0 + n, Trouble("reboot")) for n in range(reboots)]
    program = Program(20.0)
    made = run([submit(program=program), submit(program=program, retries=INFRA), *went])
    assert made.ended == {1: ("LOST", None), 2: ("COMPLETED", 0)}


GRANTED = (0.25, Trouble("stall", 10.0))
"""Docker stands still once the first job has its slice, before its container is made."""


def test_a_job_granted_before_a_reboot_and_started_after_it_is_followed_over_a_crash() -> None:
    events = [submit(program=Program(20.0)), GRANTED]
    made = run([*events, (5.0, Trouble("reboot", 3.0))], Crash(1, "start:after"))
    assert made.ended == {1: ("COMPLETED", 0)}
    assert len(made.docker.record) == 1


def test_what_was_lost_after_a_reboot_keeps_its_slice_until_it_is_proven_free() -> None:
    """The start is of after the boot, its grant of before it; the daemon dies while it proves."""
    lingers = submit(program=Program(0.01, lingers=60.0))
    troubles = [(5.0, Trouble("reboot", 3.0)), (39.0, Trouble("hides", 15.0))]
    crash, four = (40.0, Trouble("crash")), submit(41.0, gpus=gpu_request("1g.6gb", 4))
    events = [lingers, GRANTED, *troubles, crash, four]
    made = run(events, script={("start", 0): "broken"})
    assert made.ended == {1: ("LOST", None), 2: ("COMPLETED", 0)}


def test_an_exit_code_from_before_the_reboot_is_kept() -> None:
    made = run([submit(program=Program(1.0, exit=9)), (1.5, Trouble("crash"))])
    reboot = (30.0, Trouble("reboot"))
    again = run([submit(program=Program(1.0, exit=9)), reboot])
    assert made.ended == again.ended == {1: ("FAILED", 9)}


@pytest.mark.parametrize("step", [7200.0, -7200.0, 86400.0 * 365])
@pytest.mark.parametrize("code", [0, 7, 137, 255])
def test_a_clock_that_is_set_while_jobs_run_makes_no_end_a_doubtful_one(
    step: float, code: int
) -> None:
    program = Program(20.0, exit=code)
    clock_is_set = (5.0, Trouble("clock", which=step))
    for crash in ([], [(8.0, Trouble("crash"))]):
        made = run([submit(program=program), clock_is_set, *crash], live_restore=code != 255)
        assert made.ended == {1: ("COMPLETED" if code == 0 else "FAILED", code)}


def test_a_reboot_that_is_followed_by_a_crash_is_still_a_reboot() -> None:
    """What was of before it is known by each attempt, not by who came first afterwards."""
    program = Program(40.0)
    for at in range(1, 12):
        made = run(
            [submit(program=program), (3.0, Trouble("reboot")), (34.0, Trouble("crash"))],
            Crash(at, "commit:before"),
        )
        assert made.ended == {1: ("LOST", None)} or 1 not in made.ended


def test_after_a_reboot_no_slice_stays_with_the_past() -> None:
    """A process that lingered is gone, and nobody waits a minute for a proof."""
    lingers = submit(program=Program(1.0, lingers=500.0))
    made = run([lingers, (20.0, Trouble("reboot")), submit(20.5, program=Program(0.3))])
    granted = [line for line in made.lines or [] if "granted" in line]
    assert len(granted) == 2
    assert float(granted[1].split()[0]) < 1000.0 + 20.0 + 30.0 + 20.0


def test_a_job_that_is_cancelled_while_its_start_waits_for_docker_never_starts() -> None:
    stall = (0.0, Trouble("stall", 20.0))
    made = run([submit(), stall, (5.0, Ask("cancel", which=0.0))], Crash(1, "create:before"))
    assert made.ended == {1: ("CANCELLED", None)}


def test_following_goes_on_after_something_unforeseen(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = iter([True, True])
    look = Follower._inspect

    def inspect(self: Follower) -> object:
        if next(failing, False):
            raise ZeroDivisionError
        return look(self)

    monkeypatch.setattr(Follower, "_inspect", inspect)
    made = run([submit(program=Program(5.0))], script={("wait", 0): "lost-before"})
    assert made.ended == {1: ("COMPLETED", 0)}
