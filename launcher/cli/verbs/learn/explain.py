"""``launch explain``: what a key of a job file means."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence

import click

from launcher.cli.input import params
from launcher.cli.input.common import output_option
from launcher.cli.output import render
from launcher.errors import UserError
from launcher.jobfile.reading.explained import Explained, explained, stored_schema
from launcher.text.safe_text import safe

MOST_NEAR = 3
LONGEST = 64
"""Characters of a wrong key that are compared and shown."""


@click.command("explain", short_help="Say what a key of a job file means.")
@output_option
@click.argument("key", required=False, type=params.JOB_FILE_KEY)
def command(key: str | None, output: str) -> None:
    """Say what a key of a job file means: its values, its default, examples.

    Keys inside others are written with dots: gpus.profile, schedule.begin. `schedule.` may be left
    out: retries.on. Without KEY all keys are listed. Keys that begin with x- are ignored anywhere.
    """
    keys = explained(stored_schema())
    if key is None:
        _list(list(keys.values()), output)
        return
    found = keys.get(key) or keys.get(f"schedule.{key}")
    if found is None:
        raise _unknown(key, keys)
    if output == "json":
        render.print_json(found)
    elif output == "name":
        render.print_names([found.key])
    else:
        _print(found)


def _list(keys: Sequence[Explained], output: str) -> None:
    if output == "json":
        render.print_json(list(keys))
    elif output == "name":
        render.print_names([each.key for each in keys])
    else:
        render.print_table(("KEY", "MEANING"), [(each.key, each.meaning) for each in keys])


def _print(found: Explained) -> None:
    render.print_pairs(
        [
            ("key", found.key),
            ("value", found.type),
            ("default", found.default),
            ("meaning", found.meaning),
            ("keys", ", ".join(found.keys) or None),
        ]
    )
    for number, example in enumerate(found.examples, start=1):
        heading = "Example" if number == 1 else "Or"
        lines = safe(_yaml(example), newlines=True).splitlines()
        sys.stdout.write(f"\n{heading}:\n" + "".join(f"  {line}\n" for line in lines))


def _yaml(example: Mapping[str, object]) -> str:
    """Return an example as it stands in a job file: a line for each key of the job."""
    from launcher.jobfile.writing import flow

    return "\n".join(f"{key}: {flow(value)}" for key, value in example.items())


def _unknown(key: str, keys: Mapping[str, Explained]) -> UserError:
    """Return the error for a key that a job file cannot have: why, or which keys are near."""
    from launcher.jobfile.reading.keys import NEVER

    word = key[:LONGEST]
    if word in NEVER:
        return UserError(f"`{word}` is not a key of a job: {NEVER[word]}")
    near = _near(word, list(keys))
    hint = f" (did you mean {' or '.join(f'`{each}`' for each in near)}?)" if near else ""
    fix = None if near else "`launch explain` lists all keys."
    return UserError(f"`{word}` is not a key of a job file{hint}", fix=fix)


def _near(word: str, names: Sequence[str]) -> list[str]:
    """Return the keys like this one: those of the same last part, then those spelled alike."""
    last = word.rpartition(".")[2].lower()
    same = [name for name in names if name.rpartition(".")[2] == last]
    alike = difflib.get_close_matches(word.lower(), names, n=MOST_NEAR)
    shorter = {name.rpartition(".")[2]: name for name in reversed(names)}
    parts = [shorter[each] for each in difflib.get_close_matches(last, shorter, n=MOST_NEAR)]
    return list(dict.fromkeys([*same, *alike, *parts]))[:MOST_NEAR]
