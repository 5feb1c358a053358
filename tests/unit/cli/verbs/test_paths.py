"""Arguments that are paths."""

from __future__ import annotations

from collections.abc import Iterator

import click

from launcher.cli.app import launch


def paths(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Path]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from paths(command, context)
        for param in command.params:
            if isinstance(param.type, click.Path):
                yield f"{name} {param.name}", param.type


def test_whether_a_file_can_be_read_is_found_out_by_opening_it() -> None:
    """access(2) ignores the capabilities of an ordinary user's process."""
    every = dict(paths(launch, click.Context(launch)))
    assert len(every) > 3
    assert not [name for name, kind in every.items() if kind.readable or kind.writable]
