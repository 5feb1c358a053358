"""Classifies Docker's responses in one table: the only place that reads its error texts.

A call raises ``EngineUnavailable`` (nothing was sent), ``Refused`` (a response: not done) or
``Unknown`` (the response was lost: inspect before any other step).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from enum import Enum
from http.client import HTTPException
from pathlib import Path

from launcher.errors import EngineError, EngineUnavailable


class Refusal(Enum):
    """Why Docker refused a call."""

    #: The user's command or request cannot run.
    USER = "user"
    #: The name is taken: inspect which container has it.
    CONFLICT = "conflict"
    MISSING = "missing"
    IMAGE_MISSING = "image-missing"
    #: dockerd finds neither NVIDIA's hook nor CDI.
    NO_GPU_SUPPORT = "no-gpu-support"
    #: NVIDIA's driver or toolkit fails for every container on this machine.
    GPU_SYSTEM = "gpu-system"
    #: The NVIDIA toolkit does not know the slice.
    DEVICE_GONE = "device-gone"
    INFRA = "infra"


class Refused(EngineError):
    """Docker responded and did not carry out the call."""

    kind = "engine-refused"

    def __init__(self, refusal: Refusal, status: int, message: str) -> None:
        self.refusal, self.status = refusal, status
        super().__init__(message)


class Unknown(EngineError):
    """Docker's response was lost: the call may have been carried out."""

    kind = "engine-unknown"


_CLI = r"nvidia-container-cli(\.real)?: "
TOOLKIT: tuple[tuple[str, Refusal], ...] = (
    # First, because the text of an image's requirement is the image's own.
    (_CLI + r"requirement error: ", Refusal.USER),
    (_CLI + r"device error: .*unknown device", Refusal.DEVICE_GONE),
    # The image contains driver files at the paths of the machine's driver.
    (_CLI + r"mount error: file creation failed: .*: file exists", Refusal.USER),
    # The machine's cgroups, ldconfig, driver or toolkit set-up: these fail for every container.
    (_CLI + r"mount error: (failed to add device rules|open failed: /sys/)", Refusal.GPU_SYSTEM),
    (_CLI + r"ldcache error: open failed", Refusal.GPU_SYSTEM),
    (_CLI + r"(initialization|detection|container|permission) error: ", Refusal.GPU_SYSTEM),
    (r"nvidia-container-cli: error while loading shared libraries", Refusal.GPU_SYSTEM),
    (r"invoking the nvidia container runtime hook directly", Refusal.GPU_SYSTEM),
)
"""Messages of NVIDIA's hook (libnvidia-container). It checks every GPU of the machine before it
picks one, so that a single broken GPU fails every start with a detection error."""

# (status, pattern in the message) -> refusal; the first matching row counts. Messages quote text
# of users (commands, paths, names): the rows of such messages come first and are anchored, so
# that a user's text cannot match a row about the machine.
# Texts: moby daemon/errors.go, runc libcontainer/{init,env,rootfs}_linux.go of 1.1 to 1.5,
# nvidia-container-toolkit; each row has a captured body as its test.
TABLE: tuple[tuple[int | None, str, Refusal], ...] = (
    (400, r"^the working directory '", Refusal.USER),
    (
        None,
        r"^(lstat|cannot mkdir:?|mkdir) .*(not a directory|file exists|invalid arg)",
        Refusal.USER,
    ),
    (None, r"^unable to find (user |groups? )", Refusal.USER),
    (
        None,
        r"unable to start container process: (error during container init: )?exec",
        Refusal.USER,
    ),
    (None, r"container init: chdir to cwd |container process: chdir to cwd ", Refusal.USER),
    (None, r"container init: error mounting \".*: not a directory", Refusal.USER),
    (None, r"cannot be mounted because it is (inside /proc|not of type proc)", Refusal.USER),
    # Up to runc 1.1.5, then later versions.
    (None, r"container init: environment variable value can't contain null", Refusal.USER),
    (None, r"container init: invalid environment variable", Refusal.USER),
    (None, r"^(invalid json: )?json: cannot unmarshal number", Refusal.USER),
    (None, r"^could not select device driver", Refusal.NO_GPU_SUPPORT),
    (None, r"^unknown (or invalid runtime name|runtime specified)", Refusal.INFRA),
    (None, r"unresolvable cdi devices", Refusal.DEVICE_GONE),
    (None, r"failed to stat cdi host device \"/dev/nvidia", Refusal.DEVICE_GONE),
    *((None, rf"error running .*hook.*{text}", meaning) for text, meaning in TOOLKIT),
    (None, r"error running .*hook", Refusal.INFRA),
    (404, r"^no such image", Refusal.IMAGE_MISSING),
    (404, r"", Refusal.MISSING),
    (409, r"", Refusal.CONFLICT),
    (400, r"", Refusal.USER),
)


