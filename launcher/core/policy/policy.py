"""What a job may request, by its owner: every rule of the default policy, as one table.

Only what is named here is allowed. An admin allows more in launcher.toml (``[policy]``), to members
of a group by a named profile (``[profiles.NAME]``). uid 0 and the owner of a per-user daemon have
access to Docker anyway: only their mistakes are refused. Checked at submit, and again when the
container is created, because the policy may be stricter by then.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from launcher.core.model.job import Owner
from launcher.core.model.own_image import PREFIX
from launcher.core.policy.settings import MountRoot, Policy, PolicyProfile
from launcher.errors import NotAllowed
from launcher.imageref import is_allowed, is_id, repository_of, tag_of
from launcher.spec.job_spec import JobSpec, Mount

VERSION = 5
"""Incremented with every change of what the rules allow; records contain it."""
MAX_USER_PRIORITY = 50
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Person:
    """The owner of a job, the names of the owner's groups, and the role.

    ``gids`` are those of the groups that the policy lets containers keep, ``group_names`` the names
    of these and of the primary group by gid.
    """

    owner: Owner
    groups: frozenset[str] = frozenset()
    gids: tuple[int, ...] = ()
    trusted: bool = False
    admin: bool = False
    group_names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """A spec with everything that a rule needs. ``memory``: the share of its slices."""

    spec: JobSpec
    person: Person
    policy: Policy
    memory: int

    @property
    def profile(self) -> PolicyProfile:
        """The named profile; an empty one if none is requested or it may not be used."""
        named = self.policy.profiles.get(self.spec.policy_profile or "")
        return named if named is not None and may_use(self.person, named) else _NOTHING_MORE

    @property
    def images(self) -> tuple[str, ...]:
        """The repositories that this person may run."""
        own = f"{PREFIX}*"
        everything = (*self.policy.images, *self.profile.images, own)
        return ("*",) if self.person.admin else everything

    @property
    def most_memory(self) -> int:
        """The maximum memory of the job in bytes."""
        return self.profile.memory or self.policy.memory or self.memory

    @property
    def roots(self) -> tuple[MountRoot, ...]:
        """The directories below which this person may mount."""
        name = self.person.owner.name
        all_of_them = (*self.policy.mount_roots, *self.profile.mount_roots)
        return tuple(MountRoot(r.path.replace("{user}", name), r.read_only) for r in all_of_them)


_NOTHING_MORE = PolicyProfile()


def may_use(person: Person, profile: PolicyProfile) -> bool:
    """Whether a person may use a profile: by one of its groups, or as trusted."""
    return person.admin or person.trusted or bool(person.groups & profile.groups)


def check_registry(person: Person, policy: Policy, registry: str) -> None:
    """Raise ``NotAllowed`` for a registry without an image that this person may run.

    Docker contacts it from the host's network, so users may not choose arbitrary hosts.
    """
    mine = [p.images for p in policy.profiles.values() if may_use(person, p)]
    registries = {
        pattern.partition("/")[0] for images in (policy.images, *mine) for pattern in images
    }
    free = person.admin or person.owner.uid in policy.unbound
    if not (free or registry in registries or "*" in registries):
        raise NotAllowed(
            f"registry: {registry} has no image that you may run (rule image-allowed)",
            fix=f"Allowed: {', '.join(sorted(registries))}.",
        )


def root_of(bind: Mount, roots: tuple[MountRoot, ...]) -> MountRoot | None:
    """Return the root that contains a mount's source; the longest of several."""
    within = [r for r in roots if f"{bind.source}/".startswith(f"{r.path.rstrip('/')}/")]
    return max(within, key=lambda r: len(r.path), default=None)


Refusal = tuple[str, str]
"""What is refused, and what would be allowed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the policy: the field, what is allowed, and the check.

    ``always``: also for users with access to Docker anyway.
    """

    id: str
    field: str
    may: str
    broken_by: Callable[[PolicyInput], Iterator[Refusal]]
    always: bool = False


def check(request: PolicyInput) -> None:
    """Raise ``NotAllowed`` for the first rule that a job breaks: field, rule, what is allowed."""
    bound = request.person.owner.uid not in request.policy.unbound
    for rule in HOST_RULES if request.spec.on_host else RULES:
        if bound or rule.always:
            for wrong, allowed in rule.broken_by(request):
                raise NotAllowed(
                    f"{rule.field}: {wrong} (rule {rule.id})", fix=f"Allowed: {allowed}."
                )


def stop_grace(policy: Policy, owner: Owner, wanted: float) -> float:
    """Return the seconds between stop signal and kill of a user's job."""
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
    """Raise ``NotAllowed`` for a priority that only an admin may set."""
    if priority > MAX_USER_PRIORITY and not admin:
        raise NotAllowed(
            f"priority: {priority} is above {MAX_USER_PRIORITY}, the maximum of a user "
            "(rule priority)",
            fix="Use 50 or less, or ask an admin.",
        )


