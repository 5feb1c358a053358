"""Opens the named places with the user's rights alone; runs in a child.

The directories above a root must belong to root, or another user could replace a place. They
are opened one by one, and no symlink is followed. Beneath the root the kernel follows symlinks
that stay there (openat2(2), RESOLVE_BENEATH), even if something is renamed meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path, PurePosixPath

from launcher.errors import InternalError, LauncherError, PinRefused, PinsUnavailable
from launcher.mount_helper import syscalls
from launcher.mount_helper.values import MountRequest, User

_TRIES = 64
"""The kernel returns EAGAIN if something was renamed while it resolved a ``..``."""
_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_NO_LINKS = syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
_BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
_ROOT_FIX = "Mount roots are set in launcher.toml."


def become(user: User) -> None:
    """Drop all rights but this user's; raises ``PinsUnavailable`` if that is not permitted.

    Raises InternalError if a capability is left: SECBIT_NO_SETUID_FIXUP (capabilities(7)).
    """
    try:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise PinsUnavailable(
            f"cannot become uid {user.uid}: {error.strerror}", fix="The helper must run as root."
        ) from error
    syscalls.be_opaque()
    syscalls.die_with_parent()
    if user.uid == 0:
        return
    # Bytes: text could make Python import a codec from a place that this user cannot read.
    status = Path("/proc/self/status").read_bytes().split(b"\n")
    held = [line for line in status if line.startswith((b"CapEff", b"CapPrm", b"CapAmb"))]
    if len(held) != 3 or any(int(line.split()[1], 16) for line in held):
        raise InternalError(f"uid {user.uid} still has capabilities: {held}")


def open_mount(mount: MountRequest) -> int:
    """Return an O_PATH file of a mount; raises ``PinRefused`` with the reason."""
    root = open_directory(mount.root, f"mount root {mount.root}")
    try:
        fd = _open_beneath(root, mount)
    finally:
        os.close(root)
    mode = os.fstat(fd).st_mode
    check_kind(mode, mount)
    ways = (os.X_OK,) if stat.S_ISDIR(mode) else (os.R_OK, os.W_OK)
    if not any(syscalls.accessible(fd, way) for way in ways):
        verb = "enter" if stat.S_ISDIR(mode) else "read"
        raise PinRefused(f"{mount}: permission denied: uid {os.getuid()} may not {verb} it")
    for label, path in mount.inside:
        _check_inside(fd, label, path, mount)
    return fd


def _check_inside(place: int, label: str, path: str, mount: MountRequest) -> None:
    """Refuse a directory that is missing or a symlink: runc would create or follow it."""
    try:
        os.close(syscalls.openat2(place, path, _DIRECTORY, _NO_LINKS | syscalls.RESOLVE_BENEATH))
    except OSError as error:
        reasons = {
            errno.ENOENT: f"does not exist in {mount}",
            errno.ELOOP: f"is a symlink in {mount}, or below one",
            errno.ENOTDIR: f"is not a directory in {mount}",
        }
        why = reasons.get(error.errno or 0, f"cannot be opened in {mount}: {error.strerror}")
        fixes = {
            errno.ENOENT: "Create it first: a container does not create directories in a mount.",
            errno.ELOOP: "Name the target of the symlink.",
        }
        raise PinRefused(f"{label} {why}", fix=fixes.get(error.errno or 0)) from error


def open_directory(path: str, label: str, *, sticky: bool = False, make: bool = False) -> int:
    """Return an O_PATH file of a directory above which only root can rename anything.

    ``sticky`` permits a directory like /tmp among them. ``make`` creates missing directories, the
    last with mode 0700. Raises ``PinRefused`` with the failing component.
    """
    fd, at = os.open("/", _DIRECTORY | os.O_CLOEXEC), ""
    names = path[1:].split("/")
    for number, name in enumerate(names, start=1):
        above = at or "/"
        at = f"{at}/{name}"
        try:
            _check_owner(fd, above, label, sticky=sticky)
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700 if number == len(names) else 0o755, dir_fd=fd)
            below = syscalls.openat2(fd, name, _DIRECTORY, _NO_LINKS)
        except OSError as error:
            raise _refused_root(error, at, label) from error
        finally:
            os.close(fd)
        fd = below
    return fd


def open_private(directory: str, label: str) -> int:
    """Return an open directory that only root can enter; it is created if missing.

    Raises ``PinsUnavailable`` if users other than root could change or enter it.
    """
    try:
        path = open_directory(directory, label, sticky=True, make=True)
    except PinRefused as refused:
        raise PinsUnavailable(refused.message, fix=refused.fix) from refused
    try:
        fd = os.open(f"/proc/self/fd/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(path)
    status = os.fstat(fd)
    if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(fd)
        raise PinsUnavailable(
            f"{label}: {directory} is accessible to users other than root",
            fix=f"Run: chown root: {directory} && chmod 700 {directory}",
        )
    return fd


def check_kind(mode: int, mount: MountRequest) -> None:
    """Refuse all but directories and regular files: a socket may be Docker's own."""
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "FIFO", stat.S_IFLNK: "symlink"}
    kind = kinds.get(stat.S_IFMT(mode), "device")
    raise PinRefused(
        f"{mount}: is a {kind}", fix="Only directories and regular files can be mounted."
    )


