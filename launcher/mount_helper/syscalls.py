"""System calls that Python lacks, one function each; OSError names the call that failed.

System calls added since Linux 5.1 have the same number on every architecture except alpha.
mount_setattr is the newest: all of this needs Linux 5.12. The C library wraps them only since glibc
2.36, so they are called by number.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Mapping

OPEN_TREE, MOVE_MOUNT, OPENAT2, FACCESSAT2, MOUNT_SETATTR = 428, 429, 437, 439, 442
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
SINCE = {OPEN_TREE: "5.2", MOVE_MOUNT: "5.2", OPENAT2: "5.6", FACCESSAT2: "5.8"}

RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
"""linux/openat2.h"""
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 0x1, 0x2, 0x4, 0x8
"""linux/mount.h"""

_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_AT_NO_AUTOMOUNT, _AT_STATX_DONT_SYNC = 0x800, 0x4000
_OPEN_TREE_CLONE, _MS_PRIVATE = 1, 1 << 18
_MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_T_EMPTY_PATH = 0x04, 0x40
_FS_CLOEXEC, _SET_FLAG, _SET_STRING, _CMD_CREATE = 1, 0, 1, 6
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_STATX_TYPE, _STATX_MNT_ID = 0x1, 0x1000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_CLONE_NEWNS = 0x00020000

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


class _MountAttr(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")
    ]


class _Statx(ctypes.Structure):
    """The fields read from statx(2)'s 256 bytes: the mode at 28, the mount id at 144."""

    _fields_ = [
        ("_before", ctypes.c_byte * 28),
        ("mode", ctypes.c_uint16),
        ("_between", ctypes.c_byte * 114),
        ("mount_id", ctypes.c_uint64),
        ("_after", ctypes.c_byte * 104),
    ]


def openat2(directory: int | None, path: str, flags: int, resolve: int) -> int:
    """Open with openat2(2), Linux 5.6; ``resolve`` restricts the path resolution."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    at = _AT_FDCWD if directory is None else directory
    return _call("openat2", OPENAT2, at, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))


def accessible(fd: int, mode: int) -> bool:
    """Whether this process may access an open file in ``mode``: faccessat2(2), Linux 5.8."""
    try:
        _call("faccessat2", FACCESSAT2, fd, b"", mode, _AT_EMPTY_PATH)
    except PermissionError:
        return False
    return True


def clone_tree(fd: int) -> int:
    """Return a detached copy of the mounts at and below an open place: open_tree(2), Linux 5.2."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE
    return _call("open_tree", OPEN_TREE, fd, b"", flags)


def restrict(tree: int, attributes: int) -> None:
    """Set attributes on every mount of a detached tree, and stop mount propagation from its
    source: mount_setattr(2), Linux 5.12."""
    attr = _MountAttr(attributes, 0, _MS_PRIVATE, 0)
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE
    size = ctypes.sizeof(attr)
    _call("mount_setattr", MOUNT_SETATTR, tree, b"", flags, ctypes.byref(attr), size)


def new_mount(
    kind: str, options: Mapping[str, str], attributes: int, wanted: Iterable[str] = ()
) -> int:
    """Return a new, detached file system: fsopen(2), fsconfig(2), fsmount(2), Linux 5.2.

    ``wanted`` are flags to set if the kernel knows them.
    """
    fs = _call("fsopen", FSOPEN, kind.encode(), _FS_CLOEXEC)
    try:
        for name, value in options.items():
            _call("fsconfig", FSCONFIG, fs, _SET_STRING, name.encode(), value.encode(), 0)
        for name in wanted:
            with contextlib.suppress(OSError):
                _call("fsconfig", FSCONFIG, fs, _SET_FLAG, name.encode(), None, 0)
        _call("fsconfig", FSCONFIG, fs, _CMD_CREATE, None, None, 0)
        return _call("fsmount", FSMOUNT, fs, _FS_CLOEXEC, attributes)
    finally:
        os.close(fs)


def attach(tree: int, place: int) -> None:
    """Mount a detached tree on an open place: move_mount(2), Linux 5.2."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _call("move_mount", MOVE_MOUNT, tree, b"", place, b"", flags)


def detach(path: str) -> None:
    """Detach the topmost mount from a path, even if it is in use: umount2(2)."""
    if _libc.umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW):
        raise _failed("umount2")


def join_mounts_of(pid: int) -> None:
    """Enter the mount namespace of a process, at its root: setns(2).

    Needs CAP_SYS_ADMIN, CAP_SYS_CHROOT and, for another user's process, CAP_SYS_PTRACE.
    """
    fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, _CLONE_NEWNS):
            raise _failed("setns")
    finally:
        os.close(fd)


def kind_of(fd: int) -> tuple[int, int]:
    """Return the mode and mount id of an open file: statx(2), Linux 5.8.

    The kernel's cached values are used: a file server that does not answer is not queried.
    """
    result = _Statx()
    flags = _AT_EMPTY_PATH | _AT_NO_AUTOMOUNT | _AT_STATX_DONT_SYNC
    wanted = _STATX_TYPE | _STATX_MNT_ID
    if _libc.statx(fd, b"", flags, ctypes.c_uint(wanted), ctypes.byref(result)):
        raise _failed("statx")
    return result.mode, result.mount_id


def die_with_parent() -> None:
    """Have the kernel kill this process when the parent thread ends: PR_SET_PDEATHSIG.

    A change of the uid clears the setting.
    """
    _prctl(_PR_SET_PDEATHSIG, 9)


def be_opaque() -> None:
    """Stop processes of this uid from inspecting this process: PR_SET_DUMPABLE."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), 0):
        raise _failed("prctl")


def _call(name: str, number: int, *arguments: object) -> int:
    result: int = _syscall(number, map(_widened, arguments))
    if result < 0:
        raise _failed(name)
    return result


def _syscall(number: int, arguments: Iterable[object]) -> int:
    _libc.syscall.restype = ctypes.c_long
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def _widened(argument: object) -> object:
    """Widen integers: variadic arguments have the width of a register."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _failed(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)
