"""Images that the launcher pulled: their last use, and which go first when they need too much."""

from __future__ import annotations

from launcher.core.dispatch import decide
from launcher.core.messages import events as ev
from launcher.core.model.job import ImageKey, Job
from launcher.core.model.own_image import PulledImage
from tests.support.builders import ALICE, BOB, Machine, mig, profile
from tests.unit.core.jobs.test_images import submit_image

GIB = 2**30


def pulled(machine: Machine, name: str, *, new: bool = True) -> Job:
    """Submit a job with an image that the registry gives; its id is named after it."""
    job = submit_image(machine, name)
    key = ImageKey(name, "missing")
    machine.tell(ev.ImageMissing(key), ev.ImageResolved(key, f"id-{name}", pulled=True, new=new))
    return job


def ended(machine: Machine, job: Job) -> None:
    machine.run(job)
    machine.end(job)


def expired(machine: Machine, most: int, *names: str) -> list[str]:
    event = ev.ImagesMeasured({f"id-{name}": GIB for name in names}, most * GIB)
    chosen, _ = decide(machine.world, event, machine.time)
    return [image.reference for image in chosen]


def test_the_least_recently_used_go_first_and_only_as_many_as_needed() -> None:
    machine = Machine(slices=[mig(0)])
    for name in ("a", "b", "c"):
        ended(machine, pulled(machine, name))
        machine.wait(100)
    machine.submit(profile(), pinned=False)  # an image of another name
    again = submit_image(machine, "a")
    machine.tell(ev.ImageResolved(ImageKey("a", "missing"), "id-a"))
    ended(machine, again)
    assert machine.world.pulled_images["id-a"].used_at == machine.time.wall
    assert expired(machine, 3, "a", "b", "c") == []
    assert expired(machine, 1, "a", "b", "c") == ["b", "c"]


def test_what_an_unfinished_job_needs_stays_however_old_it_is() -> None:
    machine = Machine(slices=[mig(0)])
    ended(machine, pulled(machine, "old"))
    machine.wait(100)
    pulled(machine, "queued")
    submit_image(machine, "old")  # it is being looked for
    assert expired(machine, 0, "old", "queued") == []


def test_an_image_that_was_here_before_the_pull_is_not_the_launchers() -> None:
    machine = Machine(slices=[mig(0)])
    ended(machine, pulled(machine, "theirs", new=False))
    assert machine.world.pulled_images == {}
    assert expired(machine, 0, "theirs") == []


def test_while_an_image_is_removed_no_job_gets_it() -> None:
    machine = Machine(slices=[mig(0)])
    ended(machine, pulled(machine, "a"))
    assert expired(machine, 0, "a") == ["a"]
    late = submit_image(machine, "a")
    machine.tell(ev.ImageResolved(ImageKey("a", "missing"), "id-a"))
    assert late.image_id is None, "it is pulled again"
    machine.tell(ev.ImageRemoved("id-a", gone=True))
    assert machine.world.pulled_images == {}
    assert machine.world.changes.pulled_images == {"id-a": None}
    machine.tell(ev.ImageResolved(ImageKey("a", "missing"), "id-a", pulled=True, new=True))
    assert late.image_id == "id-a"


def test_an_image_that_could_not_be_removed_is_tried_again() -> None:
    machine = Machine(slices=[mig(0)])
    ended(machine, pulled(machine, "a"))
    assert expired(machine, 0, "a") == ["a"]
    machine.tell(ev.ImageRemoved("id-a", gone=False))
    assert machine.world.removing == set()
    assert expired(machine, 0, "a") == ["a"]


def test_the_last_user_is_on_record() -> None:
    machine = Machine(slices=[mig(0)])
    ended(machine, pulled(machine, "a"))
    job = submit_image(machine, "a", owner=BOB)
    machine.tell(ev.ImageResolved(ImageKey("a", "missing"), "id-a"))
    ended(machine, job)
    now = machine.time.wall
    assert machine.world.pulled_images["id-a"] == PulledImage(
        "id-a", "a", ALICE.uid, "alice", now, now, "bob"
    )


def test_an_image_that_is_gone_is_forgotten() -> None:
    machine = Machine(slices=[mig(0)])
    ended(machine, pulled(machine, "a"))
    machine.tell(ev.ImagesGone(frozenset({"id-a"})))
    assert machine.world.pulled_images == {}