_TOOLKITS = re.compile(
    r"(NVIDIA_|LD_|DOCKER_RESOURCE_|LAUNCHER_).*|CUDA_VISIBLE_DEVICES|GLIBC_TUNABLES|GCONV_PATH",
    re.DOTALL,
)
"""Before 1.17.8 the toolkit's hooks ran as root with these (CVE-2025-23266). XDG_CONFIG_HOME is
allowed: only the toolkit's runtime and prestart hook read it, not from a container's variables."""
ENVIRONMENT_BYTES = 64 * 1024
MOST_MOUNTS = 8
_KEPT_TARGETS = re.compile(
    r"/(proc|sys|dev|run|var/run|etc|usr|lib[^/]*|bin|sbin|boot)(/.*)?", re.DOTALL
)
_KERNELS = re.compile(r"/(proc|sys|dev)(/.*)?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def has_no_controls(path: str) -> bool:
    """Whether a path has no control characters: patterns, lists of mounts or logs could read a
    path with a newline as two."""
    return _CONTROL.search(path) is None


def normal(path: str) -> str:
    """Return an absolute path of a container without ``.``, ``..`` and repeated slashes."""
    return posixpath.normpath(f"/{path.lstrip('/')}")


def is_kernels(path: str) -> bool:
    """Whether a path of a container is in /proc, /sys or /dev."""
    return _KERNELS.fullmatch(normal(path)) is not None


def _image_is_a_reference(request: PolicyInput) -> Iterator[Refusal]:
    image = request.spec.image
    if is_id(image):  # for a shorter one, Images.find requires the name
        yield f"{image} may be the id of an image", "an image by its repository"


def _image_is_allowed(request: PolicyInput) -> Iterator[Refusal]:
    image, allowed = request.spec.image, request.images
    if not is_allowed(image, allowed):
        yield f"{repository_of(image)} is not allowed", ", ".join(allowed) or "no image at all"


def _image_has_a_tag(request: PolicyInput) -> Iterator[Refusal]:
    if not request.policy.latest and tag_of(request.spec.image) == "latest":
        yield f"{request.spec.image} is a moving tag", "another tag, or a digest"


def _user_is_ones_own(request: PolicyInput) -> Iterator[Refusal]:
    owner, user = request.person.owner, request.spec.user
    if user is not None and user not in (str(owner.uid), f"{owner.uid}:{owner.gid}", owner.name):
        yield f"{user!r} is not yours", f"{owner.uid}:{owner.gid}, which needs no `user`"


def _environment_is_free(request: PolicyInput) -> Iterator[Refusal]:
    for name in request.spec.environment:
        if name == "NVIDIA_DRIVER_CAPABILITIES":
            yield (
                f"{name} is set by the launcher",
                "`--gpu-capabilities video` or `gpus: {..., capabilities: [video]}`",
            )
        elif _TOOLKITS.fullmatch(name):
            readers = "the launcher, NVIDIA's toolkit and the loader"
            yield f"{name} is read by {readers}", "names except NVIDIA_*, LD_*, LAUNCHER_* etc."


def _environment_is_small(request: PolicyInput) -> Iterator[Refusal]:
    size = sum(len(k.encode()) + len(v.encode()) + 2 for k, v in request.spec.environment.items())
    if size > ENVIRONMENT_BYTES:
        yield f"{size} bytes", "64 KiB in all"


def _mounts_are_below_a_root(request: PolicyInput) -> Iterator[Refusal]:
    roots = request.roots
    for bind in request.spec.volumes:
        root = root_of(bind, roots)
        named = ", ".join(f"{r.path}{' (read-only)' if r.read_only else ''}" for r in roots)
        if posixpath.normpath(bind.source) != bind.source:
            yield f"{bind.source} is not a plain path", "a path without `..` and `//`"
        elif root is None:
            yield f"{bind.source} cannot be mounted", f"paths below {named or 'no directory'}"
        elif root.read_only and not bind.read_only:
            yield f"{bind.source} can only be mounted read-only", f"{bind.source}:{bind.target}:ro"


def _mounts_are_few(request: PolicyInput) -> Iterator[Refusal]:
    if len(request.spec.volumes) > MOST_MOUNTS:
        yield f"{len(request.spec.volumes)} mounts", f"{MOST_MOUNTS} at most"


def _targets_are_free(request: PolicyInput) -> Iterator[Refusal]:
    """Mounts must not hide files of the image, Docker or the toolkit, or one another."""
    taken: list[str] = []
    for bind in request.spec.volumes:
        target = posixpath.normpath(bind.target)
        if target.strip("/") == "" or _KEPT_TARGETS.fullmatch(target) or target.startswith("//"):
            yield f"{bind.target} belongs to the system", "a place of your own, such as /work"
        for other in taken:
            if f"{target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{target}/"):
                yield f"{target} and {other} overlap", "targets that do not overlap"
        taken.append(target)


