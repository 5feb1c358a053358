"""Pins: what a user may mount, opened as that user and held in place until his container is gone.

Docker resolves the source of a bind mount as root, and again at the start: a path that was checked
may be a symlink to somewhere else by then, and a closed directory above it does not count. So a
child becomes the user and opens the place beneath an admin's root (``opening``); what it opened is
cloned and mounted at ``<pins>/<container>/<n>`` (``tree``), and only that path is told to Docker.

Mounts must be made by root, in the mount namespace of dockerd. So a small helper of its own does it
(``python -m launcher.pins``: ``server`` answers, ``requests`` is what it can do), asked by ``Pins``
in ``client``. It is started by a daemon that is root, or by systemd for one that is not.

What users serve themselves is refused (``served``), and a user has a few openings at a time
(``slots``).

A job's secrets are one more mount there: files in memory (``memory``), that only he can read.

The privileged side never opens a path that a user had a hand in. Standard library only; may import
``launcher.errors``; never another room. The daemon alone imports this one.
"""

from __future__ import annotations

from launcher.pins.client import Pins, Running, spawned
from launcher.pins.values import Mount, User

__all__ = ["Mount", "Pins", "Running", "User", "spawned"]
