"""A command line is split as a shell would."""

from __future__ import annotations

import shlex

import pytest

from launcher.spec.command_line import split_command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "echo  a\tb\nc",
        "echo 'a b' \"c d\"",
        "echo a'b'\"c\"d",
        "echo '' \"\"",
        r"echo a\ b \'x\' \\",
        r'echo "a\"b" "a\\b" "a\nb"',
        r"echo 'a\b'",
        "sh -c 'for i in 1 2; do echo $i; done'",
        "echo # not a comment",
    ],
)
def test_a_command_is_split_as_shlex_splits_it(text: str) -> None:
    assert split_command(text) == shlex.split(text)


@pytest.mark.parametrize("text", ["echo 'a", 'echo "a', "echo a\\", "'", '"a\\"'])
def test_a_command_that_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be split into words"):
        split_command(text)
    with pytest.raises(ValueError, match="No "):
        shlex.split(text)
