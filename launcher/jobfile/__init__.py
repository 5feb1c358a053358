"""YAML -> the requests of a submit, errors with file:line:column; and the CLI's unit parsers.

Reads what the user may read (the files, their env files) and makes paths absolute; the daemon
checks the typed result again. May import ``launcher.wire`` and ``launcher.errors``. PyYAML is
loaded only when a file is read: ``launch run`` uses the unit parsers without paying for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from launcher.spec.job_spec import JobSpec


def load(
    paths: Sequence[str],
    stdin: BinaryIO | None = None,
    *,
    services: Sequence[str] = (),
    notice: Callable[[str], None] = lambda text: None,
) -> list[JobSpec]:
    """Return the jobs of these files (``-`` is ``stdin``): all, or one ``JobFileError``.

    A file may be Compose's: ``services`` picks some of its services. ``notice`` is called with each
    thing to tell the caller that is not a mistake.
    """
    from launcher.jobfile.reading.files import load_files

    return load_files(paths, stdin, services=services, notice=notice)
