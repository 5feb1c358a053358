"""``launch notify``: who is told of the caller's jobs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.spec.notify import notify_text
from launcher.text.safe_text import safe

if TYPE_CHECKING:
    from launcher.spec.notify import NotifyTarget
    from launcher.wire import NotifyView

TARGET = params.NOTIFY_TARGET


@click.group(
    "notify",
    short_help="Say who is told of your jobs' ends: webhooks and mails.",
    invoke_without_command=True,
)
@click.pass_context
def command(context: click.Context) -> None:
    """Set who is told of your jobs, for all jobs without `notify` of their own.

    TARGET is mail (your mailbox on this machine), mail=ADDRESS or webhook=URL, with
    ,on=start+failure behind it; without that it is told when jobs end. `launch web` sends
    notifications: `launch help monitoring`.
    """
    if context.invoked_subcommand is None:
        context.invoke(show)


@command.command("show")
@output_option
def show(output: str = "table") -> None:
    """Show your targets, and the last notifications that could not be sent."""
    _print(connect().notify(), output)


@command.command("set")
@output_option
@click.argument("targets", type=TARGET, nargs=-1, required=True, metavar="TARGET...")
def set_targets(targets: tuple[NotifyTarget, ...], output: str) -> None:
    """Set your targets in place of the earlier ones."""
    _print(connect().notify(targets), output)


@command.command("clear")
@output_option
def clear(output: str) -> None:
    """Take your targets back."""
    _print(connect().notify(()), output)


@command.command("test")
def test() -> None:
    """Send a notification to your targets; `launch notify` then says whether that failed."""
    view = connect().notify_test()
    for target in view.targets:
        terminal.say(f"a test goes to {safe(target.label)}")
    if view.problem is not None:
        terminal.say(safe(view.problem))


def _print(view: NotifyView, output: str) -> None:
    if output == "json":
        render.print_json(view)
        return
    if output == "name":
        render.print_names([target.label for target in view.targets])
        return
    sys.stdout.write(f"{safe(notify_text(view.targets) or '')}\n")
    if view.problem is not None:
        sys.stdout.write(f"{safe(view.problem)}\n")
    if view.failures:
        sys.stdout.write("\n")
        rows = [(each.at, each.job, each.target, each.detail) for each in view.failures]
        render.print_table(("AT", "JOB", "NOT SENT TO", "WHY"), rows)
