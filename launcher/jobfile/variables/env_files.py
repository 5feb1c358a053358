"""Env files: as Compose reads them, or (``raw``) as ``docker run`` does.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from launcher.jobfile.values.environment import check_value, check_variable
from launcher.jobfile.variables import dotenv
from launcher.jobfile.variables.dotenv import EnvFileError, Line
from launcher.jobfile.variables.substitution import Variables

MAX_FILE_BYTES = 256 * 1024


def read_env_file(
    path: Path,
    client: Mapping[str, str],
    result: dict[str, str],
    *,
    raw: bool = False,
    ignored: Collection[str] = (),
) -> Iterator[tuple[int, str]]:
    """Add the variables of an env file to ``result``, read as Compose reads it.

    Values may name variables of ``client``, and of ``result``. ``raw`` reads the file as ``docker
    run`` does: everything after ``=`` as it is. Yields (line, name) of each variable that is used
    and not set. Raises ``EnvFileError``, a ``ValueError`` with the line. Variables in ``ignored``
    are left out.
    """
    text = read_text(path)
    variables = Variables(lambda name: client.get(name, result.get(name)))
    for line in _raw(text, client) if raw else dotenv.read(text, variables):
        if line.name in ignored:
            continue
        try:
            check_variable(line.name)
            result[line.name] = check_value(line.name, line.value)
        except ValueError as error:
            raise EnvFileError(line.number, str(error)) from error
        yield from ((line.number, name) for name in variables.unset)
        variables.unset.clear()


def unset_notice(file: str, line: int, name: str) -> str:
    """Return what to say of a variable that is used in an env file and not set."""
    return (
        f"{file}:{line}: the variable {name} is not set, and becomes nothing"
        " (for a $ of the value's own write $$, or put the value between single quotes)"
    )


def _raw(text: str, client: Mapping[str, str]) -> Iterator[Line]:
    for number, line in enumerate(re.split(r"\r?\n", text), start=1):
        name, equals, value = line.lstrip().partition("=")
        if name.startswith("#") or not (name or equals):
            continue
        if not equals and name not in client:
            continue
        yield Line(number, name, value if equals else client[name])


def read_text(path: Path) -> str:
    """Return the text of an env file."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read the env file {path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"the env file {path} is over {MAX_FILE_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the env file {path} is not UTF-8 text") from error
    if "\0" in text:
        raise ValueError(f"the env file {path} is not text")
    return text
