"""``launch init``: a first job file, from four answers."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from launcher.cli.input import params
from launcher.cli.output import terminal
from launcher.errors import UserError
from launcher.jobfile.values import gpu_spec
from launcher.spec.command_line import split_command

NO_LIMIT = "none"
STDOUT = "-"


def _command(text: str) -> str:
    split_command(text)
    if "\0" in text:
        raise ValueError("this text holds a character that no program can be given")
    return text


def _gpus(text: str) -> str:
    gpu_spec.parse_spec(text)
    return text


def _time(text: str) -> str:
    if text.strip().lower() != NO_LIMIT:
        params.TIME_LIMIT.convert(text, None, None)
    return text


COMMAND = params.Parsed("words", _command)
GPUS = params.Parsed("spec", _gpus, "profile")
TIME = params.Parsed("time", _time)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question: its option, what is asked, and what an empty answer means; None: nothing."""

    option: str
    text: str
    kind: params.Parsed
    empty: str | None = None


PROMPTS = (
    Prompt("image", "Image, such as nvcr.io/nvidia/pytorch:25.01-py3", params.IMAGE),
    Prompt("command", "Command (Enter: the image's own)", COMMAND, ""),
    Prompt("gpus", "Slice: a profile, 10g, full or none (Enter: none)", GPUS, "none"),
    Prompt("time", "Time limit, such as 4h (Enter: no limit)", TIME, NO_LIMIT),
)


@click.command("init", short_help="Write a job file from a few answers.")
@click.option("--image", type=params.IMAGE, help="The image.")
@click.option("--command", type=COMMAND, metavar="WORDS", help="The command; '': the image's own.")
@click.option("--gpus", type=GPUS, metavar="SPEC", help="The slice: 1g.6gb, 10g, full, none.")
@click.option("-t", "--time", type=TIME, help="The time limit: 4h, 90m; none.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.argument("file", default="job.yaml", type=click.Path(readable=False))
def command(file: str, force: bool, **answers: str | None) -> None:
    """Write a job file with comments to FILE (job.yaml); `-` is standard output.

    On a terminal it asks for the image, the command, the slice and the time limit. An option
    answers its question; without a terminal all four are needed.
    """
    if file != STDOUT and not force and os.path.lexists(file):
        raise _exists(file)
    missing = [each for each in PROMPTS if answers[each.option] is None]
    if missing and not sys.stdin.isatty():
        options = ", ".join(f"--{each.option}" for each in missing)
        raise click.UsageError(
            f"there is no terminal to ask on: answer with {options}", click.get_current_context()
        )
    for question in missing:
        answers[question.option] = _ask(question)
    _write(file, _text(answers, file), force=force)
    name = shlex.quote(f"./{file}" if file.startswith("-") else file)
    written = "save it as job.yaml" if file == STDOUT else f"wrote {file}"
    terminal.say(f"{written}; next: launch submit {'job.yaml' if file == STDOUT else name}")


def _ask(question: Prompt) -> str:
    """Return the answer to a question, asked until it is valid; raises ``click.Abort`` at EOF."""
    if question.option == "gpus":
        for profile, free in _profiles():
            terminal.say(f"  {profile}  {free}")
    while True:
        terminal.write(2, f"{question.text}: ".encode(), quiet=True)
        line = sys.stdin.buffer.readline()
        if not line:
            raise click.Abort
        answer = line.decode(errors="surrogateescape").strip()
        if not answer and question.empty is not None:
            return question.empty
        try:
            return str(question.kind.convert(answer, None, None))
        except click.UsageError as error:
            terminal.say(f"  {error.message}")


def _profiles() -> Iterator[tuple[str, str]]:
    """Yield the machine's profiles and how many are free; none if no daemon answers soon."""
    from launcher.cli.completion.values import values

    yield from values("profile", "")


def _text(answers: dict[str, str | None], file: str) -> str:
    from launcher.jobfile.writing import FirstJob, job_file

    time_limit = answers["time"]
    job = FirstJob(
        image=answers["image"] or "",
        command=split_command(answers["command"] or ""),
        gpus=answers["gpus"] or "none",
        time_limit=None if (time_limit or NO_LIMIT).strip().lower() == NO_LIMIT else time_limit,
    )
    return job_file(job, "job.yaml" if file == STDOUT else file)


def _write(file: str, text: str, *, force: bool) -> None:
    """Write the file, all at once and only now: an interrupt before leaves nothing."""
    if file == STDOUT:
        sys.stdout.write(text)
        return
    try:
        with open(file, "w" if force else "x", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(text)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise UserError(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from error


def _exists(file: str) -> UserError:
    return UserError(f"{file} exists", fix="--force overwrites it; or name another file.")
