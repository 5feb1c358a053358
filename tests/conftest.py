"""Fixtures that all rooms share."""

from __future__ import annotations
