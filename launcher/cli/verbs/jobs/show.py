"""``launch show``: all there is to know of one job, or how an array is."""

from __future__ import annotations

import shlex
import sys

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect, output_option
from launcher.cli.output import render, terminal
from launcher.cli.output.array_details import is_array, print_not_sent, show_array
from launcher.cli.output.shell_words import print_docker_run
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import notify_text
from launcher.spec.plain_fields import PLAIN_FIELDS
from launcher.text.job_format import advice_text, attempt_use, gpus, matrix, why
from launcher.text.moments import duration
from launcher.text.safe_text import safe
from launcher.wire import AttemptView, DockerCommand, JobDetail, TerminalView

HISTORY = {
    "Granted": "slice granted",
    "Settled": "dependency ended",
    "HoldAsked": "held",
    "ReleaseAsked": "released",
    "EditAsked": "edited",
    "CancelAsked": "cancelled",
    "RequeueAsked": "requeue requested",
    "RetryAsked": "queued again",
    "SignalAsked": "signal sent",
    "ImageResolved": "image found",
    "ImageFailed": "image failed",
    "AttemptStarted": "started",
    "StartFailed": "start failed",
    "AttemptEnded": "ended",
    "AttemptLost": "lost",
    "SlicesIdle": "slice released",
    "SliceStuck": "slice not released",
    "Tick": "time passed",
    "DiskJudged": "too much disk space",
    "TerminalsSeen": "its terminal was unused",
    "Preempted": "preempted",
    "Xid": "GPU error",
    "cancel asked": "cancel requested",
    "kill asked": "kill requested",
}
"""Recorded name of an event -> what people read; the JSON output keeps the recorded names."""


@click.command("show", short_help="Show all there is to know of one job.", epilog=JOBS)
@click.option("--docker", is_flag=True, help="Print the `docker run` that does the same.")
@output_option
@click.argument("ref", type=params.JOB, metavar="JOB")
def command(ref: str, docker: bool, output: str) -> None:
    """Show a job: what was asked, why it waits, its attempts and its history.

    An array shows how many of its elements are in which state, and those that failed, run or wait.

    --docker is for one job or one element. What the command cannot do is said on stderr.
    """
    client = connect()
    if docker:
        _docker(client.docker_command(ref), output)
        return
    jobs = client.jobs([ref])
    if is_array(ref, jobs):
        number = (jobs[0].array or {})["id"]
        not_sent = [] if output == "name" else client.array(number, most=1).not_sent
        show_array(jobs, output, not_sent)
        return
    detail = client.show(jobs[0].id if len(jobs) == 1 else ref)
    if output == "json":
        render.print_json(detail)
    elif output == "name":
        render.print_names([detail.job.ref])
    else:
        _print(detail)


def _docker(found: DockerCommand, output: str) -> None:
    """Print a command, as the words of a shell or as a document."""
    if output == "json":
        render.print_json(found)
        return
    print_docker_run(found.words)
    for note in found.notes:
        terminal.say(f"note: {note}")


def _print(detail: JobDetail) -> None:
    render.print_pairs(_job_rows(detail) + _spec_rows(detail))
    for blocker in detail.blockers:
        text = f"{blocker.kind}: needs {blocker.need}, {blocker.have}"
        sys.stdout.write(f"waits for {safe(text)}\n")
    if detail.attempts:
        sys.stdout.write("\n")
        rows = [
            (each.attempt, each.started_at, each.ended_at, each.exit_code, each.cause,
             each.container_name, ",".join(each.slices), _output(each))
            for each in detail.attempts
        ]  # fmt: skip
        headings = ("ATTEMPT", "STARTED", "ENDED", "EXIT", "CAUSE", "CONTAINER", "SLICES", "OUTPUT")
        render.print_table(headings, rows)
        sys.stdout.writelines(
            f"attempt {each.attempt}: {used}\n"
            for each in detail.attempts
            if (used := attempt_use(each, _memory_limit(detail))) is not None
        )
    for advice in detail.advice:
        sys.stdout.write(f"advice: {safe(advice_text(advice))}\n")
    print_not_sent(detail.not_sent)
    if detail.events:
        sys.stdout.write("\n")
        render.print_table(
            ("AT", "EVENT", "DETAIL"),
            [(each.at, HISTORY.get(each.event, each.event), each.detail) for each in detail.events],
        )


def _output(attempt: AttemptView) -> str | None:
    """Return whether all that an attempt printed is in its log."""
    gaps = attempt.output_gaps
    return None if gaps is None else f"{gaps} gap{'s' * (gaps > 1)}" if gaps else "whole"


def _job_rows(detail: JobDetail) -> list[tuple[str, object]]:
    job = detail.job
    return [
        ("id", job.ref),
        ("matrix", matrix(job.array or {}) or None),
        ("name", job.name),
        ("user", job.user),
        ("state", job.state),
        ("outcome", job.outcome),
        ("reason", why(job)),
        ("position", detail.position),
        ("exit code", job.exit_code),
        ("gpus", gpus(job)),
        ("slices", ", ".join(job.slices) or None),
        ("image", job.image),
        ("image id", detail.image_id),
        ("command", shlex.join(job.command) if job.command else None),
        ("priority", job.priority),
        ("time limit", None if job.time_limit is None else duration(job.time_limit)),
        ("submitted", job.submitted_at),
        ("started", job.started_at),
        ("ended", job.ended_at),
        ("container", job.container_id),
        ("terminal", _terminal(detail.terminal)),
        ("policy", None if detail.policy_version is None else f"version {detail.policy_version}"),
    ]


