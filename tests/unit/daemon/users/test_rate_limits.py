"""What one user may ask of the daemon: how it is counted, and what is said above it."""

from __future__ import annotations

import dataclasses
import re
import resource
import tomllib

import pytest

from launcher.config.limits import Limits
from launcher.core.model.job import Owner
from launcher.daemon.api.http import connections
from launcher.daemon.api.http.connections import ConnectionManager
from launcher.daemon.users.identity import Caller
from launcher.daemon.users.rate_limits import Bucket, Limiter
from launcher.errors import ConfigError, TooMany
from tests.support.project import PROJECT
from tests.support.toml import toml

ALICE = Caller(Owner(1001, 1001, "alice"), admin=False)
BOB = Caller(Owner(1002, 1002, "bob"), admin=False)
ROOT = Caller(Owner(0, 0, "root"), admin=True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def limiter(**limits: float) -> tuple[Limiter, Clock]:
    clock = Clock()
    return Limiter(Limits(**limits), clock), clock  # type: ignore[arg-type]


def test_a_bucket_gives_what_was_saved_up_then_its_rate() -> None:
    bucket = Bucket(2.0, 4.0, 0.0)
    assert [bucket.take(1.0, 0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.5]
    assert bucket.take(1.0, 0.5) == 0.0
    assert bucket.take(1.0, 0.5) == 0.5


def test_what_is_refused_costs_nothing() -> None:
    bucket = Bucket(1.0, 1.0, 0.0)
    assert bucket.take(1.0, 0.0) == 0.0
    for _ in range(100):
        assert bucket.take(1.0, 0.5) == 0.5
    assert bucket.take(1.0, 1.0) == 0.0


def test_more_than_can_be_saved_up_passes_a_full_bucket_and_leaves_a_debt() -> None:
    bucket = Bucket(1.0, 10.0, 0.0)
    assert bucket.take(30.0, 0.0) == 0.0
    assert bucket.take(1.0, 0.0) == 21.0
    assert bucket.take(1.0, 21.0) == 0.0


def test_requests_of_one_user_are_refused_and_those_of_another_are_not() -> None:
    found, _ = limiter(requests_per_second=2)
    for _ in range(20):
        found.request(ALICE)
    with pytest.raises(TooMany) as caught:
        found.request(ALICE)
    assert caught.value.message == (
        "alice exceeds a limit: 2 requests a second ([limits] requests_per_second)"
    )
    assert (caught.value.fix, caught.value.retry_after) == ("Send requests less often.", 0.5)
    found.request(BOB)


def test_admins_are_not_slowed_but_have_no_more_connections() -> None:
    found, _ = limiter(requests_per_second=1, streams=1, jobs_per_minute=1, connections=2)
    for _ in range(100):
        found.request(ROOT)
        found.submit(ROOT, 1 << 20)
        found.jobs(ROOT, 1000)
    with found.stream(ROOT), found.stream(ROOT):
        pass
    assert [found.connected(0) for _ in range(3)] == [True, True, False]


def test_a_submit_counts_by_its_jobs_and_by_its_bytes() -> None:
    found, clock = limiter(jobs_per_minute=60, submits_per_minute=60)
    found.jobs(ALICE, 60)
    with pytest.raises(TooMany, match="60 new jobs a minute, and") as caught:
        found.jobs(ALICE, 5)
    assert caught.value.retry_after == 5.0
    clock.now = 1000.0
    found.submit(ALICE, 59 * 64 * 1024)
    with pytest.raises(TooMany, match="60 submits a minute"):
        found.submit(ALICE, 1)


def test_more_jobs_than_a_minute_may_have_are_refused_also_where_they_are_only_checked() -> None:
    found, _ = limiter(jobs_per_minute=10)
    for dry_run in (True, False):
        with pytest.raises(TooMany) as caught:
            found.jobs(ALICE, 11, dry_run=dry_run)
        assert caught.value.retry_after == 60.0
    for _ in range(5):
        found.jobs(ALICE, 10, dry_run=True)
    found.jobs(ALICE, 10)
    found.jobs(ROOT, 11)


def test_jobs_may_be_changed_more_often_than_made() -> None:
    found, _ = limiter(jobs_per_minute=10)
    found.changes(ALICE, 50)
    with pytest.raises(TooMany, match=r"\[limits\] jobs_per_minute"):
        found.changes(ALICE, 1)
    found.jobs(ALICE, 10)


def test_costly_requests_of_one_user_and_kind_come_one_after_the_other() -> None:
    found, _ = limiter()
    lock = found.alone(7, "/v1/jobs")
    assert found.alone(7, "/v1/jobs") is lock
    assert found.alone(7, "/v1/whatif") is not lock
    assert found.alone(8, "/v1/jobs") is not lock


def test_connections_are_counted_until_they_are_gone() -> None:
    found, _ = limiter(connections=2)
    assert [found.connected(7), found.connected(7), found.connected(7)] == [True, True, False]
    assert found.connected(8)
    found.disconnected(7)
    assert found.connected(7)


def test_who_connects_over_and_over_is_let_in_at_twice_the_rate_of_requests() -> None:
    found, clock = limiter(requests_per_second=1)

    def come_and_go() -> bool:
        let_in = found.connected(7)
        if let_in:
            found.disconnected(7)
        return let_in

    assert [come_and_go() for _ in range(21)] == [True] * 20 + [False]
    clock.now = 0.5
    assert [come_and_go(), come_and_go()] == [True, False]


def test_streams_are_counted_while_they_last() -> None:
    found, _ = limiter(streams=1)
    with found.stream(ALICE):
        with pytest.raises(TooMany, match="1 requests that follow or wait"):
            found.stream(ALICE).__enter__()
        with found.stream(BOB):
            pass
    with found.stream(ALICE):
        pass


def test_of_all_users_together_so_many_are_let_in_and_root_a_few_more() -> None:
    found, _ = limiter()
    connections = ConnectionManager(found, most=0)
    assert not connections.admits(7)
    assert connections.admits(0)


def test_the_daemon_may_have_as_many_files_as_the_system_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(600, hard), hard))
        most = connections.most_connections()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert raised == min(hard, connections.FILES)
        assert most == max(raised - connections.RESERVED_FILES, connections.RESERVED_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_said_is_the_defaults() -> None:
    assert toml("").limits == Limits()


def test_the_readme_shows_the_defaults() -> None:
    readme = (PROJECT / "launcher" / "manual" / "operating.md").read_text()
    example = re.search(r"```toml\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    assert toml(example[1]).limits == Limits()
    assert tomllib.loads(example[1])["limits"].keys() == {
        each.name for each in dataclasses.fields(Limits)
    }


def test_every_limit_can_be_set() -> None:
    names = [each.name for each in dataclasses.fields(Limits)]
    table = {name: "2m" if name.endswith("_time") else 7 for name in names} | {"loop_share": 0.5}
    lines = (f"{name} = {value!r}" for name, value in table.items())
    found = toml("\n".join(["[limits]", *lines])).limits
    wanted = {name: 120.0 if name.endswith("_time") else 7 for name in names} | {"loop_share": 0.5}
    assert dataclasses.asdict(found) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limits = 3", "limits is 3: it must be a table"),
        ("[limits]\nconnection = 3", "unknown key 'connection' in [limits]"),
        ("[limits]\nconnections = 0", "limits.connections is 0: it must be more than 0"),
        ("[limits]\nconnections = 1.5", "limits.connections is 1.5: it must be a whole number"),
        ("[limits]\nstreams = true", "limits.streams is True"),
        (
            "[limits]\nrequests_per_second = 0",
            "limits.requests_per_second is 0: it must be more than",
        ),
        ("[limits]\nrequests_per_second = nan", "limits.requests_per_second is nan"),
        ("[limits]\njobs_per_minute = '5'", "limits.jobs_per_minute is '5'"),
        ("[limits]\nloop_share = 1.1", "limits.loop_share is 1.1: it must be 1 or less"),
        ("[limits]\nloop_share = 0", "limits.loop_share is 0: it must be more than 0"),
        ("[limits]\nbody_time = 30", "limits.body_time is 30"),
        ("[limits]\nhead_time = '0s'", "limits.head_time is '0s': it must be more than 0"),
    ],
)
def test_a_wrong_table_is_told_by_key_and_value(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        toml(text)
    assert words in caught.value.message
