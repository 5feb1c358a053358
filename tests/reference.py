"""The generated parts of the manual: the keys of a job file, and the verbs with their options."""

from __future__ import annotations

from collections.abc import Iterator

import click

from launcher.cli.app import GROUPS, launch
from launcher.jobfile.reading.explained import explained
from launcher.jobfile.reading.json_schema import schema


def keys() -> str:
    """Return the keys of a job file as a Markdown table, from the JSON Schema."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{each.key}` | {each.type} | {each.default} | {each.meaning} |"
        for each in explained(schema()).values()
    ]
    return "\n".join(rows)


def verbs() -> str:
    """Return every verb with its help, as ``launch VERB --help`` prints it."""
    context = click.Context(launch, info_name="launch", max_content_width=100)
    found = []
    for heading, names in GROUPS.items():
        found.append(f"### {heading}")
        for name in names:
            command = launch.get_command(context, name)
            assert command is not None
            found += _help(command, name, context)
    return "\n\n".join(found)


def _help(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=100, max_content_width=100
    )
    yield f"#### {context.command_path}"
    yield f"```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            assert found is not None
            yield from _help(found, verb, context)
