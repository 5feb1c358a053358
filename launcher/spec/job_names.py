"""What a job's name is made of, and the name of a job that was given none."""

from __future__ import annotations

import re

from launcher import imageref

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", re.ASCII)
LIKE_A_REFERENCE = re.compile(r"\d+(?:-\d+)?|last", re.ASCII)


def default_name(image: str) -> str:
    """Return the name of a job that has none: the last part of its image's repository.

    >>> default_name("nvcr.io/nvidia/pytorch:25.01-py3")
    'pytorch'
    """
    if imageref.is_id(image):
        return "job"
    name = re.sub(r"[^a-z0-9._-]", "-", imageref.last_name(image).lower())[:63]
    return name if NAME.fullmatch(name) and not LIKE_A_REFERENCE.fullmatch(name) else "job"