def _directory_is_the_jobs_own(request: PolicyInput) -> Iterator[Refusal]:
    """Through /proc/self/fd an old runc let a program out of its container (CVE-2024-21626)."""
    directory = request.spec.working_dir
    if directory is not None and is_kernels(directory):
        yield f"{directory} belongs to the kernel", "a directory such as /work"


def _memory_is_the_slices(request: PolicyInput) -> Iterator[Refusal]:
    most, wanted = request.most_memory, request.spec.mem_limit
    if wanted is not None and wanted > most:
        yield f"{_mib(wanted)} is more than the share of its slices", f"up to {_mib(most)}"


def _shared_memory_is_half(request: PolicyInput) -> Iterator[Refusal]:
    most, wanted = (request.spec.mem_limit or request.most_memory) // 2, request.spec.shm_size
    if wanted is not None and wanted > most:
        yield f"{_mib(wanted)} is more than half of the job's memory", f"up to {_mib(most)}"


def _ulimits_are_the_policys(request: PolicyInput) -> Iterator[Refusal]:
    """memlock and stack are bounded by the job's memory anyway."""
    profile, policy = request.profile, request.policy
    most = {"nofile": profile.nofile or policy.nofile, "nproc": profile.pids or policy.pids}
    for name, limit in request.spec.ulimits.items():
        highest = most.get(name)
        wanted = -1 if -1 in (limit.soft, limit.hard) else max(limit.soft, limit.hard)
        if highest is not None and not 0 <= wanted <= highest:
            yield (
                f"{name}={'unlimited' if wanted < 0 else wanted} is above {highest}",
                f"{name} up to {highest}",
            )


def _gpu_capabilities_are_allowed(request: PolicyInput) -> Iterator[Refusal]:
    allowed = request.policy.gpu_capabilities
    for name in request.spec.gpus.capabilities:
        if name not in allowed:
            yield (
                f"{name!r} is not among `gpu_capabilities` of [policy] in launcher.toml",
                ", ".join(sorted(allowed)),
            )


def _network_is_the_jobs(request: PolicyInput) -> Iterator[Refusal]:
    wanted, more = request.spec.network_mode, request.profile.network
    if wanted not in (None, "none", "default", more):
        yield f"{wanted!r} is shared with others", "default, none" + (f", {more}" if more else "")


def _profile_is_ones_own(request: PolicyInput) -> Iterator[Refusal]:
    name, profiles = request.spec.policy_profile, request.policy.profiles
    if name is not None and not (name in profiles and may_use(request.person, profiles[name])):
        mine = ", ".join(n for n, p in sorted(profiles.items()) if may_use(request.person, p))
        yield f"{name!r} is not a profile that you may use", mine or "none"


def _priority_is_ordinary(request: PolicyInput) -> Iterator[Refusal]:
    if request.spec.priority > MAX_USER_PRIORITY and not request.person.admin:
        yield f"{request.spec.priority} is above a user's maximum", f"0 to {MAX_USER_PRIORITY}"


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
        "any name except NVIDIA_*, CUDA_VISIBLE_DEVICES, DOCKER_RESOURCE_*, LD_*, GLIBC_TUNABLES, "
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
        "outside /proc, /sys and /dev; below a mount only an existing directory",
        _directory_is_the_jobs_own,
    ),
    Rule("memory", "mem_limit", "the slices' share of the host's", _memory_is_the_slices),
    Rule("shm-size", "shm_size", "half of the job's memory", _shared_memory_is_half),
    Rule("ulimits", "ulimits", "`nofile` and `nproc` up to the policy's", _ulimits_are_the_policys),
    Rule(
        "gpu-capabilities",
        "gpus.capabilities",
        "of `gpu_capabilities`",
        _gpu_capabilities_are_allowed,
    ),
    Rule("network", "network_mode", "`default` or `none`", _network_is_the_jobs),
    Rule("profile", "profile", "one that is bound to a group of the user's", _profile_is_ones_own),
    Rule("priority", "priority", f"0 to {MAX_USER_PRIORITY}", _priority_is_ordinary),
)


def _host_is_allowed(request: PolicyInput) -> Iterator[Refusal]:
    person, groups = request.person, request.policy.host_groups
    if not (person.admin or person.groups & groups):
        whose = f"members of {', '.join(sorted(groups))}" if groups else "admins only"
        yield "you may not run commands on the machine itself", whose


HOST_RULES: tuple[Rule, ...] = (
    Rule("host-groups", "runtime", "`host`, by members of `[host] groups`", _host_is_allowed),
    *(rule for rule in RULES if rule.id in ("environment-size", "memory", "priority")),
)
"""Limits of host jobs: their commands have the rights that their owners have anyway."""
