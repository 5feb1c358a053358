"""What a refused start says about the slices it was for."""

from __future__ import annotations

import pytest

from launcher.core.messages.events import StartFailure
from launcher.daemon.attempts.start_errors import refused_start
from launcher.engine.outcome import Refused, refusal
from tests.support.builders import mig

HOOK = (
    "failed to create task for container: error running prestart hook #0: exit status 1, stderr: "
    "nvidia-container-cli: {}: unknown"
)


@pytest.mark.parametrize(
    ("message", "slices", "named"),
    [
        (HOOK.format("mount error: file creation failed"), 1, "MIG-a-0"),
        (HOOK.format("mount error: MIG-a-1: permission denied"), 2, "MIG-a-1"),
        (HOOK.format("mount error: file creation failed"), 2, None),
        ("mkdir /var/lib/docker/overlay2/x: no space left on device", 1, None),
        ("some trouble of the daemon's own", 1, None),
    ],
)
def test_only_the_toolkits_word_is_held_against_a_slice(
    message: str, slices: int, named: str | None
) -> None:
    refused = Refused(refusal(500, message), 500, message)
    found = refused_start(refused, tuple(mig(n) for n in range(slices)))
    assert (found.failure, found.slice) == (StartFailure.INFRA, named)
