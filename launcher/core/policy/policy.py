"""What a job may request, by its owner: every rule of the default policy, as one table.

Nothing is open that is not named here: an admin opens more in launcher.toml (``[policy]``), for
members of a group by a named profile (``[profiles.NAME]``). uid 0, and the owner of a per-user
own, have Docker anyway: of them only what would be a mistake is refused. Checked at submit, and
again when the container is made: the policy may be stricter by then.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from launcher.core.model.job import Owner
from launcher.core.policy.settings import MountRoot, Policy, PolicyProfile
from launcher.errors import NotAllowed
from launcher.imageref import is_allowed, is_id, repository_of, tag_of
from launcher.spec.job_spec import JobSpec, Mount

VERSION = 4
"""Counts up with every change of what the rules below let pass; records name it."""
MAX_USER_PRIORITY = 50
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Person:
    """The owner of a job, the names of the owner's groups, and the role.

    ``gids`` are those of the groups that the policy lets the containers keep.
    """

    owner: Owner
    groups: frozenset[str] = frozenset()
    gids: tuple[int, ...] = ()
    trusted: bool = False
    admin: bool = False


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """A spec with all that a rule needs to judge it. ``memory``: the share of its slices."""

    spec: JobSpec
    person: Person
    policy: Policy
    memory: int

    @property
    def profile(self) -> PolicyProfile:
        """The named profile, an empty one where none is asked or it may not be used."""
        named = self.policy.profiles.get(self.spec.policy_profile or "")
        return named if named is not None and may_use(self.person, named) else _NOTHING_MORE

    @property
    def images(self) -> tuple[str, ...]:
        """The repositories that this person may run."""
        return ("*",) if self.person.admin else (*self.policy.images, *self.profile.images)

    @property
    def most_memory(self) -> int:
        """The most bytes that the job may have."""
        return self.profile.memory or self.policy.memory or self.memory

    @property
    def roots(self) -> tuple[MountRoot, ...]:
        """The directories below which this person may mount."""
        name = self.person.owner.name
        all_of_them = (*self.policy.mount_roots, *self.profile.mount_roots)
        return tuple(MountRoot(r.path.replace("{user}", name), r.read_only) for r in all_of_them)


_NOTHING_MORE = PolicyProfile()


def may_use(person: Person, profile: PolicyProfile) -> bool:
    """Whether a person may name a profile: by one of its groups, or as trusted."""
    return person.admin or person.trusted or bool(person.groups & profile.groups)


def check_registry(person: Person, policy: Policy, registry: str) -> None:
    """Raise ``NotAllowed`` for a registry of which this person may run no image.

    Docker contacts it for the user, from the host's network: not any machine that the user names.
    """
    mine = [p.images for p in policy.profiles.values() if may_use(person, p)]
    known = {pattern.partition("/")[0] for images in (policy.images, *mine) for pattern in images}
    free = person.admin or person.owner.uid in policy.unbound
    if not (free or registry in known or "*" in known):
        raise NotAllowed(
            f"registry: {registry} has no image that you may run (rule image-allowed)",
            fix=f"Allowed: {', '.join(sorted(known))}.",
        )


def root_of(bind: Mount, roots: tuple[MountRoot, ...]) -> MountRoot | None:
    """Return the root that a mount's source is in; the longest where several are."""
    within = [r for r in roots if f"{bind.source}/".startswith(f"{r.path.rstrip('/')}/")]
    return max(within, key=lambda r: len(r.path), default=None)


Refusal = tuple[str, str]
"""What is refused, and what would be allowed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the policy: the field, what may be asked, and who breaks it.

    ``always``: also for who has Docker anyway.
    """

    id: str
    field: str
    may: str
    broken_by: Callable[[PolicyInput], Iterator[Refusal]]
    always: bool = False


def check(asked: PolicyInput) -> None:
    """Raise ``NotAllowed`` for the first rule that a job breaks: field, rule, what is allowed."""
    bound = asked.person.owner.uid not in asked.policy.unbound
    for rule in HOST_RULES if asked.spec.on_host else RULES:
        if bound or rule.always:
            for wrong, allowed in rule.broken_by(asked):
                raise NotAllowed(
                    f"{rule.field}: {wrong} (rule {rule.id})", fix=f"Allowed: {allowed}."
                )


def stop_grace(policy: Policy, owner: Owner, wanted: float) -> float:
    """Return the seconds between stop signal and kill that a user's job gets."""
    return wanted if owner.uid in policy.unbound else min(wanted, policy.max_stop_grace)


def check_stop_grace(policy: Policy, owner: Owner, wanted: float) -> None:
    """Raise ``NotAllowed`` for a longer grace period than the policy allows.

    Checked at submit only: a job that was queued under another policy gets a shorter one.
    """
    most = stop_grace(policy, owner, wanted)
    if wanted > most:
        raise NotAllowed(
            f"stop_grace_period: {wanted:g} s is above {most:g} s (rule stop-grace)",
            fix=f"Allowed: up to {most:g} s.",
        )


