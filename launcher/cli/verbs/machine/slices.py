"""``launch slices``: the slices and who is on them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import click

from launcher.cli.input.common import connect, output_option, watch_option
from launcher.cli.output import render
from launcher.client import Client
from launcher.text.safe_text import safe
from launcher.wire import SliceView, ref_of

HEADINGS = ("GPU", "PROFILE", "MEMORY", "STATE", "JOB", "USER", "UUID", "WHY")


@click.command("slices", short_help="List the slices and who is on them.")
@click.option("--why", is_flag=True, help="Only those that cannot be used: why, and what to do.")
@watch_option
@output_option
def command(why: bool, watched: bool, output: str) -> None:
    """List the slices of this machine's GPUs and who is on them.

    STATE is free, leased, releasing, foreign (somebody else's container or process is on it),
    drained, quarantined, lost or silent (NVML does not answer for its GPU). A slice whose MEMORY is
    shared has it together with others of its GPU instance: only a job that asks for exactly its
    profile (such as 1c.3g.20gb) or its UUID gets it.

    With --watch a terminal shows the table in place, as much of it as there are rows. Elsewhere it
    is printed again after an empty line when it has changed; -o json prints a document a line.
    """
    client = connect()
    show = functools.partial(_show, why=why, output=output)
    if watched:
        from launcher.cli.live.watching import watch

        watch(client, Client.slices, show, output)
    else:
        show(client.slices())


def _show(result: Sequence[SliceView], *, why: bool, output: str) -> None:
    if not why:
        print_slices(result, output)
        return
    unusable = [each for each in result if each.why]
    if output == "table":
        _explain(unusable, known=bool(result))
    else:
        print_slices(unusable, output)


def _explain(unusable: Sequence[SliceView], *, known: bool) -> None:
    """Print each slice with its whole reason: one line each for what, why and what to do."""
    if not known:
        click.echo("no slice is known: `launch status` says why", err=True)
    elif not unusable:
        click.echo("every slice can be used", err=True)
    for each in unusable:
        where = f"{each.profile} on GPU {each.gpu_index}" if each.profile else "unknown"
        since = f" since {each.since}" if each.since else ""
        user = f", job {_job(each)}" if each.job is not None else ""
        lines = [f"{each.uuid} ({where}{user}): {each.state}{since}", f"  {each.why}"]
        lines += [f"  {each.fix}"] if each.fix else []
        click.echo("\n".join(safe(line) for line in lines))


def print_slices(slice_views: Sequence[SliceView], output: str) -> None:
    """Print slices in the form that was asked for."""
    if output == "json":
        render.print_json(slice_views)
    elif output == "name":
        render.print_names([each.uuid for each in slice_views])
    else:
        render.print_table(HEADINGS, [_row(each) for each in slice_views])


def _job(each: SliceView) -> str | None:
    return None if each.job is None else ref_of(each.job, each.array)


def _row(each: SliceView) -> tuple[object, ...]:
    memory = f"{each.memory_mib}MiB{' shared' if each.memory_shared else ''}"
    user = each.user
    return (each.gpu_index, each.profile, memory, each.state, _job(each), user, each.uuid, each.why)
