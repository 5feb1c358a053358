"""Limits a directory by a project quota, where the file system is mounted with them (prjquota).

The project's id is the directory's inode number, so that none has to be remembered. What is created
in the directory inherits it. Owners of files can give them another project, so a quota stops
programs at the limit, and what jobs have is measured all the same.

linux/fs.h (FS_IOC_FSGETXATTR), linux/quota.h (struct if_dqblk), quotactl_fd(2), Linux 5.14.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

_GETXATTR, _SETXATTR = 0x801C581F, 0x401C5820
_FSXATTR = struct.Struct("5I8s")
"""struct fsxattr: flags, extent size, extents, project, cow extent size, padding."""
_INHERIT = 0x200
_QUOTACTL_FD = 443
_SETQUOTA, _PROJECT = 0x800008, 2
_DQBLK = struct.Struct("8QI4x")
"""struct if_dqblk: limits are in KiB."""
_BLOCK_LIMITS = 1
_MOST_ID = 2**31 - 1
_libc = ctypes.CDLL(None, use_errno=True)


def limit(directory: int, size: int) -> bool:
    """Limit an open directory and what is created in it to ``size`` bytes; 0 ends the limit.

    Returns whether the file system could. Needs CAP_SYS_ADMIN.
    """
    project = os.fstat(directory).st_ino & _MOST_ID or 1
    try:
        attributes = bytearray(_FSXATTR.size)
        fcntl.ioctl(directory, _GETXATTR, attributes)
        flags, extent, extents, _, cow, rest = _FSXATTR.unpack(attributes)
        now = _FSXATTR.pack(flags | _INHERIT, extent, extents, project, cow, rest)
        fcntl.ioctl(directory, _SETXATTR, now)
    except OSError:
        return False
    kib = -(-size // 1024)
    block = ctypes.create_string_buffer(
        _DQBLK.pack(kib, kib, 0, 0, 0, 0, 0, 0, _BLOCK_LIMITS), _DQBLK.size
    )
    command = _SETQUOTA << 8 | _PROJECT
    arguments = (_QUOTACTL_FD, directory, command, project)
    return int(_libc.syscall(*map(ctypes.c_long, arguments), block)) == 0
