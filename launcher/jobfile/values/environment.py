"""Environment variables: which names pass, ``KEY=VALUE`` words, and env files.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 256 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFUSED = (
    ("NVIDIA_", "it says which GPUs a container sees, and the launcher sets that"),
    ("CUDA_VISIBLE_DEVICES", "it says which GPUs a program sees, and the launcher sets that"),
    ("LD_", "it changes which libraries are loaded; set it in the image or in the command"),
    (
        "GLIBC_TUNABLES",
        "it changes the loader, also that of NVIDIA's toolkit; set it in the command",
    ),
    ("GCONV_PATH", "it changes which libraries are loaded; set it in the command"),
    ("DOCKER_RESOURCE_", "it can name GPUs to the container runtime, and the launcher does that"),
    ("LAUNCHER_", "these are what the launcher tells a job"),
)
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def check_variable(name: str) -> str:
    """Return the name if a job may set it."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"'{name[:80]}' is not a valid variable name: "
            "use letters, digits and '_', no digit first"
        )
    for word, why in _REFUSED:
        if name == word or (word.endswith("_") and name.startswith(word)):
            raise ValueError(f"{name} cannot be set by a job: {why}")
    return name


def parse_assignment(word: str, client: Mapping[str, str]) -> tuple[str, str] | None:
    """Return (name, value) of ``KEY=VALUE``; a bare ``KEY`` takes the client's value, if any."""
    name, equals, value = word.partition("=")
    check_variable(name)
    if not equals and name not in client:
        return None
    return name, check_value(name, value if equals else client[name])


def check_value(name: str, value: str) -> str:
    """Return the value if it is text: what a shell holds may be any bytes."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the value of {name} is not UTF-8 text") from error
    return value


def parse_lines(
    text: str, client: Mapping[str, str], *, quotes: bool
) -> Iterator[tuple[int, tuple[str, str] | ValueError]]:
    """Yield (line number, assignment or what is wrong with it) for an env file.

    ``quotes`` reads values as Compose does (quotes are taken off, `` #`` begins a comment);
    without, as ``docker run --env-file`` does: all after ``=``, as it is.
    """
    for number, raw in enumerate(re.split(r"\r?\n", text), start=1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        if quotes:
            line = line.removeprefix("export ").strip()
        try:
            result = parse_assignment(line, client)
        except ValueError as error:
            yield number, error
            continue
        if result:
            written = quotes and "=" in line  # a bare name takes the client's value as it is
            yield number, (result[0], _unquote(result[1]) if written else result[1])


def read_env_file(path: Path) -> str:
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


def _unquote(value: str) -> str:
    value = value.strip()
    result = _QUOTED.fullmatch(value)
    if not result:
        return re.split(r"\s#", value, maxsplit=1)[0].rstrip()
    if result.group(1) is not None:
        return result.group(1)
    letters = {"n": "\n", "t": "\t", "r": "\r"}
    return _ESCAPE.sub(lambda match: letters.get(match[1], match[1]), result.group(2))
