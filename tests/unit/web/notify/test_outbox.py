"""The outbox: what is in it after any end of the process."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path

import pytest

from launcher import wire
from launcher.errors import StateDirError
from launcher.web.notify import bounds, outbox
from launcher.web.notify.deliveries import Delivery
from launcher.web.notify.outbox import FILE_NAME, Outbox, OutboxChange
from tests.unit.web.notify.made import delivery

FAILURE = wire.NotifyFailure(uid=1000, job=7, target="mail to me", detail="HTTP status 404")


def changed(place: Path, *changes: OutboxChange) -> tuple[dict[str, Delivery], int | None, int]:
    """Make changes, and return what another process finds afterwards."""

    async def body() -> None:
        box = Outbox(place)
        for change in changes:
            await box.change(lambda change=change: change)  # type: ignore[misc]
        await box.close()

    asyncio.run(body())
    return found(place)


def found(place: Path) -> tuple[dict[str, Delivery], int | None, int]:
    async def body() -> tuple[dict[str, Delivery], int | None, int]:
        box = Outbox(place)
        await box.close()
        return box.waiting, box.cursor, len(box.failures)

    return asyncio.run(body())


def test_what_was_changed_is_there_after_a_restart(tmp_path: Path) -> None:
    first, second = delivery("1.0"), delivery("2.0")
    tried = dataclasses.replace(second, tries=2, due=60.0)
    result = changed(
        tmp_path / "box",
        OutboxChange(put=[first, second], cursor=2),
        OutboxChange(put=[tried]),
        OutboxChange(gone=["1.0"], failures=[FAILURE, FAILURE]),
        OutboxChange(reported=1),
    )
    assert result == ({"2.0": tried}, 2, 1)
    assert (tmp_path / "box" / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lost", [1, 5, 40])
def test_a_change_that_a_crash_cut_off_is_as_if_it_had_not_been(tmp_path: Path, lost: int) -> None:
    changed(tmp_path, OutboxChange(put=[delivery("1.0")], cursor=1))
    whole = (tmp_path / FILE_NAME).stat().st_size
    changed(tmp_path, OutboxChange(put=[delivery("2.0")], cursor=2))
    os.truncate(tmp_path / FILE_NAME, (tmp_path / FILE_NAME).stat().st_size - lost)
    waiting, cursor, _ = found(tmp_path)
    assert (list(waiting), cursor) == (["1.0"], 1)
    assert (tmp_path / FILE_NAME).stat().st_size == whole
    waiting, cursor, _ = changed(tmp_path, OutboxChange(put=[delivery("3.0")], cursor=3))
    assert (list(waiting), cursor) == (["1.0", "3.0"], 3)


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    changed(tmp_path, OutboxChange(cursor=1))
    with (tmp_path / FILE_NAME).open("ab") as stream:
        stream.write(b'\xff\n[]\n{"put": [1]}\n{"failures": [{"x": 1}]}\n')
    waiting, cursor, _ = changed(tmp_path, OutboxChange(cursor=9))
    assert (waiting, cursor) == ({}, 9)


def test_the_file_is_written_anew_before_it_grows_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "JOURNAL_SLACK", 10)
    changes = [OutboxChange(put=[delivery("1.0")], cursor=n) for n in range(1, 200)]
    waiting, cursor, _ = changed(tmp_path, *changes, OutboxChange(failures=[FAILURE]))
    assert (list(waiting), cursor) == (["1.0"], 199)
    assert (tmp_path / FILE_NAME).read_bytes().count(b"\n") < 20
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lock", FILE_NAME]


def test_failures_that_nobody_fetches_have_a_bound(tmp_path: Path) -> None:
    many = OutboxChange(failures=[FAILURE] * 300)
    assert changed(tmp_path, *[many] * 5)[2] == bounds.MOST_REPORTS


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite

    async def body() -> None:
        box = Outbox(tmp_path)
        await box.change(lambda: OutboxChange(cursor=1))
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:3], at))
        with pytest.raises(OSError, match="No space left"):
            await box.change(lambda: OutboxChange(cursor=2))
        assert box.cursor == 1
        monkeypatch.setattr(os, "pwrite", real)
        await box.change(lambda: OutboxChange(put=[delivery()]))
        await box.close()

    asyncio.run(body())
    waiting, cursor, _ = found(tmp_path)
    assert (list(waiting), cursor) == (["1.0"], 1)


def test_two_processes_cannot_use_one_directory(tmp_path: Path) -> None:
    async def body() -> None:
        box = Outbox(tmp_path)
        with pytest.raises(StateDirError, match="another `launch web`"):
            Outbox(tmp_path)
        await box.close()
        await Outbox(tmp_path).close()

    asyncio.run(body())


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDirError, match="cannot use"):
        Outbox(tmp_path / "file" / "box")
