"""What an answer of Docker means, in one table: the only place that reads its error texts.

A call raises ``EngineUnavailable`` (nothing was sent), ``Refused`` (an answer: not done) or
``Unknown`` (the answer was lost: look before anything else).
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
    """Why Docker said no."""

    #: The user's command or request cannot run.
    USER = "user"
    #: The name is taken: look whose it is.
    CONFLICT = "conflict"
    MISSING = "missing"
    IMAGE_MISSING = "image-missing"
    #: No NVIDIA hook and no CDI where dockerd looks.
    NO_GPU_SUPPORT = "no-gpu-support"
    #: NVIDIA's driver or toolkit works for no container on this machine.
    GPU_SYSTEM = "gpu-system"
    #: The NVIDIA toolkit does not know the slice.
    DEVICE_GONE = "device-gone"
    INFRA = "infra"


class Refused(EngineError):
    """Docker answered and did not do it."""

    kind = "engine-refused"

    def __init__(self, refusal: Refusal, status: int, message: str) -> None:
        self.refusal, self.status = refusal, status
        super().__init__(message)


class Unknown(EngineError):
    """Docker's answer was lost: the call may have been carried out."""

    kind = "engine-unknown"


_CLI = r"nvidia-container-cli(\.real)?: "
TOOLKIT: tuple[tuple[str, Refusal], ...] = (
    # What an image requires is its own text, and stands first for that.
    (_CLI + r"requirement error: ", Refusal.USER),
    (_CLI + r"device error: .*unknown device", Refusal.DEVICE_GONE),
    # The image brings files of a driver, where those of the machine are to be.
    (_CLI + r"mount error: file creation failed: .*: file exists", Refusal.USER),
    # The cgroups of this machine, its ldconfig, its driver, the toolkit's set-up: so for every one.
    (_CLI + r"mount error: (failed to add device rules|open failed: /sys/)", Refusal.GPU_SYSTEM),
    (_CLI + r"ldcache error: open failed", Refusal.GPU_SYSTEM),
    (_CLI + r"(initialization|detection|container|permission) error: ", Refusal.GPU_SYSTEM),
    (r"nvidia-container-cli: error while loading shared libraries", Refusal.GPU_SYSTEM),
    (r"invoking the nvidia container runtime hook directly", Refusal.GPU_SYSTEM),
)
"""What NVIDIA's hook says, in libnvidia-container's words. It looks at every GPU of the machine
before it picks one, so that a single broken GPU fails every start with a detection error."""

# (status, pattern in the message) -> refusal; the first row that fits counts. Messages quote what
# users wrote (commands, paths, names): the rows of such messages stand first and are anchored, so
# that no user's text is taken for a word about the machine.
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
    # Up to runc 1.1.5, and since.
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
    """Return what an HTTP status and message of Docker mean."""
    text = message.strip().lower()
    for row_status, pattern, meaning in TABLE:
        if row_status in (None, status) and re.search(pattern, text, re.DOTALL):
            return meaning
    return Refusal.INFRA


def of_hook(message: str) -> bool:
    """Whether a failed start is about a hook or CDI, and not about the container's command."""
    return bool(re.search(r"error running .*hook|cdi device", message.lower(), re.DOTALL))


def toolkit_words(message: str) -> str:
    """Return what NVIDIA's toolkit said of itself, without what others wrapped around it.

    >>> toolkit_words("error running hook: nvidia-container-cli: device error: x: unknown")
    'device error: x'
    """
    said = re.split(r"nvidia-container-cli(?:\.real)?: ", message)[-1]
    return said.strip().removesuffix(": unknown").strip()


def error_text(body: str) -> str:
    """Return the message of an error body of Docker."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip() or "Docker gave no reason"


_NEVER_SENT = (ConnectionRefusedError, FileNotFoundError, PermissionError)


def _root_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything packed into its arguments, cause and context."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [arg for arg in one.args if isinstance(arg, BaseException)]
        todo += [e for e in (one.__cause__, one.__context__) if e is not None]


LOST_WORD = ": unavailable"
"""What containerd's client ends a message with where a call broke off (errdefs.ErrUnavailable)."""


def broke_off(message: str) -> bool:
    """Whether Docker's words mean that containerd was asked and its answer was lost."""
    text = message.lower()
    closing = "transport is closing" in text or "code = unavailable" in text
    return closing or text.endswith(LOST_WORD)


def _about_containerd(host: str, message: str, error: Exception) -> None:
    """Raise what a dockerd without its containerd means: the machine's trouble, and no job's."""
    text = message.lower()
    if "containerd" in text and "error while dialing" in text:
        fix = "Start it (`systemctl start containerd`); Docker finds it by itself."
        raise EngineUnavailable(
            f"Docker at {host} has no containerd: {message}", fix=fix
        ) from error
    if broke_off(message):
        raise Unknown(f"containerd's answer to Docker at {host} was lost: {message}") from error


@contextlib.contextmanager
def mapped(host: str) -> Iterator[None]:
    """Translate docker-py's and requests' exceptions, which are two unrelated families."""
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
            why = "it gave none in time (timed out)" if late else str(error)
            raise Unknown(f"the answer of Docker at {host} was lost: {why}") from error
        reason, fix = _why_never_sent(host, first)
        raise EngineUnavailable(f"cannot reach Docker at {host}: {reason}", fix=fix) from error


def _why_never_sent(host: str, error: BaseException) -> tuple[str, str]:
    """Return why nothing was sent to Docker, and what to do."""
    if isinstance(error, PermissionError):
        return "permission denied", "Run as root, or as a user who may use Docker."
    if Path(host.removeprefix("unix://")).is_dir():
        fix = (
            "Docker makes one where it is to mount what is not there: name its socket in "
            "compose/.env (DOCKER_SOCKET)."
        )
        return "that is a directory, not a socket", fix
    return (
        "it does not answer",
        "Start it (`systemctl start docker`), or set DOCKER_HOST to its unix socket.",
    )
