"""``launch serve --rebuild-from-docker``: a new database from containers and a damaged file.

Nothing is started, stopped or removed here: the next start continues with the result.
"""

from __future__ import annotations

import logging
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from launcher import wire
from launcher.config.settings import Config
from launcher.core.model.gpu import Slice
from launcher.core.model.ids import (
    LABEL_ATTEMPT,
    LABEL_JOB,
    LABEL_SECRETS,
    LABEL_SLICES,
    LABEL_STORE,
    LABEL_UID,
    attempt_of_name,
)
from launcher.core.model.job import Owner, wall_of
from launcher.core.recovery.rebuild import FoundContainer, Rebuild
from launcher.core.recovery.reconcile import resume
from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_container
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.daemon.output.old_logs import folders, logs_in
from launcher.daemon.recovery.recovery_mode import taken_up
from launcher.daemon.requests import convert
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Container, Containers
from launcher.engine.images import Images
from launcher.errors import (
    DatabaseDamaged,
    GpuFault,
    GpuUnavailable,
    LauncherError,
    UserError,
)
from launcher.gpu import GpuReader
from launcher.imageref import last_name
from launcher.spec.job_spec import SECRETS_KEY
from launcher.store import Store
from launcher.store.salvage.rebuild import Rebuilding, RebuildReport

log = logging.getLogger(__name__)


def is_damaged(config: Config) -> bool:
    """Whether the database cannot be used and may be rebuilt; logs if it is intact.

    Raises ``SchemaTooNew`` if a newer version must be installed instead.
    """
    try:
        store = Store.open(config.state_dir)
        try:
            world = store.load(config.cpu_slots, config.rules)
            taken_up(config, lambda: resume(world, clock.now()))
        finally:
            store.close()
    except DatabaseDamaged as damaged:
        log.warning("%s", damaged.message)
        return True
    log.warning("the database is intact: nothing to rebuild")
    return False


def rebuild(config: Config) -> RebuildReport:
    """Rebuild the database of a state directory; return and log what was restored.

    Raises ``EngineUnavailable`` if Docker cannot list containers, ``UserError`` if their store
    is ambiguous; then nothing is changed.
    """
    connection = DockerConnection(config.docker_host)
    containers, images = Containers(connection), Images(connection)
    listed = containers.of_any_store()
    with Rebuilding(config.state_dir) as work:
        store_id = work.store_id() or _id_of(listed)
        ours = [c for c in listed if c["Labels"][LABEL_STORE] == store_id]
        inspected = [result for c in ours if (result := containers.inspect(c["Id"])) is not None]
        secrets = SecretStore(config.state_dir / "secrets")
        seen = [found for c in inspected if (found := _found(c, images, secrets)) is not None]
        shown = _slices(seen)
        salvaged = work.salvage(store_id or "")
        seen_attempts = started_attempts(config.state_dir)
        world = work.store.load(config.cpu_slots, config.rules)
        restored = Rebuild(world, work.ended, seen_attempts, shown, clock.now()).run(seen)
        work.store.commit(world.take_changes())
        highest = max([*seen_attempts, *(f.job for f in seen)], default=0)
        outcome = RebuildReport(salvaged, restored, work.next_id_after(highest), work.missing())
        work.store.load(config.cpu_slots, config.rules)  # checks that it can be read
        aside = work.finish("\n".join(outcome.lines()) + "\n")
    for line in outcome.lines():
        log.warning("rebuilt: %s", line)
    if aside is not None:
        log.warning("the damaged database is kept as %s", aside)
    return outcome


def _id_of(listed: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the one store that has containers, None if there are none."""
    result = {c["Labels"][LABEL_STORE] for c in listed}
    if len(result) > 1:
        raise UserError(
            f"there are containers of several stores ({', '.join(sorted(result))}), and the "
            "damaged database's own is unknown",
            fix="Write its id into the file store-id of the state directory, then try again.",
        )
    return next(iter(result), None)


def _found(container: Container, images: Images, secrets: SecretStore) -> FoundContainer | None:
    labels, config = container.labels, container.info["Config"]
    job, attempt = labels.get(LABEL_JOB, ""), labels.get(LABEL_ATTEMPT, "")
    if not (job.isdecimal() and attempt.isdecimal()):
        about_container(log, container.name).warning(
            "%s has our label but names no job: leaving it alone", container.name
        )
        return None
    image_id = str(container.info["Image"])
    image = images.name_of(image_id)
    slices = tuple(filter(None, labels.get(LABEL_SLICES, "").split(",")))
    name = last_name(image) or f"job-{job}"
    request = wire.JobSpec(
        name=name,
        image=image,
        command=_words(config.get("Cmd")),
        entrypoint=_words(config.get("Entrypoint")),
        gpus=wire.GpuRequest(kind="uuid" if slices else "none", uuids=slices),
        working_dir=config.get("WorkingDir") or None,
        secrets=_stored_secrets(labels, secrets),
    )
    return FoundContainer(
        job=int(job),
        attempt=int(attempt),
        owner=_owner(labels.get(LABEL_UID, "")),
        slices=slices,
        container=container.name,
        container_id=container.id,
        image_id=image_id,
        job_name=name,
        image=image,
        document=convert.document(request),
        running=container.running,
        started_at=container.started_at,
        ended_at=container.finished_at,
        exit_code=container.exit_code,
        oom=container.oom,
        time_limit=_limit(config.get("Env") or [], container.started_at),
    )


def _words(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(str, value))


def _stored_secrets(labels: Mapping[str, str], secrets: SecretStore) -> dict[str, str | None]:
    """Return the names of a job's secrets and their location, if still stored."""
    name = labels.get(LABEL_SECRETS, "")
    result = secrets.read((_owner(labels.get(LABEL_UID, "")).uid, name))
    return dict.fromkeys(result or (), SECRETS_KEY + name)


def _owner(uid: str) -> Owner:
    """Return the user of a label; a uid unknown to this machine keeps its number."""
    number = int(uid) if uid.isdecimal() else 0
    try:
        entry = pwd.getpwuid(number)
    except KeyError:
        return Owner(number, number, str(number))
    return Owner(number, entry.pw_gid, entry.pw_name)


def _limit(environment: Iterable[str], started_at: str | None) -> float | None:
    """Return the time limit that a container was started with, in seconds."""
    deadlines = (e.removeprefix("LAUNCHER_DEADLINE=") for e in environment)
    deadline = next(filter(None, map(wall_of, deadlines)), None)
    started = wall_of(started_at)
    return None if deadline is None or started is None else max(1.0, deadline - started)


def _slices(containers: Iterable[FoundContainer]) -> dict[str, Slice]:
    """Return NVML's slices; without them the leases of running containers are unknown (I10)."""
    try:
        return {s.uuid: s for s in GpuReader().inventory().slices}
    except (GpuUnavailable, GpuFault) as error:
        if any(container.slices for container in containers):
            raise LauncherError(
                f"cannot read the GPUs of running jobs: {error.message}",
                fix="Repair the driver first; see `launch doctor`.",
            ) from error
        return {}


def started_attempts(state_dir: Path) -> dict[int, int]:
    """Return the highest attempt that has a log or the record of a start, by job."""
    logs = (file for folder in folders(state_dir / "logs") for file in logs_in(folder))
    seen = [(file.job, file.attempt) for file in logs]
    marks = (attempt_of_name(path.name) for path in state_dir.glob("starts/*"))
    result: dict[int, int] = {}
    for job, attempt in [*seen, *(mark for mark in marks if mark is not None)]:
        result[job] = max(attempt, result.get(job, 0))
    return result
