from __future__ import annotations

import re

import pytest

from launcher.jobfile.values import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 14400), ("90m", 5400), ("30s", 30), ("1h30m", 5400), ("2d", 172800), ("0s", 0),
        ("1.5s", 1.5), ("04:00:00", 14400), ("0:00:01", 1), ("100:00:00", 360000),
        ("1-00:00:00", 86400), ("2-03:04:05", 183845), ("1-0", 86400), ("1-12", 129600),
        ("1-00:30", 88200), (" 4H ", 14400),
    ],
)  # fmt: skip
def test_a_duration_has_a_unit_or_is_a_clock_with_seconds(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("30", "write 30s, 30m or 30h"),
        ("4:00", "write 4h, 4m or HH:MM:SS"),
        ("4:0:0", "not a valid duration"),
        ("00:99:00", "go up to 59"),
        ("1-24:00:00", "hours to 23"),
        ("1-24", "hours to 23"),
        ("1-1:0", "not a valid duration"),
        ("", "not a valid duration"),
        ("soon", "not a valid duration"),
        ("-5m", "not a valid duration"),
        ("5m3h", "not a valid duration"),
        ("٣s", "not a valid duration"),
        ("400d", "more than a year"),
        ("9" * 400 + "s", "not a valid duration"),
    ],
)
def test_an_ambiguous_or_wrong_duration_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8g", 8 << 30), ("64m", 64 << 20), ("1024k", 1 << 20), ("512b", 512), ("8gb", 8 << 30),
        ("8GiB", 8 << 30), ("1234", 1234), ("1.5g", 3 << 29), ("2t", 2 << 40), ("0", 0),
    ],
)  # fmt: skip
def test_a_size_is_in_powers_of_1024_as_in_docker(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "g", "8x", "8gg", "-1", "8 g b", "bb", "1e3", "9" * 40, "2000t"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid size|more than a pebibyte"):
        units.parse_size(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "129", "1.5", "00001", "٣"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid count"):
        units.parse_count(text)


def test_cores_may_be_fractions() -> None:
    assert units.parse_cpus("0.5") == 0.5
    for text in ("0", "-1", "nan", "inf", "1e3", "many", ""):
        with pytest.raises(ValueError, match="number of cores"):
            units.parse_cpus(text)


def test_a_priority_is_a_whole_number_up_to_1000() -> None:
    assert [units.parse_priority(text) for text in ("0", "50", "1000")] == [0, 50, 1000]
    for text in ("1001", "-1", "high", "1.0", ""):
        with pytest.raises(ValueError, match="is not a valid priority"):
            units.parse_priority(text)
