"""Whose an image was is forgotten once it is gone, and only then."""

from __future__ import annotations

import asyncio
from typing import Any

from launcher.core.messages.events import ImagesGone
from launcher.core.world.world import World
from launcher.daemon.machine.image_owners import forget_gone
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
