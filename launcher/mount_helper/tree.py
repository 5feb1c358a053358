"""The pins: mounts at ``<directory>/<container>/<n>``, made and removed by root.

A container's secrets are one more mount, ``secrets``.

The mount points have mode 0, so a missing mount does not pass for an empty directory. Only our own
empty directories and files are removed; the kernel refuses to remove one with a mount on it.
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
from launcher.mount_helper.opening import kernel_lacks, open_private
from launcher.mount_helper.values import MountRequest, User, is_container
from launcher.procfs import read_lines

SECRETS = "secrets"
"""The directory of a container's secrets; its mounts have numbers."""
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
        """Open the directory, create it if missing, and lock it against other helpers.

        Raises ``PinsUnavailable`` if users other than root could change its content.
        """
        fd = open_private(directory, "directory of pins")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield cls(directory, fd)
        finally:
            os.close(fd)

    def pin(
        self, container: str, files: Sequence[tuple[int, MountRequest]], dockerd: int | None = None
    ) -> list[str]:
        """Mount each open file; return the paths, in order. Earlier pins are removed.

        ``dockerd`` is the pid of a process that must see the pins. Raises ``PinRefused`` for a
        place that cannot be mounted, ``PinsUnavailable`` if none can; no pin is left then.
        """
        self.remove(container)
        paths = [f"{self._directory}/{container}/{number}" for number in range(len(files))]
        try:
            with _readable_errors(container):
                os.mkdir(container, 0o700, dir_fd=self._fd)
            with self._folder(container) as folder:
                for number, (fd, mount) in enumerate(files):
                    with _readable_errors(str(mount)):
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
        """Mount these files beside a container's pins; return the path. Earlier ones are removed.

        ``dockerd`` as in ``pin``. Raises ``PinsUnavailable``; the container has no pins then.
        """
        path = f"{self._directory}/{container}/{SECRETS}"
        try:
            with _readable_errors(f"secrets of {container}"):
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
        """Remove all pins of a container, even while it uses them; return False if it has none.

        Raises ``PinsUnavailable`` if a pin cannot be removed.
        """
        with _readable_errors(container):
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
        """Unmount everything at one mount point, then remove it."""
        _take_off(f"{self._directory}/{container}/{name}")
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=folder)

    def containers(self) -> list[str]:
        """Return the containers that have pins or mount points."""
        return sorted(filter(is_container, os.listdir(self._fd)))  # noqa: PTH208

    def sweep(self, containers: Iterable[str]) -> list[str]:
        """Remove the pins of several containers; return those that had any.

        A failure does not stop the others; the first ``PinsUnavailable`` is raised at the end.
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
        """Return why nothing can be pinned here; None if a mount can be prepared."""
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
    """Create a mount point and attach a detached tree to it."""
    if is_directory:
        os.mkdir(name, 0, dir_fd=folder)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0, dir_fd=folder))
    with _file(os.open(name, _PATH_FILE, dir_fd=folder)) as place:
        syscalls.attach(tree, place)


@contextlib.contextmanager
def _readable_errors(subject: str) -> Iterator[None]:
    """Raise a kernel error as an error with a readable text."""
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
        return PinRefused(f"{subject}: root may not access it, so Docker could not mount it")
    if error.errno == errno.EINVAL:
        return PinRefused(f"{subject}: its file system cannot be mounted elsewhere")
    return PinsUnavailable(f"{subject}: {error}")


def check_seen(pid: int, paths: Iterable[str]) -> None:
    """Raise ``PinsUnavailable`` if a process in another mount namespace sees empty places."""
    try:
        mounts = read_lines(Path(f"/proc/{pid}/mountinfo"))
    except OSError as error:
        raise PinsUnavailable(f"dockerd ({pid=}) cannot be inspected: {error.strerror}") from error
    places = {line.split(" ", 5)[4] for line in mounts}
    for path in paths:
        if path not in places:
            raise PinsUnavailable(
                f"dockerd (pid {pid}) does not see the mount at {path}",
                fix="Run the helper where dockerd runs: as a unit without ProtectSystem, "
                "PrivateTmp and other settings that give it mounts of its own; in a container with "
                "--docker-host.",
            )


def _take_off(path: str) -> None:
    """Detach all mounts at one of our paths."""
    while True:
        try:
            syscalls.detach(path)
        except OSError as error:
            if error.errno == errno.EINVAL:  # nothing is mounted
                return
            raise


@contextlib.contextmanager
def _file(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)
