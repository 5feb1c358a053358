"""Environment variables: which names pass, and ``KEY=VALUE`` words.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    if "\0" in value:
        raise ValueError(f"the value of {name} holds a NUL, which no program can be given")
    return value
