"""Whose the logs on the disk are, and what is left of the quota for a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher.core.policy.settings import Quota, Settings
from launcher.daemon.output.log_usage import LEAST_BYTES, LogUsage
from launcher.output.log_file import Limit, path_of
from tests.support.builders import ALICE, BOB, CPU, Machine

MIB, GIB = 2**20, 2**30
MOST = 256 * MIB


class Logs:
    """A directory of logs of some users' jobs, as large as a test says; they take no disk."""

    def __init__(self, directory: Path, rules: Settings | None = None) -> None:
        self.directory = directory
        self.machine = Machine(rules=rules or Settings())
        self.use = LogUsage(directory, MOST, lambda: self.machine.world)
        self.owners = dict[int, int]()

    def write(self, job: int, attempt: int, size: int, uid: int = ALICE.uid) -> None:
        path = path_of(self.directory, job, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(size)
        self.owners[job] = uid

    async def between(self, first: int, last: int) -> Mapping[int, int]:
        return {job: uid for job, uid in self.owners.items() if first <= job <= last}

    def walk(self) -> None:
        asyncio.run(self.use.walk(self.between))

    def held(self, uid: int = ALICE.uid) -> int:
        return self.use.held({uid})


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path / "logs")


def test_what_is_on_the_disk_is_counted_by_its_jobs_owners(logs: Logs) -> None:
    logs.walk()
    assert logs.held() == 0
    for job, attempt, size, uid in ((1, 1, 5, 1000), (1, 2, 7, 1000), (2500, 1, 9, 1001)):
        logs.write(job, attempt, size, uid)
    (logs.directory / "0" / "notes.txt").write_text("of an admin's")
    logs.write(3, 1, 100)
    del logs.owners[3]  # the database does not have it any more
    logs.walk()
    assert (logs.held(), logs.held(BOB.uid)) == (12, 9)


def test_a_log_is_counted_once_while_it_is_written_and_after_its_end(logs: Logs) -> None:
    logs.use.begin(1, 1, ALICE, admin=False)
    logs.use.follow(1, 1, ALICE.uid)
    logs.write(1, 1, 10)
    assert logs.held() == 0
    logs.use.look()
    assert logs.held() == 10
    logs.walk()
    assert logs.held() == 10
    logs.write(1, 1, 30)
    logs.use.end(1, 1)
    logs.use.end(1, 1)
    assert logs.held() == 30
    logs.walk()
    assert logs.held() == 30


def test_a_log_that_ends_during_a_walk_is_counted_once(logs: Logs) -> None:
    for job in (1, 1001, 2001):
        logs.write(job, 1, 10)
        logs.use.follow(job, 1, ALICE.uid)

    async def between(first: int, last: int) -> Mapping[int, int]:
        raise AssertionError("nothing is counted that is being written")

    async def owners(first: int, last: int) -> Mapping[int, int]:
        for job in (1, 1001, 2001):
            logs.use.end(job, 1)
        return await logs.between(first, last)

    asyncio.run(logs.use.walk(between))
    logs.write(5, 1, 1)
    asyncio.run(logs.use.walk(owners))
    assert logs.held() == 31


def test_logs_that_an_admin_removed_count_no_more_after_the_next_walk(logs: Logs) -> None:
    logs.write(1, 1, 10)
    logs.walk()
    path_of(logs.directory, 1, 1).unlink()
    logs.walk()
    assert logs.held() == 0


def test_an_ordinary_users_new_logs_have_what_is_left_and_say_so(logs: Logs) -> None:
    logs.write(1, 1, 20 * GIB - 100 * MIB)
    logs.walk()
    logs.use.begin(2, 1, ALICE, admin=False)
    assert logs.use.limit(2, 1) == Limit(
        100 * MIB,
        "at its start the logs of user alice had 19.9 GiB of the quota log_bytes of 20.0 GiB, "
        "which left it 100 MiB; an admin can remove old logs or raise the quota",
    )
    assert logs.use.warning(ALICE, admin=False) == (
        "the logs of user alice have 19.9 GiB of the quota log_bytes of 20.0 GiB: new logs are cut "
        "at 100 MiB until an admin removes old logs or raises the quota"
    )
    logs.use.end(2, 1)
    assert logs.use.limit(2, 1) == Limit(MOST)


def test_the_limit_of_a_log_is_the_next_daemons_too_until_the_log_ends(logs: Logs) -> None:
    logs.write(1, 1, 20 * GIB - 100 * MIB)
    logs.walk()
    logs.use.begin(2, 1, ALICE, admin=False)
    limit = logs.use.limit(2, 1)
    path_of(logs.directory, 1, 1).unlink()
    later = Logs(logs.directory)
    later.walk()
    assert later.use.limit(2, 1) == limit
    later.use.begin(2, 1, ALICE, admin=False)  # its start goes on
    assert later.use.limit(2, 1) == limit
    later.use.end(2, 1)
    assert later.use.limit(2, 1) == Limit(MOST)
    assert Logs(logs.directory).use.limit(2, 1) == Limit(MOST)


def test_a_limit_that_cannot_be_read_is_that_of_every_log(logs: Logs) -> None:
    logs.write(2, 1, 1)
    for text in ("", "[]", '{"bytes": 1}', "\0"):
        path_of(logs.directory, 2, 1).with_suffix(".limit").write_text(text)
        assert logs.use.limit(2, 1) == Limit(MOST)


def test_the_log_of_a_job_that_is_taken_up_is_counted(logs: Logs) -> None:
    (job,) = logs.machine.submit(CPU)
    logs.use.resume(job.id, 1)
    logs.use.resume(99, 1)  # it is over
    logs.write(job.id, 1, 10)
    logs.use.look()
    assert logs.held(job.owner.uid) == 10


def test_above_the_quota_a_log_still_has_room_for_last_words(logs: Logs) -> None:
    logs.write(1, 1, 30 * GIB)
    logs.walk()
    logs.use.begin(2, 1, ALICE, admin=False)
    logs.use.begin(2, 1, ALICE, admin=False)
    assert logs.use.limit(2, 1).bytes == LEAST_BYTES


def test_neither_others_nor_admins_nor_raised_quotas_are_touched(tmp_path: Path) -> None:
    more = Logs(tmp_path / "logs", Settings(user_quotas={"alice": Quota(log_bytes=40 * GIB)}))
    plain = Logs(tmp_path / "logs")
    for logs, owner, admin in ((plain, BOB, False), (plain, ALICE, True), (more, ALICE, False)):
        logs.write(1, 1, 30 * GIB)
        logs.walk()
        logs.use.begin(2, 1, owner, admin=admin)
        assert logs.use.limit(2, 1) == Limit(MOST)
        assert logs.use.warning(owner, admin=admin) is None


def test_a_groups_quota_counts_the_logs_of_all_its_members(tmp_path: Path) -> None:
    rules = Settings(group_quotas={"students": Quota(log_bytes=GIB)})
    logs = Logs(tmp_path / "logs", rules)
    logs.machine.world.groups = {uid: frozenset({"students"}) for uid in (ALICE.uid, BOB.uid)}
    logs.write(1, 1, GIB // 2)
    logs.write(2, 1, GIB // 4 + GIB // 8, BOB.uid)
    logs.walk()
    told = logs.use.warning(BOB, admin=False)
    assert told is not None
    assert told.startswith("the logs of group students have 896 MiB of the quota log_bytes of 1.0 ")
