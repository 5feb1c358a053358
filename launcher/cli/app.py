"""The frame: the lazy group of verbs, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

import launcher
from launcher.cli import terminal
from launcher.errors import LauncherError

GROUPS: dict[str, dict[str, str]] = {
    "Run jobs": {
        "run": "Run one container on its own slice, and return its exit code.",
        "submit": "Queue the jobs of job files.",
    },
    "Look after jobs": {
        "ps": "List the jobs that wait and run.",
        "show": "Show all there is to know of one job.",
        "logs": "Print a job's output.",
        "wait": "Wait until jobs have ended.",
        "cancel": "End jobs.",
    },
    "The machine": {
        "slices": "List the slices and who is on them.",
    },
    "The daemon": {
        "serve": "Run the daemon in the foreground.",
        "stop": "End the daemon; its jobs go on.",
        "status": "Say whether the daemon is well.",
        "doctor": "Check Docker, the GPUs and the daemon, and say what to mend.",
    },
}
"""Every verb with its summary, so that ``launch --help`` loads none of them."""


class LazyGroup(click.Group):
    """A group whose verbs are modules of this package, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the help page."""
        return [verb for verbs in GROUPS.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command, from the module of its name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"launcher.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; whoever closed our stdout has read enough."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            terminal.forget_stdout()
            raise click.exceptions.Exit(terminal.BROKEN_PIPE) from error
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs under their headings."""
        for heading, verbs in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl(list(verbs.items()))


@click.group(
    cls=LazyGroup,
    name="launch",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`launch VERB --help` says more. The daemon is found by LAUNCHER_SOCKET, else the"
    " system's or your own.",
)
@click.version_option(launcher.__version__, "--version", message="launch %(version)s")
def launch() -> None:
    """Run Docker jobs on the MIG slices of this machine's GPUs."""


def invoke(args: list[str]) -> int:
    """Run the command with these arguments; return its exit status, whatever happens."""
    terminal.prepare()
    try:
        result: Any = launch.main(args=args, prog_name="launch", standalone_mode=False)
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        terminal.complain(error.format_message())
        return error.exit_code
    except LauncherError as error:
        return terminal.report(error)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        return terminal.report_internal(error)
    return result if isinstance(result, int) else 0


def _usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    path = error.ctx.command_path if error.ctx else "launch"
    terminal.complain(f"{error.format_message()}\n  `{path} --help` shows how it is used.")
    return error.exit_code