def check_priority(priority: int, *, admin: bool) -> None:
    """Raise ``NotAllowed`` for a priority that only an admin may give."""
    if priority > MAX_USER_PRIORITY and not admin:
        raise NotAllowed(
            f"priority: {priority} is above {MAX_USER_PRIORITY}, which is all a user may ask "
            "(rule priority)",
            fix="Ask for 50 or less, or let an admin do it.",
        )


_TOOLKITS = re.compile(
    r"(NVIDIA_|LD_|DOCKER_RESOURCE_|LAUNCHER_).*|CUDA_VISIBLE_DEVICES|GLIBC_TUNABLES|GCONV_PATH",
    re.DOTALL,
)
"""Before 1.17.8 the toolkit's hooks ran as root with these (CVE-2025-23266). XDG_CONFIG_HOME may
pass: only the toolkit's runtime and prestart hook read it, never in a container's environment."""
ENVIRONMENT_BYTES = 64 * 1024
MOST_MOUNTS = 8
_KEPT_TARGETS = re.compile(
    r"/(proc|sys|dev|run|var/run|etc|usr|lib[^/]*|bin|sbin|boot)(/.*)?", re.DOTALL
)
_KERNELS = re.compile(r"/(proc|sys|dev)(/.*)?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def has_no_controls(path: str) -> bool:
    """Whether a path is without control characters: a pattern, a list of mounts or a log could
    read one with a line's end as two."""
    return _CONTROL.search(path) is None


def normal(path: str) -> str:
    """Return an absolute path of a container without ``.``, ``..`` and more than one slash."""
    return posixpath.normpath(f"/{path.lstrip('/')}")


def is_kernels(path: str) -> bool:
    """Whether a path of a container is in /proc, /sys or /dev."""
    return _KERNELS.fullmatch(normal(path)) is not None


def _image_is_a_reference(asked: PolicyInput) -> Iterator[Refusal]:
    image = asked.spec.image
    if is_id(image):  # of a shorter one what Docker finds must have that name (Images.find)
        yield f"{image} may be the id of an image", "an image by its repository"


def _image_is_allowed(asked: PolicyInput) -> Iterator[Refusal]:
    image, allowed = asked.spec.image, asked.images
    if not is_allowed(image, allowed):
        yield f"{repository_of(image)} is not allowed", ", ".join(allowed) or "no image at all"


def _image_has_a_tag(asked: PolicyInput) -> Iterator[Refusal]:
    if not asked.policy.latest and tag_of(asked.spec.image) == "latest":
        yield f"{asked.spec.image} is whatever is latest", "a tag of its own, or a digest"


def _user_is_ones_own(asked: PolicyInput) -> Iterator[Refusal]:
    owner, user = asked.person.owner, asked.spec.user
    if user is not None and user not in (str(owner.uid), f"{owner.uid}:{owner.gid}", owner.name):
        yield f"{user!r} is not yours", f"{owner.uid}:{owner.gid}, which needs no `user`"


def _environment_is_free(asked: PolicyInput) -> Iterator[Refusal]:
    for name in asked.spec.environment:
        if _TOOLKITS.fullmatch(name):
            readers = "the launcher, NVIDIA's toolkit and the loader"
            yield f"{name} is read by {readers}", "names but NVIDIA_*, LD_*, LAUNCHER_* and such"


def _environment_is_small(asked: PolicyInput) -> Iterator[Refusal]:
    size = sum(len(k.encode()) + len(v.encode()) + 2 for k, v in asked.spec.environment.items())
    if size > ENVIRONMENT_BYTES:
        yield f"{size} bytes", "64 KiB in all"


def _mounts_are_below_a_root(asked: PolicyInput) -> Iterator[Refusal]:
    roots = asked.roots
    for bind in asked.spec.volumes:
        root = root_of(bind, roots)
        named = ", ".join(f"{r.path}{' (read-only)' if r.read_only else ''}" for r in roots)
        if posixpath.normpath(bind.source) != bind.source:
            yield f"{bind.source} is not a plain path", "a path without `..` and `//`"
        elif root is None:
            yield f"{bind.source} cannot be mounted", f"what is below {named or 'no directory'}"
        elif root.read_only and not bind.read_only:
            yield f"{bind.source} can only be read", f"{bind.source}:{bind.target}:ro"


def _mounts_are_few(asked: PolicyInput) -> Iterator[Refusal]:
    if len(asked.spec.volumes) > MOST_MOUNTS:
        yield f"{len(asked.spec.volumes)} mounts", f"{MOST_MOUNTS} at most"


def _targets_are_free(asked: PolicyInput) -> Iterator[Refusal]:
    """No mount hides what the image, Docker or the toolkit has put there, and none another."""
    taken: list[str] = []
    for bind in asked.spec.volumes:
        target = posixpath.normpath(bind.target)
        if target.strip("/") == "" or _KEPT_TARGETS.fullmatch(target) or target.startswith("//"):
            yield f"{bind.target} belongs to the system", "a place of your own, such as /work"
        for other in taken:
            if f"{target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{target}/"):
                yield f"{target} and {other} are in each other's way", "targets side by side"
        taken.append(target)


