"""The judges themselves: each says so when what must not be is put before it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from launcher.core.recovery import reconcile
from launcher.core.world.lifecycle import TRANSITIONS
from launcher.daemon.attempts import exit_trust, starter
from launcher.store import Store
from tests.drills.checker import Start, check
from tests.simulation.rehearsal import Crash, Rehearsal
from tests.simulation.scenario import Scenario, Trouble, calm_scenario
from tests.simulation.seeds import calm
from tests.support.builders import Machine, mig, profile


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[Start]]:
    """Two jobs that ran one after the other on one slice, as it should be."""
    store = Store.open(tmp_path)
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile())
    starts: list[Start] = []
    for job in (first, second):
        machine.wait(5)
        machine.run(job)
        name = machine.world.attempts[job.id].container_name
        starts.append((machine.time.wall, name, (mig(0).uuid,)))
        machine.wait(5)
        machine.end(job)
    store.commit(machine.world.take_changes())
    store.close()
    return tmp_path / "launcher.db", starts


def test_a_history_as_it_should_be_has_nothing_wrong(history: tuple[Path, list[Start]]) -> None:
    database, starts = history
    assert check(database, starts, [1, 2]) == []


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE leases SET released_at = released_at + 60", "overlap"),
        ("UPDATE leases SET released_at = NULL WHERE job = 2", "never ended"),
        ("UPDATE leases SET granted_at = granted_at + 9 WHERE job = 2", "was not then"),
        ("UPDATE attempts SET slices = '[\"MIG-b-0\"]' WHERE job = 1", "ran on"),
        ("DELETE FROM attempts WHERE job = 2", "no attempt is on record"),
        ("DELETE FROM leases WHERE job = 2", "never leased"),
        ("UPDATE jobs SET state = 'PENDING', outcome = NULL WHERE id = 2", "has not ended"),
    ],
)
def test_the_checker_finds_what_must_not_be(
    history: tuple[Path, list[Start]], damage: str, says: str
) -> None:
    database, starts = history
    db = sqlite3.connect(database)
    db.execute(damage)
    db.commit()
    db.close()
    assert any(says in wrong for wrong in check(database, starts, [1, 2]))


def test_the_checker_finds_a_lost_job_and_a_second_start(
    history: tuple[Path, list[Start]],
) -> None:
    database, starts = history
    assert check(database, starts, [1, 2, 3]) == ["job 3 was acknowledged and is lost"]
    wrong = check(database, [*starts, starts[0]], [1, 2])
    assert any("started 2 times" in each for each in wrong)
    assert any("job 1 ran 2 times" in each for each in wrong)


def broken(scenario: Scenario, crash: Crash | None = None) -> list[str]:
    return Rehearsal(1, scenario, crash=crash).run().wrong


def test_a_simulation_finds_a_slice_that_is_given_before_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "tests.simulation.gpu.FakeGpu.processes", lambda self, uuid, patience=None: []
    )
    assert any(wrong.startswith("I1") for wrong in broken(calm(1)))


def test_a_simulation_finds_a_start_that_is_sent_again_blindly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter.Starter, "_look", lambda self, name: None)
    monkeypatch.setattr(starter.StartJournal, "record_of", lambda self, name: None)
    assert broken(calm(1)) != []


def test_a_simulation_finds_a_start_that_a_dockerd_did_not_write_down_before_it_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter.Starter, "_must_not_have_run", lambda self, found, name: None)
    scenario = calm_scenario(Random(5))
    scenario.events.insert(0, (0.0, Trouble("dies", 20.0)))
    wrong = Rehearsal(5, scenario).run().wrong
    assert any(each.startswith("I14") for each in wrong)


def test_a_simulation_finds_an_exit_code_that_docker_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exit_trust, "is_doubtful", lambda found: False)
    rng = Random(5)
    scenario = replace(calm_scenario(rng), live_restore=False)
    from tests.simulation.docker import Restart

    scenario.events.append((7.0, Trouble("restart", 3.0, how=Restart.STOPS)))
    scenario.events.sort(key=lambda event: event[0])
    assert any("Docker lost how it ended" in wrong for wrong in broken(scenario))


def test_a_simulation_finds_a_restart_that_forgets_what_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resume = reconcile.resume

    def forgetful(*args: object, **options: object) -> list[object]:
        return [a for a in resume(*args, **options) if type(a).__name__ != "FollowAttempt"]  # type: ignore[arg-type]

    monkeypatch.setattr("launcher.daemon.wiring.resume", forgetful)
    scenario = calm(1)
    wrong = [broken(calm(1), Crash(at)) for at in (60, 90)]
    assert scenario.events
    assert any(wrong)


def test_the_table_of_transitions_is_what_the_drills_count() -> None:
    assert len(TRANSITIONS) == 27
