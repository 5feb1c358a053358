"""A daemon that a test plays, before a web service."""

from __future__ import annotations

from tests.unit.client.conftest import short_dir

__all__ = ["short_dir"]
