"""Carries out actions for images: finds them, pulls them, checks their contents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set

from launcher.core.jobs import own_images
from launcher.core.messages import actions as act
from launcher.core.messages import events as ev
from launcher.core.model.job import ImageKey, Owner
from launcher.core.model.own_image import is_own
from launcher.core.policy import image_rules
from launcher.core.world.world import World
from launcher.daemon.loop.action_pools import Pools
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.users.credentials import Credentials
from launcher.daemon.users.identity import Roles
from launcher.engine.image_files import ImageFacts
from launcher.engine.images import Images, Layer, PullFailed
from launcher.engine.outcome import Refused

MOST_HARMLESS = 10_000
"""Number of images whose check is cached."""


class ImageActions:
    """Every method reports its result to the event loop."""

    def __init__(
        self,
        images: Images,
        pools: Pools,
        credentials: Credentials,
        roles: Roles,
        subscriptions: Subscriptions,
        *,
        facts: Callable[[str], ImageFacts],
        toolkit_fixed: Callable[[], bool],
        architecture: Callable[[], str],
        world: Callable[[], World],
        post: Callable[[ev.Event], None],
    ) -> None:
        self._images, self._pools, self._credentials = images, pools, credentials
        self._roles, self._subscriptions = roles, subscriptions
        self._toolkit_fixed, self._world, self._post = toolkit_fixed, world, post
        self._facts, self._architecture = facts, architecture
        self._harmless: set[str] = set()

    def _payer(self, key: ImageKey) -> int:
        """Return the uid that is charged for finding or pulling an image."""
        state = self._world().images.get(key)
        return 0 if state is None else state.uid

    async def find(self, action: act.FindImage) -> None:
        """Look for an image on this machine."""
        if is_own(action.image.reference):
            self._post(await self._own(action.image))
            return
        payer = self._payer(action.image)
        result = await self._pools.looks.run(payer, self._images.find, action.image.reference)
        missing = ev.ImageMissing(action.image)
        self._post(await self._judged(action.image, result) if result else missing)

    async def _own(self, key: ImageKey) -> ev.ImageResolved | ev.ImageFailed:
        """Return the result for an image that a user loaded."""
        image = own_images.resolve(self._world(), key.reference, key.credentials_uid)
        if image is None:
            text = f"{key.reference}: no such image of yours, and none that is public"
            return ev.ImageFailed(key, f"{text} (`launch image ls` lists yours)")
        return await self._judged(key, image.image_id)

    async def _judged(
        self, key: ImageKey, image_id: str, *, pulled: bool = False, new: bool = False
    ) -> ev.ImageResolved | ev.ImageFailed:
        """Return the result for a local image; each image's contents are checked once."""
        if image_id not in self._harmless:
            faults = await self._pools.looks.run(self._payer(key), self._image_faults, image_id)
            if faults:
                return ev.ImageFailed(key, f"image {key.reference}: {'; '.join(faults)}")
            if len(self._harmless) >= MOST_HARMLESS:
                self._harmless.clear()  # they are checked again
            self._harmless.add(image_id)
        state = self._world().images.get(key)
        owners = {self._world().jobs[job].owner for job in (state.waiting if state else ())}
        owners_to_check = frozenset[Owner]() if pulled else owners
        admins = await self._pools.looks.run(self._payer(key), self._admins, owners_to_check)
        return ev.ImageResolved(key, image_id, pulled, new, admins)

    def _admins(self, owners: Set[Owner]) -> frozenset[int]:
        named = {owner.uid for owner in owners if self._roles.caller(owner).admin}
        return self._roles.admin_uids | named

    async def settle(self, action: act.SettlePull) -> None:
        """Find out what an interrupted pull has fetched."""
        result = await self._pools.looks.run(action.uid, self._images.find, action.reference)
        self._post(ev.PullSettled(action.reference, action.uid, result))

    def _image_faults(self, image_id: str) -> list[str]:
        image = self._facts(image_id).config  # the rest is known then when a start needs it
        if not image_rules.runs_on(image.architecture, machine := self._architecture()):
            rule = "(rule image-architecture)"
            return [f"it is built for {image.architecture}, and this machine is {machine} {rule}"]
        if not image_rules.has_few_volumes(image.volumes):
            most = f"{image_rules.MOST_VOLUMES} at most (rule image-volumes)"
            return [f"it has {len(image.volumes)} VOLUMEs, {most}"]
        fixed = not image_rules.names_a_library(image.environment) or self._toolkit_fixed()
        return list(image_rules.faults(image.environment, image.working_dir, toolkit_fixed=fixed))

    async def pull(self, action: act.PullImage) -> None:
        """Pull an image with the credentials that its jobs share."""
        key = action.image
        auth = self._credentials.of(key)
        if auth is None and key.credentials_uid is not None:
            self._post(ev.CredentialsMissing(key))
            return

        def report(layers: dict[str, Layer]) -> None:
            progress = [dataclasses.asdict(layer) for layer in layers.values()]
            self._subscriptions.pulling(key, progress)

        try:
            payer = self._payer(key)
            before = await self._pools.looks.run(payer, self._images.all)
            image_id = await self._pools.pulls.run(
                payer, self._images.pull, key.reference, auth, report
            )
            new = image_id not in before
            self._post(await self._judged(key, image_id, pulled=True, new=new))
        except (PullFailed, Refused) as failed:
            text = f"cannot pull {key.reference}: {failed.message}"
            transient = isinstance(failed, PullFailed) and failed.transient
            self._post(ev.ImageFailed(key, text, transient))
        finally:
            self._subscriptions.progress.pop(key, None)
