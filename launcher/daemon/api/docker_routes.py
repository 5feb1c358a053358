"""The ``docker run`` that does the same as a job, from the container that the daemon would make."""

from __future__ import annotations

from collections.abc import Iterator

from launcher import wire
from launcher.core.messages.actions import StartAttempt
from launcher.core.model.gpu import Slice
from launcher.core.model.ids import container_name
from launcher.core.model.job import Job, State
from launcher.core.policy.policy import PolicyInput
from launcher.core.policy.validate import SECRETS
from launcher.core.world.world import World
from launcher.daemon.api.handlers.context import Context, must_own
from launcher.daemon.api.handlers.jobs import policy_input, shown_spec
from launcher.daemon.api.route import Access, get
from launcher.daemon.api.views.docker_words import docker_words
from launcher.daemon.users.identity import Caller
from launcher.engine.spec import ContainerSpec
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader

PLACEHOLDER = "SLICE-{}"
"""In place of the UUID of a slice that the job does not have yet."""


async def docker_command(context: Context, caller: Caller, ref: str) -> wire.DockerCommand:
    """Return the command; the values of variables as ``show`` shows them to the caller.

    Raises ``UserError`` for a host job, and as Docker's calls do.
    """
    job = await context.one_job(ref, caller)
    must_own(job, caller)
    if job.on_host:
        raise UserError(f"job {job.ref} runs on the machine itself, without Docker")
    stored = await context.spec(job.id)
    if stored is None:
        raise UserError(f"the request of job {job.ref} is lost")
    spec = shown_spec(stored, job, caller)
    attempts = await context.committer.read(Reader.attempts, job.id)
    had = attempts[-1].slices if attempts and job.state is not State.PENDING else ()
    slices = _slices(context.world, spec, had)
    request = await policy_input(context, caller, job, spec)
    launch = await context.users.run(caller.uid, _preview, context, job, request, slices)
    return wire.DockerCommand(
        words=docker_words(launch), notes=list(_notes(job, spec, launch, caller))
    )


def _slices(world: World, spec: JobSpec, uuids: tuple[str, ...]) -> tuple[Slice, ...]:
    """Return the slices that the job has or had, else those it names, else placeholders."""
    need = spec.gpus
    count = 0 if need.kind == "none" else need.count
    names = uuids or need.uuids or tuple(PLACEHOLDER.format(n + 1) for n in range(count))
    known = world.slices
    return tuple(
        known[name].slice
        if name in known
        else Slice(name, "", 0, need.profile or need.kind, None, memory_mib=0)
        for name in names
    )


def _preview(
    context: Context, job: Job, request: PolicyInput, slices: tuple[Slice, ...]
) -> ContainerSpec:
    """Return the container that the daemon would create. Blocks, and raises as Docker's calls."""
    attempt = job.attempt + (job.state is State.PENDING)
    action = StartAttempt(
        job=job.id,
        attempt=attempt,
        container_name=container_name("", job.id, attempt),
        slices=slices,
        image_id=job.image_id or request.spec.image,
        index=job.index,
    )
    return context.starter.plan(action, request, None).preview()


def _notes(job: Job, spec: JobSpec, launch: ContainerSpec, caller: Caller) -> Iterator[str]:
    """Yield where the command and the job differ, and what to change before it is run."""
    placeholders = [s.uuid for s in launch.slices if s.uuid.startswith(PLACEHOLDER.format(""))]
    if placeholders:
        yield (
            f"job {job.ref} has no slice yet: put a slice's UUID in place of"
            f" {', '.join(placeholders)} (`launch slices` shows them)"
        )
    elif launch.slices:
        yield "the queue does not know of this container: another job may use the same slice"
    if job.image_id is None:
        yield "the image was not looked for yet: its name is used"
    if launch.confinement.directories is not None:
        yield "HOME and /tmp are in memory here, and /etc/passwd is the image's"
    for name in spec.secrets:
        yield (
            f"the secret {name} is left out: add"
            f" --mount=type=bind,source=FILE,target={SECRETS}/{name},readonly"
        )
    if spec.environment and caller.uid != job.owner.uid:
        yield "*** stands for the values of variables, which only the owner sees"


ROUTES = (get("/v1/jobs/{ref}/docker", docker_command, wire.DockerCommand, access=Access.OWNER),)
