"""What the audit has of a request, and how refusals are gathered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from launcher.core.messages.changes import AuditLine, Changes
from launcher.core.model.job import Element, Job, Owner
from launcher.core.policy.policy import VERSION
from launcher.daemon.loop import audit_log
from launcher.daemon.loop.audit_log import (
    FOLD_SECONDS,
    MOST_LETTERS,
    MOST_WAITING,
    Audit,
    AuditEntry,
)
from launcher.daemon.users.usernames import account_of
from launcher.errors import InternalError, LauncherError, NotAllowed, StateDirError, UserError
from tests.support.builders import CPU, IMAGE

ALICE = Owner(1001, 1001, "alice")


class Store:
    """In the committer's place: keeps the lines, or fails as it is told to."""

    def __init__(self) -> None:
        self.lines: list[AuditLine] = []
        self.fails: LauncherError | None = None

    async def commit(self, changes: Changes) -> None:
        if self.fails:
            raise self.fails
        self.lines += changes.audit


class Machine:
    def __init__(self) -> None:
        self.store, self.now = Store(), 1000.0
        self.audit = Audit(self.store, lambda: self.now)  # type: ignore[arg-type]

    def serve(
        self, route: str, does: Callable[[], Any] = lambda: None, **fields: Any
    ) -> AuditEntry:
        entry = AuditEntry(ALICE, "user", route, fields.pop("changing", True), **fields)
        try:
            with self.audit.serving(entry):
                does()
        except LauncherError:
            pass
        return entry

    def written(self) -> list[AuditLine]:
        """Return the lines once everything is written, as at a daemon's end."""
        asyncio.run(self.audit.close())
        return self.store.lines


def named(number: int, element: Element | None = None) -> Job:
    return Job(number, ALICE, "a", CPU, IMAGE, 50, 0.0, element=element)


def refuse(error: LauncherError) -> Callable[[], None]:
    def does() -> None:
        raise error

    return does


def test_a_change_without_a_decision_is_recorded_with_what_it_was_about() -> None:
    machine = Machine()
    singles = [named(number) for number in (5, 3, 4, 9, 3)]
    elements = [named(7, Element(6, 0)), named(8, Element(6, 1))]
    machine.serve("POST /x", lambda: audit_log.about([*singles, *elements], "SIGUSR1"))
    (line,) = machine.written()
    about = "3-5,6[0-1],9"
    assert line == AuditLine(
        1001, 1000.0, 1000.0, "alice", "user", "POST /x", about, "ok", "SIGUSR1", 1, VERSION
    )


def test_what_is_on_record_with_its_decision_is_not_recorded_again() -> None:
    machine = Machine()
    entry = AuditEntry(ALICE, "admin", "POST /x", True, written=True)
    with machine.audit.serving(entry):
        assert audit_log.present() is entry
    assert audit_log.present() is None
    assert machine.written() == []


def test_a_question_is_recorded_only_where_it_was_not_allowed() -> None:
    machine = Machine()
    machine.serve("GET /x", changing=False)
    machine.serve("GET /x", refuse(UserError("no")), changing=False)
    machine.serve("GET /x", refuse(NotAllowed("only an admin")), changing=False)
    (line,) = machine.written()
    assert (line.outcome, line.detail) == ("not-allowed", "only an admin")


def test_what_a_mistake_quotes_is_not_recorded() -> None:
    machine = Machine()
    machine.serve("POST /x", refuse(UserError("the password 'hunter2' is not a number")))
    (line,) = machine.written()
    assert (line.outcome, line.detail) == ("bad-request", "")


def test_refusals_alike_within_a_minute_are_two_lines() -> None:
    machine = Machine()
    for _ in range(1000):
        machine.now += 0.01
        machine.serve("POST /x", refuse(NotAllowed("no")))
    machine.serve("POST /y", refuse(NotAllowed("no")))
    first, other, rest = machine.written()
    assert (first.route, first.count, other.route, other.count) == ("POST /x", 1, "POST /y", 1)
    assert (rest.route, rest.count, round(rest.at, 2), round(rest.until, 2)) == (
        "POST /x", 999, 1000.02, 1010.0,
    )  # fmt: skip


def test_the_next_minute_begins_anew() -> None:
    machine = Machine()
    machine.serve("POST /x", refuse(NotAllowed("no")))
    machine.now += FOLD_SECONDS
    machine.audit._end_folds(machine.now - FOLD_SECONDS)
    machine.serve("POST /x", refuse(NotAllowed("no")))
    assert [line.count for line in machine.written()] == [1, 1]


def test_a_full_disk_keeps_the_lines_and_a_line_that_cannot_be_written_is_dropped() -> None:
    machine = Machine()
    machine.store.fails = StateDirError("the disk is full")
    machine.serve("POST /x")
    assert machine.written() == []
    machine.store.fails = None
    assert len(machine.written()) == 1
    machine.store.fails = InternalError("no such column")
    machine.serve("POST /x")
    machine.written()
    machine.store.fails = None
    assert len(machine.written()) == 1


def test_who_is_not_let_in_is_on_record_by_name() -> None:
    machine = Machine()
    account_of(0)  # as for an earlier request: of who is refused nothing is looked up
    for uid in (0, 0, 0, 54321):
        machine.audit.refuse_connection(uid)
    found = [(line.user, line.role, line.route, line.count) for line in machine.written()]
    assert sorted(found) == [
        ("54321", "user", "connect", 1), ("root", "admin", "connect", 1),
        ("root", "admin", "connect", 2),
    ]  # fmt: skip


def test_what_waits_to_be_written_is_bounded() -> None:
    machine = Machine()
    for _ in range(MOST_WAITING + 5):
        machine.audit._put(AuditEntry(ALICE, "user", "x", True).line(1.0))
    assert len(machine.written()) == MOST_WAITING


@pytest.mark.parametrize("text", ["x" * 1000, "a\nb\x00c", "\ud800"])
def test_a_text_is_short_and_can_be_stored(text: str) -> None:
    line = AuditEntry(ALICE, "user", "x", True, detail=text).line(1.0)
    assert len(line.detail) <= MOST_LETTERS
    assert "\n" not in line.detail
    line.detail.encode()
