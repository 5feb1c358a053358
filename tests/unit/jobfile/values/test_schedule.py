"""``retries`` and ``signal`` under ``schedule``, as one word or as mappings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import Node, read_node
from launcher.jobfile.values.schedule import read_retries, read_signal
from launcher.spec.job_spec import Retries, SignalBefore


def node(text: str) -> Node:
    return read_node(text, "f.yaml")


def test_a_number_of_retries_has_the_defaults_for_the_rest() -> None:
    assert read_retries(node("2")) == Retries(max=2)
    assert read_retries(node("{max: 2}")) == Retries(max=2)


def test_a_mapping_says_after_which_ends_and_waits() -> None:
    text = "{max: 3, on: [oom, 'exit:75', oom], backoff: 1m, max_backoff: 2h}"
    assert read_retries(node(text)) == Retries(3, ("oom", "exit:75"), 60.0, 7200.0)
    assert read_retries(node("{max: 3, on: 'oom,timeout'}")).on == ("oom", "timeout")


def test_a_first_wait_above_the_default_of_the_longest_raises_that() -> None:
    assert read_retries(node("{max: 1, backoff: 5h}")).max_backoff == 5 * 3600


@pytest.mark.parametrize("text", ["SIGUSR1@60s", "usr1@1m", "{name: USR1, before: 1m}"])
def test_a_signal_is_one_word_or_its_parts(text: str) -> None:
    assert read_signal(node(text)) == SignalBefore("SIGUSR1", 60.0)


@pytest.mark.parametrize(
    ("read", "text", "column", "words"),
    [
        (read_retries, "{on: oom}", 1, "does not say how many"),
        (read_retries, "{max: 2, on: []}", 14, "`on` is empty"),
        (read_retries, "{max: 2, on: [oom, sad]}", 20, "an end of `on`: "),
        (read_retries, "{max: -1}", 7, "`max`: "),
        (read_retries, "{max: 2, backof: 1m}", 10, "did you mean `backoff`?"),
        (read_retries, "{max: 1, backoff: 2m, max_backoff: 1m}", 36, "`max_backoff`: "),
        (read_retries, "[2]", 1, "`retries` must be text"),
        (read_signal, "{name: USR1}", 1, "`signal` has no `before`"),
        (read_signal, "{before: 1m}", 1, "`signal` has no `name`"),
        (read_signal, "{name: KILL, before: 1m}", 8, "`name`: SIGKILL"),
        (read_signal, "{name: USR1, befor: 1m}", 14, "did you mean `before`?"),
        (read_signal, "USR1", 1, "`signal`: "),
    ],
)
def test_a_mistake_is_told_where_it_stands(
    read: Callable[[Node], object], text: str, column: int, words: str
) -> None:
    with pytest.raises(JobFileError) as refused:
        read(node(text))
    assert words in refused.value.message
    assert refused.value.column == column
