"""The intended container of an attempt: its create body, and the limits it is checked against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import StartFailure
from launcher.core.model.ids import LABEL_PORTS, LABEL_SECRETS, labels
from launcher.core.policy import policy
from launcher.core.policy import validate as wellformed
from launcher.core.policy.sandbox import Confinement, confinement, gets_job_network
from launcher.daemon.attempts.start_errors import NotStarted
from launcher.daemon.machine.devices import Devices
from launcher.daemon.mounts.container_directories import Directories
from launcher.daemon.mounts.job_homes import JobHomes
from launcher.daemon.mounts.mounts import are_pinned, as_mounted, mounts_of, user_of
from launcher.daemon.mounts.secret_mounts import SecretMounts
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.engine import validate
from launcher.engine.attach import Streams
from launcher.engine.containers import Containers
from launcher.engine.give_directory import give_directory
from launcher.engine.outcome import Refused, Unknown
from launcher.engine.spec import ContainerSpec, create_body
from launcher.engine.validate import Bounds
from launcher.errors import EngineUnavailable, LauncherError, PinRefused
from launcher.mount_helper import Pins
from launcher.spec.job_spec import Mount


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """One attempt's container before it is created; ``request`` is the owner's request."""

    action: StartAttempt
    request: policy.PolicyInput
    store: str
    deadline: str | None
    pins_directory: str
    secrets: SecretStore
    places: SecretMounts
    devices: Devices
    directories: Directories
    job_homes: JobHomes
    job_network: Callable[[], str | None]

    def limits(self) -> Confinement:
        """Return the container's limits; raises as Docker's calls do, until the image is known."""
        network = self.job_network() if gets_job_network(self.request) else None
        return confinement(self.request, self.job_homes.wishes(self.action.image_id), network)

    @property
    def secrets_place(self) -> str | None:
        """The path of the job's secrets for Docker; None if it has none."""
        return self.places.of(self.action.container_name) if self.request.spec.secrets else None

    @property
    def binds(self) -> tuple[Mount, ...]:
        """The mounts in Docker's form."""
        return as_mounted(self.request, self.pins_directory, self.action.container_name)

    @property
    def streams(self) -> Streams:
        """The container's terminal and standard input."""
        spec = self.request.spec
        return Streams(spec.tty, spec.stdin_open, self.request.person.owner.uid)

    def bounds(self) -> Bounds:
        """Return the limits of the container's contents.

        Raises as ``limits`` and ``Devices.are_given``.
        """
        owner, limits = self.request.person.owner, self.limits()
        return Bounds(
            uuids=[s.uuid for s in self.action.slices],
            uid=owner.uid,
            gid=owner.gid,
            unbound=owner.uid in self.request.policy.unbound,
            groups=limits.groups,
            network=limits.network,
            mounts=tuple((b.source, b.target, b.read_only) for b in self.binds),
            pins=f"{self.pins_directory}/{self.action.container_name}/",
            secrets=self.secrets_place,
            memory=limits.memory,
            pids=limits.pids,
            nofile=limits.nofile,
            ulimits=limits.ulimits,
            gpu_capabilities=limits.gpu_capabilities,
            tty=self.request.spec.tty,
            stdin=self.request.spec.stdin_open,
            own=tuple((b.source, b.target, b.read_only) for b in self._own_mounts(limits)),
            homes=f"{self.job_homes.homes.directory}/",
            real=self.devices.are_given(),
        )

    def check(self) -> None:
        """Raise ``NotStarted`` if the policy is stricter than when the job was queued."""
        try:
            wellformed.check(self.request.spec)
            policy.check(self.request)
        except LauncherError as refused:
            text = f"{refused.message}. {refused.fix or ''} {self._since_it_was_queued()}".strip()
            raise NotStarted(StartFailure.USER, text) from refused

    def _since_it_was_queued(self) -> str:
        """Explain what may have changed since the same request was allowed."""
        before = self.action.policy_version
        if before is None:
            return ""
        if before != policy.VERSION:
            return (
                f"It was queued under version {before} of the policy, this is version "
                f"{policy.VERSION}."
            )
        return (
            "This was allowed when it was queued; since then launcher.toml or the groups of a user "
            "were changed."
        )

    def masked(self, text: str) -> str:
        """Return Docker's message without the values of variables, in case it quotes some."""
        entries = [
            (f"{name}={value}", name)
            for name, value in self.request.spec.environment.items()
            if value
        ]
        for entry, name in sorted(entries, key=lambda entry: -len(entry[0])):  # suffixes
            text = text.replace(entry, f"{name}=***")
        return text

    def _own_mounts(self, limits: Confinement) -> tuple[Mount, ...]:
        name, uid = self.action.container_name, self.request.person.owner.uid
        return self.job_homes.mounts(limits.directories, name, uid)

    def give_directory(self, containers: Containers) -> None:
        """Make the container's working directory its user's, if that is one of the image."""
        limits = self.limits()
        if limits.directories is not None and limits.directories.owned is not None:
            owner = self.request.person.owner
            name, path = self.action.container_name, limits.directories.owned
            mounts = [target for _, target, _ in self.bounds().all_mounts]
            give_directory(containers, name, path, mounts, owner.uid, owner.gid)

    def pin(self, pins: Pins, dockerd: Callable[[], int | None], *, fresh: bool) -> None:
        """Have the helper hold the owner's mounts and secrets, and make the job's directories.

        ``dockerd`` returns its pid, or None if it is unknown. ``fresh``: the container is created
        afterwards. Raises ``NotStarted``.
        """
        name = self.action.container_name
        try:
            if are_pinned(self.request):
                places = self.directories.checked(self.request.spec, self.action.image_id)
                pins.pin(
                    name, mounts_of(self.request, places), user_of(self.request.person), dockerd()
                )
            elif self.request.spec.volumes:
                self.directories.check_local(self.request, self.action.image_id)
            if self.request.spec.secrets:
                self._put_secrets(dockerd())
            if (own := self.limits().directories) is not None:
                image_id = self.action.image_id
                self.job_homes.make(own, self.request, name, image_id, fresh=fresh)
        except PinRefused as refused:
            raise NotStarted(StartFailure.USER, _volume_error(refused)) from refused
        except (EngineUnavailable, Unknown, Refused) as away:
            raise NotStarted(StartFailure.ENGINE_AWAY, away.message) from away
        except LauncherError as trouble:
            raise NotStarted(StartFailure.INFRA, trouble.message) from trouble

    def _put_secrets(self, dockerd: int | None) -> None:
        owner, spec = self.request.person.owner, self.request.spec
        try:
            result = self.secrets.read((owner.uid, spec.secrets_key or ""))
        except OSError as error:
            text = f"secrets: cannot be read: {error.strerror}"
            raise NotStarted(StartFailure.INFRA, text) from None
        if result is None or result.keys() != spec.secrets.keys():
            raise NotStarted(StartFailure.USER, "secrets: no longer stored; submit the job again")
        self.places.fill(self.action.container_name, owner, result, dockerd)

    def body(self) -> dict[str, object]:
        """Return the body of the create call, checked twice.

        Raises ``NotStarted``, and what ``Devices.driver`` raises.
        """
        body = create_body(self._launch(self.limits()))
        if faults := validate.body_faults(body, self.bounds()):
            raise NotStarted(StartFailure.USER, f"refused before create: {'; '.join(faults)}")
        return body

    def preview(self) -> ContainerSpec:
        """Return the container with the mounts as the owner wrote them.

        It has no directories and secrets that only the daemon can provide. Raises as ``body`` does.
        """
        return replace(self._launch(self.limits()), binds=self.request.spec.volumes)

    def _launch(self, limits: Confinement) -> ContainerSpec:
        action, uid = self.action, self.request.person.owner.uid
        uuids = tuple(s.uuid for s in action.slices)
        place, key = self.secrets_place, self.request.spec.secrets_key
        secrets = () if place is None else (Mount(place, wellformed.SECRETS, read_only=True),)
        more = {} if key is None else {LABEL_SECRETS: key}
        if ports := self.request.spec.ports:
            words = [*map(str, ports), *(["loopback"] * self.request.spec.loopback)]
            more[LABEL_PORTS] = ",".join(words)
        return ContainerSpec(
            job=action.job,
            attempt=action.attempt,
            spec=self.request.spec,
            slices=action.slices,
            image_id=action.image_id,
            confinement=limits,
            labels=labels(self.store, action.job, action.attempt, uuids, uid) | more,
            binds=(*self.binds, *self._own_mounts(limits), *secrets),
            gpu_driver=self.devices.driver(),
            deadline=self.deadline,
            index=action.index,
        )


def _volume_error(refused: PinRefused) -> str:
    return f"volumes: {refused.message}" + (f". {refused.fix}" if refused.fix else "")
