"""The pins themselves: mounts at ``<directory>/<container>/<n>``, made and taken away by root.

A container's secrets are one more, ``secrets``.

The mount points have mode 0: where a mount is missing nobody takes the empty place for it. What is
removed is only ever an empty directory or file of ours; the kernel refuses it while anything is
mounted there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from launcher.errors import LauncherError, PinRefused, PinsUnavailable
from launcher.mount_helper import syscalls
from launcher.mount_helper.fuse import check_below, check_open, mountinfo
from launcher.mount_helper.memory_files import filled
from launcher.mount_helper.opening import kernel_lacks, open_directory
from launcher.mount_helper.values import MountRequest, User, is_container

SECRETS = "secrets"
"""The place of a container's secrets; its mounts have numbers."""
_HARMLESS = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
_PATH_FILE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class MountTree:
    """The pins in one directory. One process at a time changes them."""

    def __init__(self, directory: str, fd: int) -> None:
        self._directory, self._fd = directory, fd

    @classmethod
    @contextlib.contextmanager
    def locked(cls, directory: str) -> Iterator[MountTree]:
        """Open the directory, made where it is missing, and keep other helpers out meanwhile.

        Raises ``PinsUnavailable`` where others than root could change what is in it.
        """
        try:
            path = open_directory(directory, "directory of pins", sticky=True, make=True)
        except PinRefused as refused:
            raise PinsUnavailable(refused.message, fix=refused.fix) from refused
        try:
            fd = os.open(f"/proc/self/fd/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(path)
        try:
            status = os.fstat(fd)
            if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o077:
                raise PinsUnavailable(
                    f"directory of pins: {directory} is open to others than root",
                    fix=f"Run: chown root: {directory} && chmod 700 {directory}",
                )
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield cls(directory, fd)
        finally:
            os.close(fd)

    def pin(
        self, container: str, files: Sequence[tuple[int, MountRequest]], dockerd: int | None = None
    ) -> list[str]:
        """Mount each open file; returns their paths, in order. What was pinned before is removed.

        ``dockerd``: the pid of who must see them. Raises ``PinRefused`` for what cannot be mounted,
        ``PinsUnavailable`` where nothing can. Nothing is left behind then.
        """
        self.remove(container)
        paths = [f"{self._directory}/{container}/{number}" for number in range(len(files))]
        try:
            with _told(container):
                os.mkdir(container, 0o700, dir_fd=self._fd)
            with self._folder(container) as folder:
                for number, (fd, mount) in enumerate(files):
                    with _told(str(mount)):
                        _mount(fd, mount, folder, str(number))
                        check_below(mountinfo(), paths[number], mount)
            if dockerd is not None:
                check_seen(dockerd, paths)
        except BaseException:
            self.remove(container)
            raise
        return paths

    def put_secrets(
        self, container: str, files: Mapping[str, bytes], user: User, dockerd: int | None = None
    ) -> str:
        """Mount these files beside a container's pins; returns the path. Earlier ones go.

        ``dockerd`` as in ``pin``. Raises ``PinsUnavailable``; the container has no pins then.
        """
        path = f"{self._directory}/{container}/{SECRETS}"
        try:
            with _told(f"secrets of {container}"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(container, 0o700, dir_fd=self._fd)
                with self._folder(container) as folder:
                    with contextlib.suppress(FileNotFoundError):
                        self._clear(container, folder, SECRETS)
                    with filled(files, user) as tree:
                        _attach(tree, folder, SECRETS, is_directory=True)
            if dockerd is not None:
                check_seen(dockerd, [path])
        except BaseException:
            self.remove(container)
            raise
        return path

    def remove(self, container: str) -> bool:
        """Take away all pins of a container, also where it still uses them; False: it has none.

        Raises ``PinsUnavailable`` where one cannot be taken away.
        """
        with _told(container):
            return self._remove(container)

    def _remove(self, container: str) -> bool:
        try:
            with self._folder(container) as folder:
                for name in os.listdir(folder):  # noqa: PTH208
                    self._clear(container, folder, name)
        except FileNotFoundError:
            return False
        os.rmdir(container, dir_fd=self._fd)
        return True

    def _clear(self, container: str, folder: int, name: str) -> None:
        """Take off what is mounted at one place, and the place."""
        _take_off(f"{self._directory}/{container}/{name}")
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=folder)

    def containers(self) -> list[str]:
        """Return which containers have pins, or a place for some."""
        return sorted(filter(is_container, os.listdir(self._fd)))  # noqa: PTH208

    def sweep(self, containers: Iterable[str]) -> list[str]:
        """Take away the pins of several containers; returns those that had any.

        One that cannot be taken away holds up no other; its ``PinsUnavailable`` is raised at last.
        """
        removed, troubles = [], []
        for name in containers:
            try:
                if self.remove(name):
                    removed.append(name)
            except LauncherError as trouble:
                troubles.append(trouble)
        if troubles:
            raise troubles[0]
        return removed

    def trouble(self) -> LauncherError | None:
        """Return why nothing can be pinned here; None where a mount can be made ready."""
        try:
            with _file(syscalls.clone_tree(self._fd)) as tree:
                syscalls.restrict(tree, _HARMLESS)
        except OSError as error:
            return _unmountable(error, self._directory)
        return None

    @contextlib.contextmanager
    def _folder(self, container: str) -> Iterator[int]:
        with _file(os.open(container, _FOLDER, dir_fd=self._fd)) as fd:
            yield fd


def _mount(fd: int, mount: MountRequest, folder: int, name: str) -> None:
    mode = check_open(fd, mount)
    with _file(syscalls.clone_tree(fd)) as tree:
        syscalls.restrict(tree, _HARMLESS | (mount.read_only * syscalls.MOUNT_ATTR_RDONLY))
        _attach(tree, folder, name, is_directory=stat.S_ISDIR(mode))


def _attach(tree: int, folder: int, name: str, *, is_directory: bool) -> None:
    """Make a place and mount a detached tree there."""
    if is_directory:
        os.mkdir(name, 0, dir_fd=folder)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0, dir_fd=folder))
    with _file(os.open(name, _PATH_FILE, dir_fd=folder)) as place:
        syscalls.attach(tree, place)


