"""Whose an image was is forgotten once it is gone, and only then."""

from __future__ import annotations

import asyncio
from typing import Any

from launcher.core.messages.events import ImagesGone
from launcher.core.model.own_image import KeptImage, OwnImage
from launcher.core.world.world import World
from launcher.daemon.machine.image_owners import UnusedImages, forget_gone
from launcher.errors import EngineUnavailable

KNOWN = World("feed", private_images={"sha256:1": frozenset({1000})}, public_images={"sha256:2"})


class Images:
    """The images of a machine, or why they are unknown."""

    def __init__(self, *here: str, away: bool = False) -> None:
        self.here, self.away, self.asked = here, away, 0

    def all(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise EngineUnavailable("Docker is away")
        return dict.fromkeys(self.here)


def forgotten(images: Images, world: World = KNOWN) -> list[Any]:
    posted: list[Any] = []
    asyncio.run(forget_gone(world, images, posted.append))  # type: ignore[arg-type]
    return posted


def test_images_that_are_gone_are_told_together() -> None:
    assert forgotten(Images("sha256:3")) == [ImagesGone(frozenset({"sha256:1", "sha256:2"}))]


def test_images_that_are_here_are_kept() -> None:
    assert forgotten(Images("sha256:1", "sha256:2")) == []


def test_while_docker_is_away_nothing_is_forgotten() -> None:
    assert forgotten(Images(away=True)) == []


def test_where_no_owner_is_on_record_docker_is_not_asked() -> None:
    images = Images()
    assert forgotten(images, World("feed")) == []
    assert images.asked == 0


class Kept:
    """The images that Docker keeps for users."""

    def __init__(self, *images: KeptImage) -> None:
        self.images = set(images)

    def kept(self) -> list[KeptImage]:
        return list(self.images)

    def release(self, image: KeptImage) -> None:
        self.images.remove(image)


def kept(number: int, uid: int = 1000, store: str = "feed") -> KeptImage:
    return KeptImage(store, uid, f"sha256:{number:064x}", 5)


def test_an_image_that_was_found_twice_without_a_name_or_a_job_is_removed() -> None:
    named, left, others = kept(1), kept(2), kept(2, store="beef")
    world, here = World("feed"), Kept(named, left, others, kept(1, uid=1001))
    own = OwnImage(1000, "alice", "a:1", named.image_id, 5, 0.0)
    world.own_images[1000, "a:1"] = own
    unused = UnusedImages(here)  # type: ignore[arg-type]
    asyncio.run(unused.remove(lambda: world))
    assert len(here.images) == 4
    here.images.add(kept(3))
    asyncio.run(unused.remove(lambda: world))
    assert here.images == {named, others, kept(3)}
