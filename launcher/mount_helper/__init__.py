"""Pins: what a user may mount, opened as that user and held in place until the container is gone.

Docker resolves the source of a bind mount as root, and again at the start: a path that was checked
may be a symlink to somewhere else by then, and a closed directory above it does not count. So a
child becomes the user and opens the place beneath an admin's root (``opening``); what it opened is
cloned and mounted at ``<pins>/<container>/<n>`` (``tree``), and only that path is told to Docker.

Mounts must be made by root, in the mount namespace of dockerd, so a small process of its own does
it: ``python -m launcher.mount_helper``. ``server`` answers, ``requests`` lists what it can do, and
``Pins`` in ``client`` asks. A daemon that is root starts it, or systemd does for one that is not.

What users serve themselves is refused (``fuse``), and a user has a few openings at a time
(``slots``).

A job's secrets are one more mount there: files in memory (``memory_files``) that only the user can
read.

The privileged side never opens a path that a user had a hand in. Standard library only; may import
``launcher.errors``; never another room. The daemon alone imports this one.
"""

from __future__ import annotations

from launcher.mount_helper.client import Pins, RunningHelper, spawned
from launcher.mount_helper.values import MountRequest, User

__all__ = ["MountRequest", "Pins", "RunningHelper", "User", "spawned"]
