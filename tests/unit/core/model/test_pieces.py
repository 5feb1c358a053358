"""What means many jobs is decided in pieces, as it is at once."""

from __future__ import annotations

import itertools

import pytest

from launcher.core.dispatch import decide_in_pieces
from launcher.core.messages import events as ev
from launcher.core.model.pieces import PIECE
from launcher.errors import LauncherError
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU, IMAGE, Machine

MANY = 12 * PIECE


def asked(count: int) -> ev.Submitted:
    spec = JobSpec("job", IMAGE.reference, CPU)
    return ev.Submitted(ALICE, tuple(ev.NewJob(spec, "{}", IMAGE) for _ in range(count)))


def test_no_piece_of_a_submit_takes_in_more_than_a_few_jobs() -> None:
    machine = Machine()
    seen = [0]
    for _ in decide_in_pieces(machine.world, asked(MANY), machine.time):
        seen.append(len(machine.world.jobs))
    assert max(after - before for before, after in itertools.pairwise(seen)) == PIECE
    assert len(machine.world.jobs) == MANY


def test_what_is_refused_changes_nothing_in_any_piece() -> None:
    machine = Machine()
    bad = ev.NewJob(JobSpec("no name", IMAGE.reference, CPU), "{}", IMAGE)
    event = ev.Submitted(ALICE, (*asked(MANY).jobs, bad))
    before = machine.world.next_id
    machine.world.take_changes()
    with pytest.raises(LauncherError, match="no name"):
        for _ in decide_in_pieces(machine.world, event, machine.time):
            assert not machine.world.jobs
            assert not machine.world.changes
    assert machine.world.next_id == before
