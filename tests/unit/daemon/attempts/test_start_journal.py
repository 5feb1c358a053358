"""What a daemon wrote about a container before it died, read by the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.daemon.attempts.start_journal import StartJournal, StartRecord

NAME = "launch-feed-1-1"
ASKED = StartRecord("boot 12 34", "c1")


@pytest.fixture
def journal(tmp_path: Path) -> StartJournal:
    return StartJournal(tmp_path / "starts")


def test_a_start_that_was_never_asked_for_has_no_record(journal: StartJournal) -> None:
    assert journal.record_of(NAME) is None


def test_a_start_is_on_record_with_its_dockerd_and_container(journal: StartJournal) -> None:
    journal.set(NAME, ASKED)
    assert journal.record_of(NAME) == ASKED
    assert journal.record_of("launch-feed-1-2") is None


def test_only_the_first_time_at_which_an_end_was_missed_counts(journal: StartJournal) -> None:
    journal.set(NAME, ASKED)
    journal.miss(NAME, 1_800_000_000.25)
    journal.miss(NAME, 1_900_000_000.0)
    assert journal.record_of(NAME) == StartRecord("boot 12 34", "c1", 1_800_000_000.25)


def test_an_end_can_be_missed_of_a_start_that_is_not_on_record(journal: StartJournal) -> None:
    journal.miss(NAME, 5.0)
    assert journal.record_of(NAME) == StartRecord(missed=5.0)


@pytest.mark.parametrize("content", [b"\xff", b"a\nb\nnot a time"])
def test_a_record_that_cannot_be_read_still_says_that_a_start_was_asked_for(
    journal: StartJournal, tmp_path: Path, content: bytes
) -> None:
    journal.set(NAME, ASKED)
    (tmp_path / "starts" / NAME).write_bytes(content)
    assert journal.record_of(NAME) == StartRecord()


def test_a_disk_that_fails_does_not_keep_a_job_from_starting(tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("not a directory")
    journal = StartJournal(tmp_path / "starts")
    journal.set(NAME, ASKED)
    journal.miss(NAME, 5.0)
    assert journal.record_of(NAME) == StartRecord(), "it may have been asked for"
