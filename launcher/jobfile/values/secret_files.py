"""Secrets of a job: files that the submitter reads, and then only the job.

Every function raises ``ValueError`` with a message for people; none quotes what is in a file.
"""

from __future__ import annotations

import base64
import os
import re
import stat

from launcher.spec.job_spec import JobSpec

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


def check_name(name: str) -> str:
    """Return the name if the file in /run/secrets can have it."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"'{name[:80]}' is not a valid name of a secret: "
            "use letters, digits and '._-', no '.' first"
        )
    return name


def check_count(names: dict[str, str | None]) -> None:
    """Refuse more secrets than a job may have."""
    if len(names) > JobSpec.MOST_SECRETS:
        raise ValueError(f"a job may have {JobSpec.MOST_SECRETS} secrets, not {len(names)}")


def read_secret(path: str, base: str = "") -> str:
    """Return what is in a file, or comes out of a pipe, in base64; ``path`` is below ``base``."""
    most = JobSpec.MOST_SECRET_BYTES
    try:
        place = os.path.join(base, os.path.expanduser(path))  # noqa: PTH111, PTH118
        with open(place, "rb") as stream:  # noqa: PTH123 - `run` starts without pathlib
            if stat.S_ISDIR(os.fstat(stream.fileno()).st_mode):
                raise ValueError(f"the secret {path} is a directory")
            data = stream.read(most + 1)
    except OSError as error:
        raise ValueError(f"cannot read the secret {path}: {error.strerror}") from error
    if len(data) > most:
        raise ValueError(f"the secret {path} is over {most // 1024} KiB")
    return base64.b64encode(data).decode()


def parse_secret(word: str) -> tuple[str, str]:
    """Return (name, content) of ``NAME=FILE``."""
    name, equals, path = word.partition("=")
    if not equals or not path:
        raise ValueError(f"'{name[:80]}' names no file: write NAME=FILE")
    return check_name(name), read_secret(path)
