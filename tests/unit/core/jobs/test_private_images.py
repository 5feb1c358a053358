"""What a registry gave one user for his password is not another's to run, nor to be forgotten."""

from __future__ import annotations

import dataclasses

from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.messages.actions import FindImage, PullImage, SettlePull
from launcher.core.model.job import ImageKey, Job, Outcome, Owner, State
from launcher.core.recovery.reconcile import resume
from launcher.core.scheduling.explain import blockers
from launcher.spec.job_spec import JobSpec
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


def test_nobody_is_told_that_another_user_has_an_image() -> None:
    machine = with_hers()
    for key in (OPEN, HIS, dataclasses.replace(OPEN, policy="never")):
        job = ask(machine, BOB, key)
        machine.tell(ev.ImageResolved(key, ID), ev.ImageFailed(key, "denied"))
        told = job.message
        absent = ask(machine, BOB, key)
        machine.tell(ev.ImageMissing(key), ev.ImageFailed(key, "denied"))
        assert (told, job.outcome) == (absent.message, Outcome.FAILED)


def test_a_user_is_told_of_an_image_that_an_admin_may_publish() -> None:
    machine = Machine()
    job = ask(machine, BOB, OPEN)
    machine.tell(ev.ImageResolved(OPEN, ID), ev.ImageFailed(OPEN, "denied"))
    assert job.message == (
        "denied. It is on this machine, for admins only: an admin can publish it with "
        f"`launch image publish {OPEN.reference}`"
    )


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
    assert (machine.world.private_images, machine.world.public_images) == ({}, {ID})
    assert machine.world.changes.private_images[ID] == frozenset()


def test_a_job_that_never_pulls_is_not_given_anothers_image() -> None:
    machine = with_hers()
    key = ImageKey(OPEN.reference, "never")
    job = ask(machine, BOB, key)
    machine.tell(ev.ImageResolved(key, ID))
    assert job.outcome is Outcome.FAILED


def test_an_image_that_the_launcher_did_not_pull_is_the_admins_until_one_publishes_it() -> None:
    machine = Machine()
    key = ImageKey(OPEN.reference, "never")
    his = ask(machine, BOB, key)
    hers = ask(machine, ALICE, key)
    machine.tell(ev.ImageResolved(key, ID, admins=frozenset({ALICE.uid})))
    assert (hers.image_id, his.outcome) == (ID, Outcome.FAILED)
    machine.tell(ev.ImagesPublished(frozenset({ID})))
    job = ask(machine, BOB, key)
    machine.tell(ev.ImageResolved(key, ID))
    assert job.image_id == ID


def test_a_published_image_is_everybodys_also_if_it_was_somebodys() -> None:
    machine = with_hers()
    machine.tell(ev.ImagesPublished(frozenset({ID})))
    job = ask(machine, BOB, OPEN)
    machine.tell(ev.ImageResolved(OPEN, ID))
    assert job.image_id == ID
    ask(machine, ALICE, HERS)
    machine.tell(ev.ImageMissing(HERS), ev.ImageResolved(HERS, ID, pulled=True))
    assert machine.world.public_images == {ID}, "her pull takes it from nobody"
    assert machine.world.private_images == {}


def test_whose_an_image_was_is_forgotten_once_it_is_gone() -> None:
    machine = with_hers()
    machine.tell(ev.ImagesPublished(frozenset({"sha256:6"})))
    machine.tell(ev.ImagesGone(frozenset({ID, "sha256:6"})))
    assert (machine.world.private_images, machine.world.public_images) == ({}, set())
    job = ask(machine, ALICE, ImageKey(OPEN.reference, "never"))
    machine.tell(ev.ImageResolved(job.image, ID))
    assert job.outcome is Outcome.FAILED


def pulling_hers() -> Machine:
    """A machine that pulls with Alice's credentials."""
    machine = Machine()
    ask(machine, ALICE, HERS)
    machine.tell(ev.ImageMissing(HERS))
    return machine


def test_whose_a_pull_is_is_on_record_with_the_decision_to_pull() -> None:
    machine = pulling_hers()
    assert machine.world.changes.pulls == {(HERS.reference, ALICE.uid): True}
    assert machine.actions[-1] == PullImage(HERS)
    machine.tell(ev.ImageResolved(HERS, ID, pulled=True))
    assert machine.world.changes.pulls == {(HERS.reference, ALICE.uid): False}
    open_to_all = ask(machine, BOB, ImageKey("busybox", "always"))
    assert open_to_all.image_id is None
    assert machine.world.pulls == set(), "a pull without credentials needs no record"


def test_an_open_pull_gives_nobody_the_image_that_has_its_name() -> None:
    """Whoever makes up credentials can begin a pull of any name."""
    machine = pulling_hers()
    for key, owner in ((OPEN, BOB), (ImageKey(OPEN.reference, "never", ALICE.uid), ALICE)):
        job = ask(machine, owner, key)
        machine.tell(ev.ImageResolved(key, ID))
        assert job.image_id is None
    assert machine.world.private_images == {}


def test_a_pull_that_failed_gives_nobody_an_image_and_leaves_no_record() -> None:
    for transient in (False, True):
        machine = pulling_hers()
        actions = machine.tell(ev.ImageFailed(HERS, "denied", transient))
        assert not [action for action in actions if isinstance(action, SettlePull)]
        assert machine.world.pulls == set()
        assert machine.world.changes.pulls == {(HERS.reference, ALICE.uid): False}
        assert machine.world.private_images == {}


def test_the_end_of_one_pull_is_not_that_of_another_of_the_same_name() -> None:
    machine = pulling_hers()
    always = dataclasses.replace(HERS, policy="always")
    ask(machine, ALICE, always)
    machine.tell(ev.ImageFailed(dataclasses.replace(HERS, policy="never"), "it is not here"))
    assert machine.world.pulls == {(HERS.reference, ALICE.uid)}
    machine.tell(ev.ImageFailed(HERS, "denied"))
    assert machine.world.pulls == {(HERS.reference, ALICE.uid)}, "the other one goes on"
    machine.tell(ev.ImageFailed(always, "denied"))
    assert machine.world.pulls == set()


def test_what_a_pull_may_have_left_whose_end_no_record_has_is_roots_until_it_is_pulled_again() -> (
    None
):
    look = SettlePull(HERS.reference, ALICE.uid)
    machine = pulling_hers()
    machine.world.pulling.clear()
    assert look in resume(machine.world, machine.time), "after a restart"
    machine.tell(ev.PullSettled(*dataclasses.astuple(look), ID))
    assert machine.world.pulls == set()
    assert machine.world.private_images == {ID: {0}}
    machine.tell(ev.ImageResolved(HERS, ID, pulled=True))
    assert machine.world.private_images == {ID: {0, ALICE.uid}}


def test_an_image_whose_owners_are_known_stays_theirs_whoever_pulled_its_name_last() -> None:
    machine = with_hers()
    ask(machine, BOB, HIS)
    machine.tell(ev.ImageResolved(HIS, ID))
    machine.world.pulling.clear()
    machine.tell(ev.PullSettled(HIS.reference, BOB.uid, ID))
    assert machine.world.private_images == {ID: {ALICE.uid}}
    assert machine.world.pulls == set()


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
