"""Explains why an attempt's container does not run, from Docker's errors."""

from __future__ import annotations

from collections.abc import Callable

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import StartFailed, StartFailure
from launcher.core.model.gpu import Slice
from launcher.core.model.ids import LABEL_SLICES
from launcher.engine.containers import Container
from launcher.engine.networks import is_network_missing
from launcher.engine.outcome import Refusal, Refused, of_hook, refusal, toolkit_message

_FAILURES = {
    Refusal.USER: StartFailure.USER,
    Refusal.NO_GPU_SUPPORT: StartFailure.NO_GPU_SUPPORT,
    Refusal.GPU_SYSTEM: StartFailure.NO_GPU_SUPPORT,
    Refusal.DEVICE_GONE: StartFailure.SLICE_CHANGED,
    Refusal.IMAGE_MISSING: StartFailure.IMAGE_GONE,
}


class Vanished(Exception):
    """The attempt's container may have run, and its outcome cannot be known; has the reason.

    ``container_id`` is "" if unknown.
    """

    def __init__(self, message: str, container_id: str) -> None:
        super().__init__(message)
        self.container_id = container_id


class CommandNotStarted(Vanished):
    """A start was aborted before the command started, and its remaining processes are dead."""


class NotStarted(Exception):
    """The attempt provably has no running container; carries the event that reports it."""

    def __init__(
        self,
        failure: StartFailure,
        message: str,
        exit_code: int | None = None,
        slice_: str | None = None,
    ) -> None:
        super().__init__(message)
        self.failure, self.message = failure, message
        self.exit_code, self.slice = exit_code, slice_

    def event(self, action: StartAttempt, masked: Callable[[str], str] = str) -> StartFailed:
        """Return the event for an attempt; ``masked`` hides secrets in a text."""
        return StartFailed(
            action.job,
            action.attempt,
            self.failure,
            masked(self.message),
            self.exit_code,
            self.slice,
        )


class NetworkMissing(NotStarted):
    """Docker has removed the network of jobs since it was last seen (``docker network prune``)."""


def must_be_ours(container: Container, action: StartAttempt, store: str) -> None:
    """Refuse a container with this name that belongs to another job or to an earlier one.

    A database that was restored from a copy assigns ids again.
    """
    ours = container.belongs_to(store, action.job, action.attempt)
    slices = ",".join(s.uuid for s in action.slices)
    as_requested = (container.info.get("Image"), container.labels.get(LABEL_SLICES))
    if not ours or as_requested != (action.image_id, slices):
        raise NotStarted(
            StartFailure.INFRA,
            f"a foreign container {container.id[:12]} has the name {action.container_name}",
        )


def must_be_wanted(wanted: Callable[[], bool]) -> None:
    """Raise ``NotStarted`` if an attempt is not to start any more."""
    if not wanted():
        raise NotStarted(StartFailure.STOPPED, "it was stopped before it had started")


def refused_start(refused: Refused, slices: tuple[Slice, ...]) -> NotStarted:
    """Classify an error from Docker for the attempt and its slices."""
    if is_network_missing(refused.message):
        return NetworkMissing(StartFailure.INFRA, refused.message)
    failure = _FAILURES.get(refused.refusal, StartFailure.INFRA)
    message = refused.message
    if refused.refusal is Refusal.NO_GPU_SUPPORT:
        message = (
            "Docker cannot hand out GPUs: install nvidia-container-toolkit and restart Docker "
            f"({refused.message})"
        )
    elif refused.refusal is Refusal.GPU_SYSTEM:
        reported = toolkit_message(message)
        message = (
            f"Docker cannot hand out GPUs: NVIDIA's toolkit reports: {reported}. Run nvidia-smi, "
            "check dmesg, and try docker run --gpus all"
        )
    about_slices = failure is StartFailure.SLICE_CHANGED or of_hook(message)
    return NotStarted(failure, message, slice_=_named(message, slices) if about_slices else None)


def never_ran(
    container: Container, refused: Refused | None, slices: tuple[Slice, ...]
) -> NotStarted:
    """Explain why a created container does not run; Docker stores 126, 127 or 128 with it.

    Docker derives the code from words in the text, so a hook with a missing file also gives 127.
    """
    if refused is None:
        text = container.error or "it did not start"
        refused = Refused(refusal(500, text), 500, text)
    of_command = refused.refusal is Refusal.USER or not of_hook(refused.message)
    if container.exit_code in (126, 127) and of_command:
        return NotStarted(StartFailure.USER, refused.message, container.exit_code)
    return refused_start(refused, slices)


def _named(message: str, slices: tuple[Slice, ...]) -> str | None:
    """Return the slice that a message names, or the only one; None if that is ambiguous."""
    named = [s.uuid for s in slices if s.uuid in message]
    if not named and len(slices) == 1:
        named = [slices[0].uuid]
    return named[0] if len(named) == 1 else None