def _terminal(terminal: TerminalView | None) -> str | None:
    """Return who is attached, and when the job ends if nobody uses it."""
    if terminal is None:
        return None
    watch = terminal.clients - terminal.writes
    parts = ["one client writes" if terminal.writes else "nobody writes"]
    parts += [f"{watch} watch"] if watch else []
    left = max(0.0, terminal.limit - terminal.idle)
    limit = duration(terminal.limit)
    return f"{', '.join(parts)}; ends when unused for {limit}, in {duration(left)}"


def _spec_rows(detail: JobDetail) -> list[tuple[str, object]]:
    spec = detail.spec
    if spec is None:
        return []
    on_host = spec.runtime == "host"
    mounts = [f"{m.source}:{m.target}{':ro' if m.read_only else ''}" for m in spec.volumes]
    return [
        ("entrypoint", shlex.join(spec.entrypoint) if spec.entrypoint else None),
        (
            "environment",
            " ".join(f"{key}={value}" for key, value in spec.environment.items()) or None,
        ),
        ("directory", spec.working_dir),
        ("volumes", ", ".join(mounts) or None),
        ("secrets", ", ".join(spec.secrets) or None),
        ("memory", _memory(detail, spec)),
        ("gpu memory", _auto_memory(spec)),
        ("shm size", None if spec.shm_size is None else f"{spec.shm_size // 2**20} MiB"),
        ("tmp", "in memory" if spec.tmp == "memory" else None),
        ("ulimits", _ulimits(spec)),
        ("capabilities", ", ".join(spec.gpus.capabilities) or None),
        ("cpus", spec.cpus),
        ("as user", spec.user),
        *((each.name, getattr(spec, each.name)) for each in PLAIN_FIELDS),
        ("network", spec.network_mode),
        ("policy profile", spec.policy_profile),
        ("ports", ", ".join(map(str, spec.ports)) or None),
        ("tty", "yes" if spec.tty else None),
        ("interactive", "yes" if spec.stdin_open else None),
        ("grace", duration(spec.stop_grace_period)),
        ("pull", None if on_host else spec.pull_policy),
        ("runtime", "host, in the foreground" if spec.foreground else "host" if on_host else None),
        *_queue_rows(spec),
    ]


def _ulimits(spec: JobSpec) -> str | None:
    """Return the limits as ``--ulimit`` takes them."""
    return " ".join(f"{n}={each.soft}:{each.hard}" for n, each in spec.ulimits.items()) or None


def _memory(detail: JobDetail, spec: JobSpec) -> str | None:
    """Return the memory that was asked for, or the limit that goes with the slices."""
    if spec.mem_limit is not None:
        return f"{spec.mem_limit // 2**20} MiB"
    if detail.limits is None or detail.limits.memory is None:
        return None
    return f"{detail.limits.memory // 2**20} MiB (what goes with its slices)"


def _auto_memory(spec: JobSpec) -> str | None:
    """Return the GPU memory that the daemon chose, None if the request names what it wants."""
    chosen = spec.gpus.memory_mib if spec.gpus.memory_auto else None
    return None if chosen is None else f"{chosen} MiB, chosen from what earlier jobs used"


def _memory_limit(detail: JobDetail) -> int | None:
    """Return the limit of the job's memory in bytes, None if it is unknown."""
    if detail.spec is not None and detail.spec.mem_limit is not None:
        return detail.spec.mem_limit
    return None if detail.limits is None else detail.limits.memory


def _queue_rows(spec: JobSpec) -> list[tuple[str, object]]:
    """Return what the job waits for, how it runs again, is warned and gives way."""
    signal, idle = spec.signal, spec.idle_timeout
    return [
        ("after", _after(spec)),
        ("retries", _retries(spec)),
        (
            "signal",
            f"{signal.name} {duration(signal.before)} before the time limit" if signal else None,
        ),
        ("idle timeout", None if idle is None else duration(idle)),
        ("preemptible", "yes" if spec.preemptible else None),
        ("notify", notify_text(spec.notify)),
    ]


def _after(spec: JobSpec) -> str | None:
    """Return what the job waits for as ``--dependency`` takes it."""
    parts = []
    for job, how in spec.depends_on.items():
        word, plus, minutes = how.partition("+")
        parts.append(f"{word}:{job}{plus}{minutes}")
    text = (" ? " if spec.depends_any else ", ").join(parts)
    return ", ".join([text] * bool(text) + ["singleton"] * spec.singleton) or None


def _retries(spec: JobSpec) -> str | None:
    retries = spec.retries
    if retries is None or not retries.max:
        return None
    wait = f", after {duration(retries.backoff)}, then twice as long" if retries.backoff else ""
    return f"up to {retries.max}, on {', '.join(retries.on)}{wait}"
