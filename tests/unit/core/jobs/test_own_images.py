"""Users' own images: what a reference means, and which ones nobody needs."""

from __future__ import annotations

from launcher.core.jobs.own_images import resolve, room, unused
from launcher.core.model.own_image import KeptImage, OwnImage
from launcher.core.policy.settings import Quota
from launcher.core.world.world import World


def world_with(*images: OwnImage, public: frozenset[str] = frozenset()) -> World:
    world = World("feed", public_images=set(public))
    world.own_images |= {(image.uid, image.name): image for image in images}
    return world


def image(uid: int, image_id: str, user: str = "alice", loaded_at: float = 0.0) -> OwnImage:
    return OwnImage(uid, user, "app:latest", image_id, 5, loaded_at)


def test_a_users_name_that_another_uid_had_means_the_callers_image_first() -> None:
    old, new = image(1001, "old", loaded_at=9.0), image(1005, "new")
    world = world_with(old, new, public=frozenset({"old"}))
    assert resolve(world, "localhost/alice/app", 1005) is new
    assert resolve(world, "localhost/alice/app", 1009) is old
    world.public_images = {"new"}
    assert resolve(world, "localhost/alice/app", 1009) is new
    assert resolve(world_with(old, new), "localhost/alice/app", 1009) is None


def test_replaced_images_take_their_users_room() -> None:
    world, quota = world_with(image(1001, "a")), Quota(image_bytes=100)
    kept = [KeptImage("feed", 1001, "before", 40)]
    assert room(world, 1001, quota, admin=False, name="b:1", others=kept) == 55
    assert room(world, 1001, quota, admin=False, name="app:latest", others=kept) == 60


def test_images_of_other_daemons_are_never_unused() -> None:
    kept = [KeptImage("feed", 1001, "a"), KeptImage("feed", 1002, "a"), KeptImage("beef", 1, "x")]
    assert unused(world_with(image(1001, "a")), kept) == [kept[1]]
