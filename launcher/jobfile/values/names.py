"""Names, images and users: what is allowed in them, and why.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re

from launcher import imageref
from launcher.spec.job_names import LIKE_A_REFERENCE, NAME, default_name

_USER = re.compile(
    r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63}(?::[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63})?", re.ASCII
)

_PROFILE = re.compile(r"[a-z][a-z0-9._-]{0,62}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether a text is made of what a job's name is made of."""
    return NAME.fullmatch(text) is not None


def check_name(text: str) -> str:
    """Return a job's name: letters, digits and ``._-``, and nothing that reads like an id."""
    if not is_name(text):
        raise ValueError(
            f"'{text[:80]}' is not a valid job name: use up to 63 letters, digits, '.', '_', '-',"
            " the first neither '.' nor '-'"
        )
    if LIKE_A_REFERENCE.fullmatch(text):
        raise ValueError(f"'{text}' cannot be a job's name: it reads like a job id")
    return text


def check_image(text: str) -> str:
    """Return an image reference that Docker can parse."""
    if not text:
        raise ValueError("the image is empty")
    if len(text) > imageref.LONGEST:
        raise ValueError(
            f"'{text[:40]}…' is not a valid image: it is longer than {imageref.LONGEST} letters"
        )
    if imageref.is_reference(text):
        return text
    if imageref.is_reference(text.lower()):
        raise ValueError(
            f"'{text[:120]}' is not a valid image: its repository must be in lower case"
        )
    raise ValueError(f"'{text[:120]}' is not a valid image: write [registry/]name[:tag][@digest]")


def name_of_program(program: str) -> str:
    """Return a job's name for a program on the machine.

    >>> name_of_program("/usr/bin/Python3"), name_of_program("./12")
    ('python3', 'job')
    """
    return default_name(re.sub(r"[^a-z0-9._-]", "-", program.rpartition("/")[2].lower()) or "job")


def check_user(text: str) -> str:
    """Return ``user[:group]``, by name or number."""
    if not _USER.fullmatch(text):
        raise ValueError(
            f"'{text[:80]}' is not a valid user: write a uid, uid:gid, or a name of the image"
        )
    return text


def check_network(text: str) -> str:
    """Return ``default`` or ``none``; ``host`` where a policy profile opens it."""
    if text not in ("default", "none", "host"):
        raise ValueError(f"'{text[:40]}' is not known here: write default or none")
    return text


def check_profile(text: str) -> str:
    """Return the name of a policy profile."""
    if not _PROFILE.fullmatch(text):
        slice_ = re.match(r"\d+g\.", text)
        hint = f": for a slice write `gpus: {text[:40]}`" if slice_ else ""
        raise ValueError(f"'{text[:40]}' is not a valid name of a policy profile{hint}")
    return text


def check_container_path(text: str) -> str:
    """Return an absolute path inside the container."""
    if not text.startswith("/"):
        raise ValueError(f"'{text[:120]}' must be an absolute path in the container")
    return text