def refusal(status: int, message: str) -> Refusal:
    """Classify an HTTP status and message of Docker."""
    text = message.strip().lower()
    for row_status, pattern, meaning in TABLE:
        if row_status in (None, status) and re.search(pattern, text, re.DOTALL):
            return meaning
    return Refusal.INFRA


def of_hook(message: str) -> bool:
    """Whether a start failed because of a hook or CDI, not of the container's command."""
    return bool(re.search(r"error running .*hook|cdi device", message.lower(), re.DOTALL))


def toolkit_message(message: str) -> str:
    """Return the message of NVIDIA's toolkit without the text wrapped around it.

    >>> toolkit_message("error running hook: nvidia-container-cli: device error: x: unknown")
    'device error: x'
    """
    message = re.split(r"nvidia-container-cli(?:\.real)?: ", message)[-1]
    return message.strip().removesuffix(": unknown").strip()


def error_text(body: str) -> str:
    """Return the message of an error body of Docker."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip() or "Docker gave no reason"


_NEVER_SENT = (ConnectionRefusedError, FileNotFoundError, PermissionError)


def _root_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors in its arguments, cause and context."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        current = todo.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        todo += [arg for arg in current.args if isinstance(arg, BaseException)]
        todo += [e for e in (current.__cause__, current.__context__) if e is not None]


UNAVAILABLE_SUFFIX = ": unavailable"
"""Suffix of containerd's client for a call that broke off (errdefs.ErrUnavailable)."""


def broke_off(message: str) -> bool:
    """Whether Docker's message means that a call to containerd lost its response."""
    text = message.lower()
    closing = "transport is closing" in text or "code = unavailable" in text
    return closing or text.endswith(UNAVAILABLE_SUFFIX)


def _about_containerd(host: str, message: str, error: Exception) -> None:
    """Raise the error for a dockerd without containerd: the machine's fault, not a job's."""
    text = message.lower()
    if "containerd" in text and "error while dialing" in text:
        fix = "Start it (`systemctl start containerd`); Docker reconnects by itself."
        raise EngineUnavailable(
            f"Docker at {host} has no containerd: {message}", fix=fix
        ) from error
    if broke_off(message):
        raise Unknown(f"containerd's response to Docker at {host} was lost: {message}") from error


@contextlib.contextmanager
def mapped(host: str) -> Iterator[None]:
    """Translate exceptions of docker-py and requests, which are two unrelated families."""
    import requests.exceptions
    import urllib3.exceptions
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        status = error.status_code or 500
        message = str(error.explanation or error)
        _about_containerd(host, message, error)
        raise Refused(refusal(status, message), status, message) from error
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        DockerException,
        HTTPException,
        OSError,
    ) as error:
        first = next((e for e in _root_causes(error) if isinstance(e, _NEVER_SENT)), None)
        if first is None:
            late = "timed out" in str(error)
            why = "timed out" if late else str(error)
            raise Unknown(f"the response of Docker at {host} was lost: {why}") from error
        reason, fix = _why_never_sent(host, first)
        raise EngineUnavailable(f"cannot reach Docker at {host}: {reason}", fix=fix) from error


def _why_never_sent(host: str, error: BaseException) -> tuple[str, str]:
    """Return why nothing was sent to Docker, and a fix."""
    if isinstance(error, PermissionError):
        return "permission denied", "Run as root, or as a user with access to Docker."
    if Path(host.removeprefix("unix://")).is_dir():
        fix = (
            "Docker creates a directory at a missing mount source: set DOCKER_SOCKET in "
            "compose/.env to its socket."
        )
        return "that is a directory, not a socket", fix
    return (
        "it does not answer",
        "Start it (`systemctl start docker`), or set DOCKER_HOST to its unix socket.",
    )
