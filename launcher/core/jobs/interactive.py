"""Interactive jobs: how many a user has, and the end of those that nobody uses."""

from __future__ import annotations

from launcher.core.jobs.disk_use import LAUNCHER
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.job import State
from launcher.core.world.transitions import move, stop
from launcher.core.world.world import World
from launcher.errors import NotAllowed
from launcher.spec.job_spec import JobSpec


def check_number(world: World, event: ev.Submitted) -> None:
    """Raise ``NotAllowed`` if a user would have more interactive jobs than the rules allow."""
    most = world.rules.interactive.jobs
    new = sum(job.spec.stdin_open for job in event.jobs)
    if most is None or event.admin or not new:
        return
    live = [
        job.id
        for job in world.jobs.values()
        if job.interactive and job.owner.uid == event.owner.uid and job.state is not State.DONE
    ]
    if len(live) + new > most:
        have = f"you have {', '.join(map(str, live))}" if live else "you have none"
        raise NotAllowed(
            f"stdin_open: {most} interactive jobs at once are allowed ([interactive] jobs), {have}",
            fix="Go back to one with `launch attach`, or end one with `launch cancel`.",
        )


def check_loopback(world: World, spec: JobSpec) -> None:
    """Raise ``NotAllowed`` for a port of the machine where the admin has set none aside."""
    if spec.loopback and world.rules.ports.loopback is None:
        raise NotAllowed(
            "loopback: no ports of this machine are set aside for jobs ([ports] loopback)",
            fix="Leave it out: `launch port JOB` names a socket that leads to the job's port.",
        )


def unused(world: World, event: ev.TerminalsSeen, now: ev.Now) -> list[Action]:
    """End the interactive jobs that nobody has used for too long; ``idle`` is in seconds."""
    most, actions = world.rules.interactive.idle, list[Action]()
    for job_id, idle in event.idle.items():
        job = world.jobs.get(job_id)
        if job is None or idle < most or job.state is not State.RUNNING or job.stopping:
            continue
        why = f"nobody used its terminal for {most / 3600:g} h ([interactive] idle)"
        move(world, job, ev.TerminalsSeen, State.RUNNING, now, why)
        job.cancelled_by, job.message, job.stop_asked = LAUNCHER, why, now.wall
        actions += stop(world, job, now)
    return actions
