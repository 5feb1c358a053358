"""Which images an admin is told of as nobody's, and `publish --all` makes everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from launcher.core.world.world import World
from launcher.daemon.api.handlers.images import undecided

HERE = {"sha256:1": "team/secret:1", "sha256:2": "old:1", "sha256:3": "everybodys:1"}


async def run(_uid: int, call: Callable[..., Any], *words: Any) -> Any:
    return call(*words)


def names(world: World) -> list[str]:
    by_name = {name: image for image, name in HERE.items()}
    images = SimpleNamespace(all=lambda: HERE, find=by_name.get)
    context = SimpleNamespace(world=world, images=images, users=SimpleNamespace(run=run))
    return [view.name for view in asyncio.run(undecided(cast("Any", context), 0))]


def test_what_a_pull_with_credentials_has_just_brought_is_not_nobodys() -> None:
    world = World("feed")
    world.public_images.add("sha256:3")
    assert names(world) == ["team/secret:1", "old:1"]
    world.pulls.add(("team/secret:1", 1000))
    assert names(world) == ["old:1"], "its owner is not on record yet, and it is not public"
