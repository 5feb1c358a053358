"""The frame: the lazy group of verbs, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

import launcher
from launcher.cli import completion
from launcher.cli.lazy import LazyGroup
from launcher.cli.output import terminal
from launcher.errors import LauncherError

GROUPS: dict[str, dict[str, str]] = {
    "First steps": {
        "init": "Write a job file from a few answers.",
        "explain": "Say what a key of a job file means.",
        "help": "Read the manual.",
        "completion": "Let bash, zsh or fish complete what you type.",
    },
    "Run jobs": {
        "run": "Run one container on its own slice, and return its exit code.",
        "host": "Run one command on this machine itself, on its own slice.",
        "submit": "Queue the jobs of job files.",
        "login": "Give the daemon your credentials for a registry.",
    },
    "Work in a running job": {
        "attach": "Go back to the terminal of a running job.",
        "exec": "Run a further command in a running job.",
        "port": "Say how to reach the ports of a running job.",
        "shell": "Open a shell on a slice of its own.",
    },
    "Look after jobs": {
        "ps": "List the jobs that wait and run.",
        "show": "Show all there is to know of one job.",
        "why": "Say why a job waits, and when it may start.",
        "logs": "Print a job's output.",
        "wait": "Wait until jobs have ended.",
        "cancel": "End jobs.",
        "hold": "Keep pending jobs from starting.",
        "release": "Let held jobs go.",
        "retry": "Queue ended jobs again.",
        "requeue": "Stop running jobs and queue them again.",
        "edit": "Change jobs that wait.",
        "notify": "Say who is told of your jobs' ends: webhooks and mails.",
    },
    "The queue": {
        "queue": "List what waits, in the order in which it is served.",
        "whatif": "Replay the queue, also over other layouts.",
        "advice": "Say which jobs request more than they use.",
        "reserve": "Keep slices for a user or a group.",
    },
    "The machine": {
        "top": "Watch the slices and the queue live.",
        "slices": "List the slices and who is on them.",
        "layout": "Cut the GPUs into slices, verify, save, and clean up.",
        "drain": "Take no new jobs on a slice or GPU.",
        "undrain": "Let a slice or GPU take jobs again.",
        "usage": "Show what users' jobs used.",
        "clear-cache": "Empty the ~/.cache that your jobs share.",
        "image": "Show images and their use; load your own.",
    },
    "The daemon": {
        "serve": "Run the daemon in the foreground.",
        "stop": "End the daemon; its jobs go on.",
        "web": "Serve the web page and metrics over HTTP.",
        "dashboard": "Print a link to the web page that logs you in.",
        "install-service": "Write the units of a system service.",
        "status": "Say whether the daemon is well.",
        "events": "Show what happens to jobs and slices, as JSON lines.",
        "audit": "Show which user requested what, and the decision.",
        "prune": "Delete jobs that ended long ago, or their logs.",
        "backup": "Copy the daemon's database to a file.",
        "restore": "Put a copy in the place of a lost database.",
        "doctor": "Check Docker, GPUs and the daemon, and say what to mend.",
    },
}
"""Every verb with its summary, so that ``launch --help`` loads none of them."""
ONLY_HERE = {"serve", "install-service", "restore", "web"}
"""Verbs that work on this machine alone: they refuse -H, and ignore LAUNCHER_HOST."""
PACKAGES = {
    "First steps": "launcher.cli.verbs.learn",
    "Run jobs": "launcher.cli.verbs.jobs",
    "Work in a running job": "launcher.cli.verbs.inside",
    "Look after jobs": "launcher.cli.verbs.jobs",
    "The queue": "launcher.cli.verbs.scheduling",
    "The machine": "launcher.cli.verbs.machine",
    "The daemon": "launcher.cli.verbs.service",
}
"""Where the modules of a section's verbs are."""


@contextmanager
def _output() -> Iterator[None]:
    """Whoever closed our stdout has read enough; one that takes nothing more is said."""
    try:
        yield
    except BrokenPipeError as error:
        terminal.forget_stdout()
        raise click.exceptions.Exit(terminal.BROKEN_PIPE) from error
    except OSError as error:
        if error.errno not in terminal.UNWRITABLE:
            raise
        terminal.forget_stdout()
        terminal.complain(f"cannot write the output: {error.strerror}")
        raise click.exceptions.Exit(terminal.EXIT_UNWRITABLE) from error


class LaunchGroup(LazyGroup):
    """The command itself."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the words before the verb: some of them print."""
        with _output():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, and write all that it prints."""
        with _output():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


@click.group(
    cls=LaunchGroup,
    packages=PACKAGES,
    sections=GROUPS,
    name="launch",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`launch VERB --help` says more. The daemon is found by -H, LAUNCHER_HOST or"
    " LAUNCHER_SOCKET, else the system's or your own.",
)
@click.option(
    "-H",
    "--host",
    metavar="ADDRESS",
    help="The daemon on another machine, by ssh: ssh://USER@HOST[:PORT]; or unix:///PATH.",
)
@click.version_option(launcher.__version__, "--version", message="launch %(version)s")
@click.pass_context
def launch(ctx: click.Context, host: str | None) -> None:
    """Run Docker jobs on the MIG slices of this machine's GPUs."""
    if host is not None and ctx.invoked_subcommand in ONLY_HERE:
        raise click.UsageError(
            f"'launch {ctx.invoked_subcommand}' works on this machine alone: leave -H out,"
            " or run it there.",
            ctx,
        )


def invoke(args: list[str]) -> int:
    """Run the command with these arguments; return its exit status, whatever happens."""
    terminal.prepare()
    if completion.VARIABLE in os.environ:
        from launcher.cli.completion import shells

        shells.register()
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
        if isinstance(error, FileNotFoundError) and _is_here_gone():
            terminal.complain("the current directory was deleted: change to another one")
            return 2
        return terminal.report_internal(error)
    return result if isinstance(result, int) else 0


def _foreign(error: click.NoSuchOption) -> str | None:
    """Return what to write for an option of another program, None if it is not known."""
    from launcher.cli.input.docker_flags import DOCKER_OPTIONS
    from launcher.jobfile.reading.sbatch_words import instead_of

    verb = error.ctx.info_name if error.ctx else None
    if verb == "run" and error.option_name in DOCKER_OPTIONS:
        return f"{error.option_name} is Docker's: {DOCKER_OPTIONS[error.option_name]}"
    return instead_of(error.option_name) if verb in ("run", "host", "submit") else None


def _is_here_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not loaded for this
    except FileNotFoundError:
        return True
    return False


def _usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    path = error.ctx.command_path if error.ctx else "launch"
    if isinstance(error, click.NoSuchOption) and (answer := _foreign(error)) is not None:
        terminal.complain(
            f"{answer}\n  `{path} --help` shows its options;"
            " those of the job's command stand behind `--`."
        )
        return error.exit_code
    terminal.complain(f"{error.format_message()}\n  `{path} --help` shows how it is used.")
    return error.exit_code
