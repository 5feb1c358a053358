"""Pins: mounts opened with the user's rights and held in place until the container is gone.

Docker resolves the source of a bind mount as root, and again at the start. A path that was checked
may be a symlink to another place by then, and closed directories above it do not protect it. So a
child becomes the user and opens the place beneath an admin's root (``opening``). What it opened is
cloned and mounted at ``<pins>/<container>/<n>`` (``tree``); Docker gets that path only.

Mounts must be made by root, in the mount namespace of dockerd, so a separate small process makes
them: ``python -m launcher.mount_helper``. ``server`` accepts connections, ``requests`` lists the
requests, and ``Pins`` in ``client`` sends them. A root daemon starts the helper itself; for any
other daemon systemd does. File systems served by users are refused (``fuse``), and each user has a
limited number of openings at a time (``slots``).

A job's secrets are one more mount: files in memory (``memory_files``) that only the user can read.

The privileged side never opens a path that a user can influence. Standard library only; may import
``launcher.errors``, and no other room. Only the daemon imports this room.
"""

from __future__ import annotations

from launcher.mount_helper.client import Pins, RunningHelper, spawned
from launcher.mount_helper.values import MountRequest, User

__all__ = ["MountRequest", "Pins", "RunningHelper", "User", "spawned"]
