"""A job that fails for want of rights gets a hint."""

from __future__ import annotations

import pytest

from launcher.cli.output.hints import TAIL_BYTES, OutputTail


@pytest.mark.parametrize(
    "text",
    [
        "mkdir: cannot create directory '/opt/x': Permission denied",
        "PermissionError: [Errno 13] Permission denied: '/root/.cache'",
        "Error: EACCES: permission denied, mkdir '/app/node_modules'",
        "OSError: [Errno 30] Read-only file system",
        "E: Could not open lock file - are you root?",
        "This script must be run as root",
    ],
)
def test_outputs_of_programs_that_lack_rights_are_recognised(text: str) -> None:
    tail = OutputTail()
    tail.add(text.encode())
    hint = tail.hint()
    assert hint is not None
    assert "launch help containers" in hint


def test_only_the_end_of_the_output_counts_also_in_pieces() -> None:
    tail = OutputTail()
    tail.add(b"permission denied" + bytes(2 * TAIL_BYTES))
    assert tail.hint() is None
    for piece in (b"perm", b"ission ", b"denied"):
        tail.add(piece)
    assert tail.hint() is not None