def kernel_lacks(error: OSError) -> PinsUnavailable:
    """Return the error for a system call that does not exist."""
    return PinsUnavailable(
        f"this kernel ({os.uname().release}) lacks {error.filename}(2), or a filter forbids it",
        fix="Mounts for users need Linux 5.12 or later.",
    )


def _check_owner(fd: int, path: str, label: str, *, sticky: bool) -> None:
    status = os.fstat(fd)
    mode = stat.S_IMODE(status.st_mode)
    writable = mode & 0o022 and not (sticky and mode & stat.S_ISVTX)
    if status.st_uid != 0 or writable:
        raise PinRefused(
            f"{label}: {path} can be changed by users other than root "
            f"(owner uid {status.st_uid}, mode {mode:04o})",
            fix=f"Make {path} owned by root, without write permission for group and others.",
        )


def _refused_root(error: OSError, at: str, label: str) -> LauncherError:
    if error.errno == errno.ENOSYS:
        return kernel_lacks(error)
    reasons = {
        errno.EACCES: f"uid {os.getuid()} may not search the directory of {at}",
        errno.ENOENT: f"{at} does not exist",
        errno.ENOTDIR: f"{at} is not a directory",
        errno.ELOOP: f"{at} is a symlink",
    }
    reason = reasons.get(error.errno or 0, f"{at}: {error.strerror}")
    fix = {errno.ELOOP: "Name the target of the symlink.", errno.EACCES: None}
    return PinRefused(f"{label}: {reason}", fix=fix.get(error.errno or 0, _ROOT_FIX))


def _open_beneath(root: int, mount: MountRequest) -> int:
    path = mount.path or "."
    try:
        try:
            # This also triggers an automount (autofs).
            return _patiently(root, path, _DIRECTORY)
        except NotADirectoryError:
            return _patiently(root, path, os.O_PATH)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise kernel_lacks(error) from error
        raise _refused_path(error, root, mount) from error


def _patiently(root: int, path: str, flags: int) -> int:
    for _ in range(_TRIES - 1):
        with contextlib.suppress(BlockingIOError):
            return syscalls.openat2(root, path, flags, _BENEATH)
    return syscalls.openat2(root, path, flags, _BENEATH)


def _refused_path(error: OSError, root: int, mount: MountRequest) -> PinRefused:
    number = error.errno or 0
    at = _first_failing(root, mount)
    at = "it" if at == str(mount) else at
    reasons = {
        errno.EACCES: f"permission denied: uid {os.getuid()} may not search the directory of {at}",
        errno.ENOENT: f"{at} does not exist",
        errno.ENOTDIR: f"{at} is below something that is not a directory",
        errno.EXDEV: f"{at} leads outside {mount.root}",
        errno.ELOOP: f"{at} is a symlink that cannot be followed: too many, or one of /proc",
        errno.EAGAIN: f"{at} is being renamed repeatedly",
    }
    fixes = {
        errno.EXDEV: f"Name a place in {mount.root}; a symlink must be relative and stay inside."
    }
    reason = reasons.get(number, f"{at}: {error.strerror}")
    return PinRefused(f"{mount}: {reason}", fix=fixes.get(number))


def _first_failing(root: int, mount: MountRequest) -> str:
    """Return the shortest part of the path that cannot be opened, for the error text."""
    so_far = PurePosixPath()
    for name in PurePosixPath(mount.path).parts:
        so_far /= name
        try:
            os.close(syscalls.openat2(root, str(so_far), os.O_PATH, _BENEATH))
        except OSError:
            break
    return str(PurePosixPath(mount.root, so_far))
