"""``launch submit``: queue the jobs of job files."""

from __future__ import annotations

import sys

import click

from launcher.cli import terminal
from launcher.cli.common import connect, output_option
from launcher.cli.jobs import print_short
from launcher.client.autostart import ensure_daemon
from launcher.client.credentials import credentials_for


@click.command("submit", short_help="Queue the jobs of job files.")
@click.option("--dry-run", is_flag=True, help="Check, and print what would be queued.")
@click.option("--wait", "waiting", is_flag=True, help="Wait until all have ended.")
@output_option
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def command(files: tuple[str, ...], dry_run: bool, waiting: bool, output: str) -> int:
    """Queue the jobs of job files (- is standard input): all of them, or none.

    With --wait the exit status is 0 only if every job completed.
    """
    from launcher.cli.wait import together, wait_for
    from launcher.jobfile import load

    jobs = load(files, sys.stdin.buffer)
    if ensure_daemon():
        terminal.complain("started a daemon of your own (it ends when it has been idle)")
    client = connect()
    wanted = credentials_for(job.image for job in jobs if job.pull_policy != "never")
    views = client.submit(jobs, wanted, dry_run=dry_run)
    if dry_run or not waiting:
        print_short(views, output)
        return 0
    terminal.say(f"queued {len(views)} jobs: {', '.join(str(view.id) for view in views)}")
    views = wait_for(client, [view.id for view in views], None)
    print_short(views, output)
    return together(views)
