"""Images while jobs wait: one question and one pull for all, pins, failures."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.core.jobs import images
from launcher.core.jobs.images import MOST_PULLS
from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.messages.actions import FindImage, PullImage
from launcher.core.model.job import ImageKey, Job, Outcome, Owner, Reason, State
from launcher.core.model.slice_state import ImageState
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, BOB, IMAGE, Machine, profile


def submit_image(
    machine: Machine, reference: str, policy: str = "missing", owner: Owner = ALICE
) -> Job:
    key = ImageKey(reference, policy)
    new = ev.NewJob(JobSpec("job", reference, profile(), pull_policy=policy), "{}", key)
    (job,), actions = submit(machine.world, ev.Submitted(owner, (new,)), machine.time)
    machine.actions += actions
    return job


def test_many_waiters_ask_once_and_all_are_pinned() -> None:
    machine = Machine()
    jobs = [machine.submit(profile(), pinned=False)[0] for _ in range(3)]
    assert machine.actions == [FindImage(IMAGE)]
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert {job.image_id for job in jobs} == {"sha256:1"}


def test_a_missing_image_is_pulled_once_for_all() -> None:
    machine = Machine()
    for _ in range(3):
        machine.submit(profile(), pinned=False)
    assert machine.tell(ev.ImageMissing(IMAGE)) == [PullImage(IMAGE)]
    machine.submit(profile(), pinned=False)
    assert machine.actions.count(PullImage(IMAGE)) == 1


def test_two_pulls_at_a_time_and_the_first_in_the_queue_first() -> None:
    machine = Machine()
    for letter in "abcd":
        submit_image(machine, letter)
    for letter in "abcd":
        machine.tell(ev.ImageMissing(ImageKey(letter, "missing")))
    pulls = [a.image.reference for a in machine.actions if isinstance(a, PullImage)]
    assert pulls == ["a", "b"]
    machine.tell(ev.ImageResolved(ImageKey("b", "missing"), "sha256:b", pulled=True))
    pulls = [a.image.reference for a in machine.actions if isinstance(a, PullImage)]
    assert pulls == ["a", "b", "c"]


def test_always_pulls_and_never_fails_without_pulling() -> None:
    machine = Machine()
    submit_image(machine, "a", "always")
    assert machine.actions == [PullImage(ImageKey("a", "always"))]
    job = submit_image(machine, "b", "never")
    machine.tell(ev.ImageMissing(ImageKey("b", "never")))
    assert (job.outcome, job.reason) == (Outcome.FAILED, Reason.IMAGE_PULL_FAILED)


def test_a_failed_pull_ends_every_waiter_with_the_words_of_the_registry() -> None:
    machine = Machine()
    job, other = machine.submit(profile(), profile(), pinned=False)
    machine.tell(ev.ImageMissing(IMAGE), ev.ImageFailed(IMAGE, "manifest unknown"))
    assert (job.state, job.reason, other.message) == (
        State.DONE,
        Reason.IMAGE_PULL_FAILED,
        "manifest unknown",
    )
    assert machine.world.images == {}


def test_a_cancelled_waiter_takes_its_pull_with_it() -> None:
    machine = Machine()
    for letter in "abc":
        submit_image(machine, letter)
        machine.tell(ev.ImageMissing(ImageKey(letter, "missing")))
    machine.tell(ev.CancelAsked(3, 1000))
    assert ImageKey("c", "missing") not in machine.world.images


def test_who_comes_while_the_question_is_open_shares_the_answer_and_later_ones_ask_again() -> None:
    machine = Machine()
    machine.submit(profile(), profile(), pinned=False)
    machine.submit(profile(), pinned=False)
    assert machine.actions.count(FindImage(IMAGE)) == 1
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    machine.submit(profile(), pinned=False)
    assert machine.actions.count(FindImage(IMAGE)) == 2


def test_an_image_that_vanished_is_found_again_but_never_replaced_by_another() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.fail_start(job, ev.StartFailure.IMAGE_GONE)
    assert job.state is State.PENDING
    machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
    assert (job.state, job.attempt) == (State.STARTING, 2)
    machine.fail_start(job, ev.StartFailure.IMAGE_GONE)
    machine.tell(ev.ImageResolved(IMAGE, "sha256:2", pulled=True))
    assert (job.outcome, job.reason) == (Outcome.FAILED, Reason.IMAGE_GONE)


class Unwalked(dict[ImageKey, ImageState]):
    """Images of which each costs a look: none may go through all of them."""

    def __iter__(self) -> Iterator[ImageKey]:
        raise AssertionError("all images are looked at")

    items = values = __iter__  # type: ignore[assignment]


def pulls_of(machine: Machine) -> list[str]:
    return [a.image.reference for a in machine.actions if isinstance(a, PullImage)]


def test_a_user_waits_for_nobody_elses_pulls() -> None:
    machine = Machine()
    for number in range(8):
        submit_image(machine, f"a{number}", "always")
    submit_image(machine, "b", "always", owner=BOB)
    submit_image(machine, "b2", "always", owner=BOB)
    assert pulls_of(machine) == ["a0", "a1", "b"]


def test_users_are_served_in_turn_where_more_want_to_pull_than_may_at_once() -> None:
    machine = Machine()
    users = [Owner(2000 + n, 2000, f"user{n}") for n in range(18)]
    for owner in users:
        for image in range(3):
            submit_image(machine, f"{owner.name}-{image}", "always", owner=owner)
    assert len(machine.world.pulling) == MOST_PULLS
    while machine.world.pulling:
        key = min(machine.world.pulling, key=lambda key: key.reference)
        machine.tell(ev.ImageResolved(key, "sha256:1", pulled=True))
    first = {name.partition("-")[0] for name in pulls_of(machine)[:19]}
    assert first == {owner.name for owner in users}
    assert len(pulls_of(machine)) == 54


def test_an_image_that_is_not_there_costs_no_look_at_the_others() -> None:
    machine = Machine()
    machine.world.reconciling = "not yet"
    keys = [ImageKey(f"image-{n}", "missing") for n in range(300)]
    for key in keys:
        submit_image(machine, key.reference)
    for key in keys:
        machine.tell(ev.ImageMissing(key))
    machine.world.images = Unwalked(machine.world.images)
    images.failed(machine.world, ev.ImageFailed(keys[0], "refused"), machine.time)
