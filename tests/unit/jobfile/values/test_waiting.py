"""The words for what a job waits for: dependencies as Slurm writes them, and moments."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from launcher.jobfile.values.waiting import Waits, parse_begin, parse_dependency, parse_moment
from tests.unit.jobfile.documents import read, said

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12", {"12": "afterok"}),
        ("afterok:12", {"12": "afterok"}),
        ("1[3]", {"1[3]": "afterok"}),
        ("afterok:1[3]:12,afterany:1[4]", {"1[3]": "afterok", "12": "afterok", "1[4]": "afterany"}),
        ("12:13", {"12": "afterok", "13": "afterok"}),
        ("afterany:1, afternotok:2", {"1": "afterany", "2": "afternotok"}),
    ],
)
def test_a_dependency_is_read_as_slurm_writes_it(text: str, found: dict[str, str]) -> None:
    assert parse_dependency(text) == Waits(found)


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("after:12", Waits({"12": "after"})),
        ("after:12+5:13", Waits({"12": "after+5", "13": "after"})),
        ("aftercorr:12", Waits({"12": "aftercorr"})),
        ("afterok:12_3", Waits({"12[3]": "afterok"})),
        ("service_started:12", Waits({"12": "after"})),
        ("singleton", Waits({}, singleton=True)),
        ("afterok:12,singleton", Waits({"12": "afterok"}, singleton=True)),
        ("afterok:12?afterany:13", Waits({"12": "afterok", "13": "afterany"}, depends_any=True)),
    ],
)
def test_slurm_s_other_words_are_read(text: str, waits: Waits) -> None:
    assert parse_dependency(text) == waits


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("before:12", "is not known: write .*, afterok, afternotok, afterany, after, aftercorr"),
        ("afterok", "names no job"),
        ("afterok:x", "names no job"),
        ("1[", r"'1\[' names no job: write .*afterok:12\[3\] for one element"),
        ("afterok:1[3", "names no job"),
        ("afterok:1[0-3]", "names no job"),
        ("afterok:1[]", "names no job"),
        ("afterok:١", "names no job"),
        ("", "is not known"),
        ("service_healthy:1", "is for services"),
        ("afterok:12+5", r"minutes \(\+5\) go with after:12"),
        ("after:12+x", "is not a condition"),
        ("after:12+999999", "is not a condition"),
        ("after:12+", "is not a condition"),
        ("12,afterany:12", "names 12 twice"),
        ("12,13?14", "not both"),
        ("singleton?12", "cannot be one of several"),
    ],
)
def test_what_is_no_dependency_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_dependency(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-12-01T02:00:00Z", "2026-12-01T02:00:00Z"),
        ("2026-12-01T02:00:00+01:00", "2026-12-01T01:00:00Z"),
        ("+2h", "2026-11-25T14:00:00Z"),
        ("now+90m", "2026-11-25T13:30:00Z"),
    ],
)
def test_a_moment_is_itself_or_from_now_on(text: str, found: str) -> None:
    assert parse_begin(text, NOW) == found


def test_a_moment_without_a_zone_is_local() -> None:
    local = datetime(2026, 12, 1, 2, 0).astimezone()
    assert parse_begin("2026-12-01T02:00") == f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("text", ["someday", "", "+2", "2026-13-01", "25:00", "16:60", "now-1h"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid time|no unit|not a valid duration"):
        parse_begin(text, NOW)


def test_a_file_s_job_may_wait_for_one_element_of_an_array() -> None:
    job = read('image: x\ndepends_on: ["1[3]", prep, 12]')
    assert job.depends_on == {"1[3]": "afterok", "prep": "afterok", "12": "afterok"}
    job = read('image: x\ndepends_on: {"1[3]": {condition: afterany}}')
    assert job.depends_on == {"1[3]": "afterany"}
    assert read('image: x\ndepends_on: "1[3]"').depends_on == {"1[3]": "afterok"}


@pytest.mark.parametrize("job", ["1[", "1[]", "1[0-3]", "prep[1]", "-prep", ""])
def test_a_reference_to_no_job_is_refused_where_it_stands(job: str) -> None:
    for text in (f'image: x\ndepends_on: ["{job}"]', f'image: x\ndepends_on: {{"{job}": {{}}}}'):
        assert said(text).startswith("2:14: `depends_on`: ")
        assert "write a name of this submit, an id, or 12[3] for one element" in said(text)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("16:00", "2026-11-25T15:00:00Z"), ("9:30", "2026-11-26T08:30:00Z"),
        ("13:00:01", "2026-11-25T12:00:01Z"), ("13:00", "2026-11-26T12:00:00Z"),
        ("noon", "2026-11-26T11:00:00Z"), ("midnight", "2026-11-25T23:00:00Z"),
        ("tomorrow", "2026-11-26T12:00:00Z"), ("Today", "2026-11-25T12:00:00Z"),
        ("now", "2026-11-25T12:00:00Z"), ("now+1hour", "2026-11-25T13:00:00Z"),
        ("now+2days", "2026-11-27T12:00:00Z"), ("now+90", "2026-11-25T12:01:30Z"),
        ("+3weeks", "2026-12-16T12:00:00Z"), ("now+30minutes", "2026-11-25T12:30:00Z"),
    ],
)  # fmt: skip
def test_a_moment_may_be_in_slurms_words(berlin: None, text: str, found: str) -> None:
    assert parse_begin(text, NOW) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2027-03-28T02:30", "left out of local time"), ("2026-10-25T02:30", "is there twice"),
        ("2027-03-28T02:00", "write 2027-03-28T0[01]:00:00Z or 2027-03-28T0[01]:00:00Z"),
    ],
)  # fmt: skip
def test_a_local_time_that_the_clocks_leave_out_or_repeat_is_refused(
    berlin: None, text: str, said: str
) -> None:
    for parse in (parse_begin, parse_moment):
        with pytest.raises(ValueError, match=said):
            parse(text)


@pytest.mark.parametrize("text", ["2027-03-28T01:59", "2027-03-28T03:00", "2026-10-25T03:00"])
def test_the_times_beside_a_change_of_the_clocks_are_taken(berlin: None, text: str) -> None:
    local = datetime.fromisoformat(text)
    found = datetime.fromisoformat(parse_begin(text)).astimezone().replace(tzinfo=None)
    assert found == local
