"""Versions are compared as their makers mean them, and the tables say what they should."""

from __future__ import annotations

import pytest

from launcher.daemon.doctor.versions import BOARDS, RUNC, TOOLKIT, board_of, escapes_of, key, older
from launcher.fakegpu.boards import boards
from tests.unit.daemon.doctor.machine import a_gpu

UNKNOWN_BOARDS = {"T4"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("450.80.02", "460"),
        ("460.73.00", "460.73.01"),
        ("525.85", "525.85.12"),
        ("9.1", "10"),
        ("1.1.5+ds1", "1.1.12"),
        ("1.4.0-rc.2", "1.4.0-rc.3"),
        ("1.4.0-rc.3", "1.4.0"),
        ("1.18.0~rc.1", "1.18.0"),
        ("v1.17.7", "1.17.8"),
        ("1.17.7-1", "1.17.8-1"),
    ],
)
def test_the_older_version_is_older_and_the_newer_is_not(one: str, other: str) -> None:
    assert older(one, other)
    assert not older(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("460", "460.0.0"), ("1.2.8", "1.2.8+ds-1"), ("1.50", "1.50")]
)
def test_the_same_version_in_other_words_is_not_older(one: str, other: str) -> None:
    assert not older(one, other)
    assert not older(other, one)


def test_what_is_no_version_is_not_compared() -> None:
    assert key("unknown") is None
    assert not older("unknown", "1.0")
    assert not older("1.0", "")


@pytest.mark.parametrize("name", [key for key in boards() if key not in UNKNOWN_BOARDS])
def test_every_board_with_mig_is_known_by_its_number_and_by_its_name(name: str) -> None:
    board = boards()[name]
    by_number = board_of(a_gpu(name="no such name", pci_device_id=board.pci_device_id))
    by_name = board_of(a_gpu(name=board.name, pci_device_id=None))
    assert by_number is not None
    assert by_number == by_name


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("NVIDIA A30", "460.73.01"),
        ("NVIDIA B200", "570.133.20"),
        ("NVIDIA GB200", "570.133.20"),
        ("NVIDIA RTX PRO 5000 Blackwell", "575.57.08"),
        ("NVIDIA RTX PRO 4500 Blackwell", "575.64"),
        ("NVIDIA RTX A3000", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_a_board_without_a_known_number_goes_by_the_words_of_its_name(
    name: str, driver: str | None
) -> None:
    found = board_of(a_gpu(name=name, pci_device_id=0x123410DE))
    assert (found.driver if found else None) == driver


def test_no_two_boards_have_a_number_in_common() -> None:
    numbers = [number for board in BOARDS for number in board.devices]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("version", "left"),
    [
        ("1.16.1", ["CVE-2024-0132", "CVE-2025-23359", "CVE-2025-23266", "CVE-2026-24260"]),
        ("1.17.7", ["CVE-2025-23266", "CVE-2026-24260"]),
        ("1.17.8", ["CVE-2026-24260"]),
        ("1.20.1", []),
    ],
)
def test_a_toolkit_has_the_escapes_that_came_to_be_fixed_later(
    version: str, left: list[str]
) -> None:
    assert [escape.name for escape in escapes_of(version, TOOLKIT)] == left


@pytest.mark.parametrize(
    ("version", "count"),
    [
        *(("1.0.0", 4), ("1.1.5+ds1", 4), ("1.1.15", 3), ("1.2.7", 3), ("1.2.8", 0)),
        *(("1.3.2", 3), ("1.3.3", 0), ("1.4.0-rc.2", 3), ("1.4.0-rc.3", 0), ("1.5.1", 0)),
    ],
)
def test_every_line_of_runc_has_its_own_fix(version: str, count: int) -> None:
    assert len(escapes_of(version, RUNC)) == count
