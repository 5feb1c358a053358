"""``launch status``: whether the daemon is well."""

from __future__ import annotations

from collections.abc import Mapping

import click

import launcher
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render
from launcher.wire import Status


@click.command("status", short_help="Say whether the daemon is well.")
@output_option
def command(output: str) -> int:
    """Say whether the daemon is well: exit status 0 healthy, 1 degraded, 3 no daemon."""
    status = connect().status()
    if output == "json":
        render.print_json(status)
    elif output == "name":
        render.print_names([status.state])
    else:
        _print(status)
    return 0 if status.state == "healthy" else 1


def _print(status: Status) -> None:
    rows: list[tuple[str, object]] = [("state", status.state)]
    rows += [("problem", problem) for problem in status.problems]
    rows += [
        ("jobs", _counts(status.jobs)),
        ("slices", _counts(status.slices)),
        ("gpus", f"{status.gpus}, not real (a fake GPU)" if status.fake_gpu else status.gpus),
        ("driver", status.driver),
        ("docker", status.docker),
        ("version", _versions(status.version)),
        ("pid", status.pid),
        ("since", status.started_at),
        ("held up", _lag(status)),
        ("socket", status.socket),
        ("state dir", status.state_dir),
        ("store", status.store),
    ]
    render.print_pairs(rows)


def _lag(status: Status) -> str:
    own = f"{status.loop_step * 1e3:.0f} ms of it its own work"
    return f"{status.loop_lag * 1e3:.0f} ms at most in the last minute, {own}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def _versions(daemon: str) -> str:
    mine = launcher.__version__
    return daemon if daemon == mine else f"{daemon} (this command is {mine})"
