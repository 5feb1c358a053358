"""A container's own directories: made before it is created, deleted after it is removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcher.core.policy import account_files
from launcher.core.policy.own_directories import TMP, OwnDirectories
from launcher.core.policy.policy import PolicyInput
from launcher.core.policy.sandbox import ImageWishes
from launcher.daemon.mounts.homes import Homes
from launcher.engine.image_files import ImageFacts
from launcher.homes import HomeRequest
from launcher.homes.values import MOST_PARENTS
from launcher.spec.job_spec import Mount


@dataclass(frozen=True, slots=True)
class JobHomes:
    """``facts`` returns what an image brings; it blocks, and raises as Docker's calls do."""

    homes: Homes
    facts: Callable[[str], ImageFacts]

    def wishes(self, image_id: str) -> ImageWishes:
        """Return what an image's configuration asks for."""
        config = self.facts(image_id).config
        capabilities = config.environment.get("NVIDIA_DRIVER_CAPABILITIES", "")
        return ImageWishes(config.working_dir, capabilities)

    def mounts(self, own: OwnDirectories | None, container: str, uid: int) -> tuple[Mount, ...]:
        """Return the mounts of a container's own directories in Docker's form."""
        if own is None:
            return ()
        place = f"{self.homes.directory}/jobs/{container}"
        wanted = (
            (own.home, Mount(f"{place}/home", own.home_path)),
            (own.cache, Mount(f"{self.homes.directory}/caches/{uid}/cache", own.cache_path)),
            (own.tmp, Mount(f"{place}/tmp", TMP)),
            (True, Mount(f"{place}/passwd", "/etc/passwd", read_only=True)),
            (True, Mount(f"{place}/group", "/etc/group", read_only=True)),
        )
        return tuple(mount for is_wanted, mount in wanted if is_wanted)

    def make(
        self,
        own: OwnDirectories,
        request: PolicyInput,
        container: str,
        image_id: str,
        *,
        fresh: bool,
    ) -> None:
        """Make a container's directories; ``fresh``: an earlier attempt's are not used again.

        Raises ``LauncherError``.
        """
        person, facts = request.person, self.facts(image_id)
        owner = person.owner
        files = {
            "passwd": account_files.passwd(
                facts.passwd, owner.name, owner.uid, owner.gid, own.home_path, facts.shell
            ),
            "group": account_files.group(
                facts.group, owner.name, owner.gid, person.gids, person.group_names
            ),
        }
        self.homes.make(
            HomeRequest(
                container=container,
                uid=owner.uid,
                gid=owner.gid,
                parents=own.parents[:MOST_PARENTS],
                files=files,
                cache=own.cache,
                fresh=fresh,
                limit=request.policy.disk or 0,
            )
        )
