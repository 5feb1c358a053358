"""The one table of Docker's answers: every row with a body that a real Docker sent."""

from __future__ import annotations

import re

import pytest

from launcher.engine.outcome import TABLE, Refusal, error_text, refusal, toolkit_message
from tests.support.toolkit import SAYS

RUNC = (
    "failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)
HOOK = (
    "error during container init: error running hook #0: error running hook: exit status 1, "
    "stdout: , stderr: "
)
CREATE = "failed to create shim task: OCI runtime create failed: "
CDI = (
    "error modifying OCI spec: failed to inject CDI devices: unresolvable CDI devices "
    "nvidia.com/gpu=MIG-1: unknown"
)
PRESTART = (
    "error during container init: error running prestart hook #0: exit status 1, stdout: , stderr: "
)
MERGED = "/var/lib/docker/overlay2/dcb60f/merged"

# Captured from dockerd 20.10.24, 26.1.5 and 28.5.2 with runc 1.1.5, 1.1.15 and 1.3.6 and a stub
# hook; what differs in runc 1.2 and 1.5 and cannot be caused here has the words of its source.
CAPTURED = [
    (400, "the working directory 'rel' is invalid, it needs to be an absolute path", Refusal.USER),
    (500, f"lstat {MERGED}/etc/passwd/x: not a directory", Refusal.USER),
    (500, "Cannot mkdir: /etc/passwd is not a directory", Refusal.USER),
    (500, f"lstat {MERGED}/a\0b: invalid argument", Refusal.USER),
    (500, "unable to find user nobodyhere: no matching entries in passwd file", Refusal.USER),
    (500, "unable to find group nogrp: no matching entries in group file", Refusal.USER),
    (
        500,
        "unable to find groups for spec user: bufio.Scanner: token too long",
        Refusal.USER,
    ),
    (400, RUNC + 'exec: "nope": executable file not found in $PATH: unknown', Refusal.USER),
    (400, RUNC + 'exec: "/nope": stat /nope: no such file or directory: unknown', Refusal.USER),
    (400, RUNC + 'exec: "/etc/passwd": permission denied: unknown', Refusal.USER),
    (500, RUNC + 'exec: "nope": executable file not found in $PATH', Refusal.USER),
    (
        500,
        RUNC + 'error during container init: chdir to cwd ("/root") set in config.json failed: '
        "permission denied: unknown",
        Refusal.USER,
    ),
    (
        500,
        RUNC + 'error during container init: error mounting "/d/volumes/9/_data" to rootfs at '
        f'"/proc/x": "{MERGED}/proc/x" cannot be mounted because it is inside /proc: unknown',
        Refusal.USER,
    ),
    (
        500,
        RUNC + 'error during container init: error mounting "/etc" to rootfs at "/etc/passwd": '
        "mount /etc:/etc/passwd (via /proc/self/fd/6), flags: 0x5000: not a directory: unknown",
        Refusal.USER,
    ),
    (
        500,
        RUNC + "error during container init: environment variable value can't contain "
        'null(\\x00): "A=a\\x00b": unknown',
        Refusal.USER,
    ),
    # runc 1.1.6 to 1.2, then 1.3 to 1.5.
    *(
        (500, f"{RUNC}error during container init: invalid environment variable{why}", Refusal.USER)
        for why in (
            ' "A": value contains nul byte (\\x00): unknown',
            ' "A\\x00B": name contains nul byte (\\x00): unknown',
            ' "A": contains nul byte (\\x00): unknown',
            ": missing '=': unknown",
            ": name cannot be empty: unknown",
        )
    ),
    (
        500,
        f"json: cannot unmarshal number {10**30} into Go value of type int64",
        Refusal.USER,
    ),
    (500, 'could not select device driver "" with capabilities: [[gpu]]', Refusal.NO_GPU_SUPPORT),
    (400, "unknown or invalid runtime name: nvidia", Refusal.INFRA),
    (400, "Unknown runtime specified nvidia", Refusal.INFRA),
    (
        500,
        "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=MIG-1",
        Refusal.DEVICE_GONE,
    ),
    (
        500,
        f"{CREATE}could not apply required modification to OCI specification: {CDI}",
        Refusal.DEVICE_GONE,
    ),
    (
        500,
        'failed to stat CDI host device "/dev/nvidia-caps/nvidia-cap12": no such file or directory',
        Refusal.DEVICE_GONE,
    ),
    *((500, f"{RUNC}{HOOK}{text}: unknown", meaning) for text, meaning in SAYS),
    *((500, f"{RUNC}{PRESTART}{text}: unknown", meaning) for text, meaning in SAYS),
    (404, "No such image: nobody/none:1", Refusal.IMAGE_MISSING),
    (404, "No such container: nonexist", Refusal.MISSING),
    (
        409,
        'Conflict. The container name "/x1" is already in use by container "944b2f8c8d68".',
        Refusal.CONFLICT,
    ),
    (400, "Invalid signal: SIGNOPE", Refusal.USER),
    (400, "Minimum memory limit allowed is 6MB", Refusal.USER),
    (
        400,
        'invalid mount config for type "bind": bind source path does not exist: /nonexistent/x',
        Refusal.USER,
    ),
]


@pytest.mark.parametrize(("status", "message", "meaning"), CAPTURED)
def test_what_docker_says_is_understood(status: int, message: str, meaning: Refusal) -> None:
    assert refusal(status, message) is meaning


def test_every_row_of_the_table_has_a_captured_body() -> None:
    reached = set()
    for status, message, _ in CAPTURED:
        text = message.strip().lower()
        reached.add(
            next(
                number
                for number, (row, pattern, _) in enumerate(TABLE)
                if row in (None, status) and re.search(pattern, text, re.DOTALL)
            )
        )
    assert reached == set(range(len(TABLE)))


@pytest.mark.parametrize(
    "said",
    [
        "could not select device driver",
        "unresolvable cdi devices",
        "error running hook: device error: x: unknown device",
        "unknown runtime specified",
    ],
)
@pytest.mark.parametrize(
    ("status", "frame"),
    [
        (400, "the working directory '{}' is invalid, it needs to be an absolute path"),
        (500, "lstat /merged/etc/passwd/{}: not a directory"),
        (500, "Cannot mkdir: /etc/passwd/{} is not a directory"),
        (500, "unable to find user {}: no matching entries in passwd file"),
        (400, RUNC + 'exec: "{}": executable file not found in $PATH: unknown'),
    ],
)
def test_a_users_own_text_is_never_taken_for_a_word_about_the_machine(
    said: str, status: int, frame: str
) -> None:
    """One ordinary user's working directory must not close the gate for every GPU job."""
    assert refusal(status, frame.format(said)) is Refusal.USER


@pytest.mark.parametrize("status", [500, 502, 503])
def test_what_nobody_has_seen_before_is_not_the_users_fault(status: int) -> None:
    assert refusal(status, "something new") is Refusal.INFRA


def test_a_hook_that_is_not_there_is_not_the_users_fault() -> None:
    text = RUNC + "error running hook #0: fork/exec /usr/bin/x: no such file or directory: unknown"
    assert refusal(400, text) is Refusal.INFRA


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"message":"no"}\n', "no"),
        ("plain\n", "plain"),
        ("", "Docker gave no reason"),
        ("[]", "[]"),
    ],
)
def test_the_message_of_an_error_body_is_found(body: str, text: str) -> None:
    assert error_text(body) == text


def test_what_the_toolkit_said_is_told_without_what_is_around_it() -> None:
    wrapped = f"{RUNC}{HOOK}Auto-detected mode as 'legacy'\nnvidia-container-cli: device error: x"
    assert toolkit_message(f"{wrapped}\n: unknown") == "device error: x"
    assert toolkit_message("something else: unknown") == "something else"