def _directory_is_the_jobs_own(asked: PolicyInput) -> Iterator[Refusal]:
    """Through /proc/self/fd an old runc let a program out of its container (CVE-2024-21626)."""
    directory = asked.spec.working_dir
    if directory is not None and is_kernels(directory):
        yield f"{directory} belongs to the kernel", "a directory such as /work"


def _memory_is_the_slices(asked: PolicyInput) -> Iterator[Refusal]:
    most, wanted = asked.most_memory, asked.spec.mem_limit
    if wanted is not None and wanted > most:
        yield f"{_mib(wanted)} is more than goes with the slices", f"up to {_mib(most)}"


def _shared_memory_is_half(asked: PolicyInput) -> Iterator[Refusal]:
    most, wanted = (asked.spec.mem_limit or asked.most_memory) // 2, asked.spec.shm_size
    if wanted > most:
        yield f"{_mib(wanted)} is more than half of the job's memory", f"up to {_mib(most)}"


def _network_is_the_jobs(asked: PolicyInput) -> Iterator[Refusal]:
    wanted, more = asked.spec.network_mode, asked.profile.network
    if wanted not in (None, "none", "default", more):
        yield f"{wanted!r} is shared with others", "default, none" + (f", {more}" if more else "")


def _profile_is_ones_own(asked: PolicyInput) -> Iterator[Refusal]:
    name, profiles = asked.spec.policy_profile, asked.policy.profiles
    if name is not None and not (name in profiles and may_use(asked.person, profiles[name])):
        mine = ", ".join(n for n, p in sorted(profiles.items()) if may_use(asked.person, p))
        yield f"{name!r} is not a profile that you may use", mine or "none"


def _priority_is_ordinary(asked: PolicyInput) -> Iterator[Refusal]:
    if asked.spec.priority > MAX_USER_PRIORITY and not asked.person.admin:
        yield f"{asked.spec.priority} is above a user's", f"0 to {MAX_USER_PRIORITY}"


def _mib(size: int) -> str:
    return f"{size // MIB} MiB"


RULES: tuple[Rule, ...] = (
    Rule("image-reference", "image", "a repository's name, never an id", _image_is_a_reference),
    Rule("image-allowed", "image", "of the repositories in `images`", _image_is_allowed),
    Rule("image-latest", "image", "`latest`, unless `latest = false`", _image_has_a_tag),
    Rule("own-user", "user", "the submitter's own uid and primary group", _user_is_ones_own),
    Rule(
        "environment-names",
        "environment",
        "any name but NVIDIA_*, CUDA_VISIBLE_DEVICES, DOCKER_RESOURCE_*, LD_*, GLIBC_TUNABLES, "
        "GCONV_PATH, LAUNCHER_*",
        _environment_is_free,
        always=True,
    ),
    Rule("environment-size", "environment", "64 KiB in all", _environment_is_small, always=True),
    Rule("mount-roots", "volumes", "below `mount_roots`", _mounts_are_below_a_root),
    Rule("mount-count", "volumes", f"{MOST_MOUNTS} at most", _mounts_are_few),
    Rule("mount-targets", "volumes", "outside the system's places", _targets_are_free),
    Rule(
        "working-dir",
        "working_dir",
        "outside /proc, /sys and /dev; below a mount only a directory that is there",
        _directory_is_the_jobs_own,
    ),
    Rule("memory", "mem_limit", "the slices' share of the host's", _memory_is_the_slices),
    Rule("shm-size", "shm_size", "half of the job's memory", _shared_memory_is_half),
    Rule("network", "network_mode", "`default` or `none`", _network_is_the_jobs),
    Rule("profile", "profile", "one that is bound to a group of the user's", _profile_is_ones_own),
    Rule("priority", "priority", f"0 to {MAX_USER_PRIORITY}", _priority_is_ordinary),
)


def _host_is_allowed(asked: PolicyInput) -> Iterator[Refusal]:
    person, groups = asked.person, asked.policy.host_groups
    if not (person.admin or person.groups & groups):
        whose = f"members of {', '.join(sorted(groups))}" if groups else "admins only"
        yield "commands on the machine itself are not open to you", whose


HOST_RULES: tuple[Rule, ...] = (
    Rule("host-groups", "runtime", "`host`, by members of `[host] groups`", _host_is_allowed),
    *(rule for rule in RULES if rule.id in ("environment-size", "memory", "priority")),
)
"""What host jobs may be: their commands have the rights that their owners have anyway."""