@contextlib.contextmanager
def _told(subject: str) -> Iterator[None]:
    """Raise for people what the kernel said."""
    try:
        yield
    except OSError as error:
        raise _unmountable(error, subject) from error


def _unmountable(error: OSError, subject: str) -> LauncherError:
    if error.errno == errno.ENOSYS:
        return kernel_lacks(error)
    if error.errno == errno.EPERM:
        return PinsUnavailable(
            f"{subject}: {error.filename}(2) is not permitted",
            fix="The helper needs CAP_SYS_ADMIN, and mount(2) where a seccomp profile filters.",
        )
    if error.errno == errno.EACCES:
        return PinRefused(f"{subject}: root may not look at it, so Docker could not mount it")
    if error.errno == errno.EINVAL:
        return PinRefused(f"{subject}: is on a mount that cannot be mounted elsewhere")
    return PinsUnavailable(f"{subject}: {error}")


def check_seen(pid: int, paths: Iterable[str]) -> None:
    """Raise ``PinsUnavailable`` where a process in another mount namespace sees empty places."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_bytes().splitlines()
    except OSError as error:
        raise PinsUnavailable(f"dockerd (pid {pid}) is not there: {error.strerror}") from error
    places = {line.split(b" ", 5)[4] for line in lines}
    for path in paths:
        if path.encode() not in places:
            raise PinsUnavailable(
                f"dockerd (pid {pid}) does not see what is mounted at {path}",
                fix="Run the helper where dockerd runs: as a unit without ProtectSystem, "
                "PrivateTmp and other settings that give it mounts of its own; in a container with "
                "--docker-host.",
            )


def _take_off(path: str) -> None:
    """Detach all that is mounted at a path of ours."""
    while True:
        try:
            syscalls.detach(path)
        except OSError as error:
            if error.errno == errno.EINVAL:  # nothing is
                return
            raise


@contextlib.contextmanager
def _file(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)
