"""What a registry gave one user for his password is not another's to run, nor to be forgotten."""

from __future__ import annotations

from launcher.core import event as ev
from launcher.core.action import FindImage, PullImage
from launcher.core.explain import blockers
from launcher.core.handle import submit
from launcher.core.job import ImageKey, Job, JobSpec, Outcome, Owner, State
from tests.support.builders import ALICE, BOB, Machine, profile

HERS = ImageKey("nvcr.io/nvidia/secret:1", "missing", ALICE.uid)
HIS = ImageKey("nvcr.io/nvidia/secret:1", "missing", BOB.uid)
OPEN = ImageKey("nvcr.io/nvidia/secret:1", "missing")
ID = "sha256:5"


def ask(machine: Machine, owner: Owner, key: ImageKey) -> Job:
    """Let a user submit a job of this image; returns it."""
    new = ev.NewJob(JobSpec("job", key.reference, profile(), pull_policy=key.policy), "{}", key)
    (job,), actions = submit(machine.world, ev.Submitted(owner, (new,)), machine.time)
    machine.actions += actions
    return job


def with_hers() -> Machine:
    """A machine on which the image was pulled with Alice's credentials."""
    machine = Machine()
    ask(machine, ALICE, HERS)
    machine.tell(ev.ImageMissing(HERS), ev.ImageResolved(HERS, ID, pulled=True))
    return machine


def test_who_was_given_it_runs_it_from_the_cache_from_then_on() -> None:
    machine = with_hers()
    job = ask(machine, ALICE, HERS)
    machine.tell(ev.ImageResolved(HERS, ID))
    assert job.image_id == ID


def test_another_user_must_be_given_it_by_the_registry_himself() -> None:
    machine = with_hers()
    for key in (OPEN, HIS):
        job = ask(machine, BOB, key)
        actions = machine.tell(ev.ImageResolved(key, ID))
        assert (actions, job.image_id) == ([PullImage(key)], None)
        machine.tell(ev.ImageFailed(key, "denied"))
        assert job.outcome is Outcome.FAILED
        assert machine.world.private_images == {ID: {ALICE.uid}}


def test_whom_the_registry_gives_it_too_may_run_it_and_the_first_still_may() -> None:
    machine = with_hers()
    job = ask(machine, BOB, HIS)
    machine.tell(ev.ImageResolved(HIS, ID), ev.ImageResolved(HIS, ID, pulled=True))
    assert job.image_id == ID
    assert machine.world.private_images == {ID: {ALICE.uid, BOB.uid}}


def test_what_the_registry_gives_to_anybody_is_everybodys() -> None:
    machine = with_hers()
    ask(machine, BOB, OPEN)
    machine.tell(ev.ImageResolved(OPEN, ID), ev.ImageResolved(OPEN, ID, pulled=True))
    assert machine.world.private_images == {}
    assert machine.world.changes.private_images[ID] == frozenset()


def test_a_job_that_never_pulls_is_not_given_anothers_image() -> None:
    machine = with_hers()
    key = ImageKey(OPEN.reference, "never")
    job = ask(machine, BOB, key)
    machine.tell(ev.ImageResolved(key, ID))
    assert job.outcome is Outcome.FAILED
    assert "for others only" in (job.message or "")


def test_an_image_that_nobody_pulled_here_is_the_admins_gift_to_all() -> None:
    machine = Machine()
    job = ask(machine, BOB, OPEN)
    machine.tell(ev.ImageResolved(OPEN, ID))
    assert job.image_id == ID


def waiting_for_a_login() -> tuple[Machine, Job]:
    """A machine whose daemon was restarted before a pull with Alice's credentials."""
    machine = Machine()
    job = ask(machine, ALICE, HERS)
    machine.tell(ev.ImageMissing(HERS), ev.CredentialsMissing(HERS))
    return machine, job


def test_a_job_whose_credentials_are_forgotten_waits_and_says_what_to_do() -> None:
    machine, job = waiting_for_a_login()
    assert (job.state, job.outcome) == (State.PENDING, None)
    (blocker,) = blockers(machine.world, job, machine.time)
    assert "`launch login nvcr.io`" in blocker.have
    assert machine.world.pulling == set(), "others' pulls go on"


def test_only_ones_own_login_to_that_registry_lets_it_go_on() -> None:
    machine, job = waiting_for_a_login()
    nvcr, others = frozenset({"nvcr.io"}), frozenset({"docker.io"})
    assert machine.tell(ev.CredentialsGiven(BOB.uid, nvcr)) == []
    assert machine.tell(ev.CredentialsGiven(ALICE.uid, others)) == []
    assert machine.tell(ev.CredentialsGiven(ALICE.uid, nvcr)) == [PullImage(HERS)]
    machine.tell(ev.ImageResolved(HERS, ID, pulled=True))
    assert job.image_id == ID


def test_a_cancelled_job_asks_for_no_login_any_more() -> None:
    machine, job = waiting_for_a_login()
    machine.tell(ev.CancelAsked(job.id, ALICE.uid))
    assert machine.world.images == {}
    ask(machine, ALICE, HERS)
    assert machine.actions[-1] == FindImage(HERS)
