"""The error of archives that cannot be loaded."""

from __future__ import annotations

from launcher.errors import UserError


class ArchiveRefused(UserError):
    """The archive is not one that can be loaded; says why and what to do."""
