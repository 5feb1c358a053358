"""The launcher.toml of the manual, made from the dataclasses that it is read into."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from launcher.config.settings import Also, LauncherToml, kinds
from launcher.core.policy.settings import MountRoot
from launcher.errors import ConfigError
from launcher.text.moments import duration
from tests.support.toml import toml

COLUMN, WIDTH = 36, 100
"""Where the meaning of a key begins, and where its line ends."""


def example() -> str:
    """Return a launcher.toml of all defaults; a key that has none is commented out."""
    return "\n".join(["```toml", *_table((), LauncherToml), "```"])


def _table(path: tuple[str, ...], cls: Any) -> Iterator[str]:
    """Yield the keys of a table, then the tables in it."""
    hints, meanings = get_type_hints(cls), _meanings(cls)
    tables = {}
    for name, hint in hints.items():
        kind = get_args(hint)[1] if get_origin(hint) is Mapping else hint
        if dataclasses.is_dataclass(kind):
            tables[name] = kind
        else:
            yield _line(_setting((*path, name), cls, hint), _meaning(name, hint, meanings))
    for name, kind in tables.items():
        header = ".".join((*path, name))
        if hints[name] is kind:
            yield _line(f"[{header}]", meanings.get(name, ""))
            yield from _table((*path, name), kind)
            continue
        yield _line(f"# [{header}.name]", meanings[name])
        if not issubclass(cls, kind):  # else its keys are those above
            yield from _table((*path, name, "example"), kind)


def _setting(path: tuple[str, ...], cls: Any, hint: Any) -> str:
    """Return the line that sets a key: to its default, or as a comment to an example."""
    *tables, name = path
    (field,) = (each for each in dataclasses.fields(cls) if each.name == name)
    default = {} if field.default_factory is dict else field.default
    unset = default is None or default is dataclasses.MISSING
    for text in _examples(name, hint) if unset else _written(default):
        try:
            value: Any = toml(
                "\n".join([f"[{'.'.join(tables)}]"] * bool(tables) + [f"{name}={text}"])
            )
        except ConfigError:
            continue
        for part in path:
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        if unset or value == default:
            return f"{'# ' * (unset or 'example' in path)}{name} = {text}"
    raise AssertionError(path)


def _examples(name: str, hint: Any) -> list[str]:
    if Path in (hint, *get_args(hint)) or name.endswith("_socket"):
        return ['"/path"']
    if name == "groups":
        return ['["name"]']
    return (
        ['"name"'] if str in get_args(hint) else ['"20000-20099"', '"64g"', '"24h"', '"host"', "8"]
    )


def _written(value: Any) -> list[str]:
    """Return how a value may be written, the better ways first."""
    if isinstance(value, MountRoot):
        return [f"{value.path}{':ro' * value.read_only}"]
    if isinstance(value, frozenset):
        value = tuple(sorted(value))
    if isinstance(value, tuple):
        return [
            json.dumps(
                [_written(each)[0] if isinstance(each, MountRoot) else each for each in value]
            )
        ]
    if isinstance(value, bool | str | dict):
        return [json.dumps(value)]
    return [f'"{value / 2**30:g}g"', f'"{duration(value)}"', f"{value:.15g}"]


def _meanings(cls: Any) -> dict[str, str]:
    """Return what stands behind ``#:`` at each field, else the help of its flag."""
    found, text = {}, ""
    for line in "".join(inspect.getsource(each) for each in reversed(cls.__mro__[:-1])).split("\n"):
        if above := re.fullmatch(r"    #: (.*)", line):
            text = f"{text} {above[1]}".strip()
        elif field := re.match(r"    (\w+): .*?(?:  #: (.*))?$", line):
            found[field[1]] = field[2] or text
            text = ""
    return found


def _meaning(name: str, hint: Any, meanings: Mapping[str, str]) -> str:
    """Return the meaning of a key, with its variable and all that it can be."""
    also = kinds()[name][1] if name in kinds() else Also()
    words = [also.variable, *(get_args(hint) if get_origin(hint) is Literal else ())]
    more = ", ".join(word for word in words if word)
    text = meanings[name] or also.flag or ""
    return text + f" ({more})" * bool(more)


def _line(setting: str, meaning: str) -> str:
    """Return a line with its meaning, which may need more lines."""
    if not meaning or len(setting) > WIDTH - COLUMN:
        return "\n".join([f"# {meaning}"] * bool(meaning) + [setting])
    start = max(COLUMN, len(setting) + 2)
    lines = textwrap.wrap(meaning, WIDTH - start - 2)
    return f"{setting:{start}}# " + f"\n{' ' * start}# ".join(lines)
