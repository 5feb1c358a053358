"""Acts with a user's rights for a while, as root or as that user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Create and change files as the user; root would need CAP_CHOWN to change their owner.

    The real uid stays root, so the user can neither inspect nor stop this process. The user's
    own process is left as it is.
    """
    if os.geteuid() == uid:
        yield
        return
    ours = os.getegid()
    os.setegid(gid)
    try:
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
    finally:
        os.setegid(ours)
