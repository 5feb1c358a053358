"""What is in jobs' secrets: kept until nobody needs it, told nobody else."""

from __future__ import annotations

import base64
import logging
import os
import stat
from pathlib import Path

import pytest

from launcher import wire
from launcher.core.messages.changes import Changes
from launcher.core.model.job import ImageKey, Job, Owner, State
from launcher.daemon.mounts import secret_store
from launcher.daemon.mounts.secret_store import Bundle, Key, SecretStore, parted
from launcher.daemon.requests.convert import document
from launcher.errors import InternalError, ReadOnlyState, StaleRequest, UserError
from launcher.spec.gpus import GpuRequest

HIDDEN = b"hid\0den"
KEY: Key = (1000, "0123456789abcdef" * 2)


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "secrets")


def request(**secrets: bytes | None) -> wire.JobSpec:
    told = {n: None if c is None else base64.b64encode(c).decode() for n, c in secrets.items()}
    return wire.JobSpec(name="train", image="app", secrets=told)


def bundle(key: Key = KEY, content: bytes = HIDDEN) -> Bundle:
    return Bundle(key, {"token": content})


def over(*ids: int, state: State = State.DONE) -> Changes:
    owner, key = Owner(1000, 1000, "alice"), ImageKey("app", "missing")
    jobs = {i: Job(i, owner, "train", GpuRequest("none"), key, 50, 0.0, state=state) for i in ids}
    return Changes(jobs=jobs)


def files(store: SecretStore) -> list[Path]:
    return sorted(store._directory.glob("*/*"))


def test_a_request_is_told_where_its_secrets_will_be_and_no_more() -> None:
    asked = [request(token=HIDDEN, other=b""), request()]
    told, (kept,) = parted(asked, 1000)
    assert (kept.key[0], dict(kept.contents)) == (1000, {"token": HIDDEN, "other": b""})
    assert tuple(told[0].secrets) == ("token", "other")
    assert told[0].secrets_key == kept.key[1]
    assert told[1] is asked[1]
    text = document(told[0]) + repr(told) + repr(kept)
    assert base64.b64encode(HIDDEN).decode() not in text
    assert "hid" not in text


def test_what_is_only_tried_keeps_nothing_whatever_was_sent() -> None:
    for asked in (request(token=HIDDEN), request(token=None)):
        told, bundles = parted([asked], None)
        assert (told[0].secrets, bundles) == ({"token": None}, [])
        assert told[0].secrets_key is None


def test_nobody_can_name_the_secrets_of_an_earlier_job() -> None:
    asked = wire.JobSpec(name="a", image="b", secrets={"token": f"kept:{KEY[1]}"})
    with pytest.raises(UserError, match="is not in base64"):
        parted([asked], 1000)
    assert parted([asked], None)[0][0].secrets == {"token": None}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request(token=None), "'token' has no content"),
        (request(token=bytes(64 * 1024 + 1)), "'token' is larger than 64 KiB"),
        (wire.JobSpec(name="a", image="b", secrets={"t": "hidden!"}), "'t' is not in base64"),
        (request(**{f"s{n}": b"" for n in range(17)}), "17 are more than 16"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_quoted(asked: wire.JobSpec, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        parted([asked], 1000)
    assert "hidden" not in str(caught.value)


def test_what_is_kept_is_closed_to_others_and_read_again(store: SecretStore) -> None:
    before = os.umask(0)
    try:
        store.store([bundle()])
    finally:
        os.umask(before)
    (path,) = files(store)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]
    assert store.read(KEY) == {"token": HIDDEN}
    assert SecretStore(store._directory).read(KEY) == {"token": HIDDEN}


@pytest.mark.parametrize("name", ["", "..", "../1000/x", "a" * 31, "A" * 32, "0" * 33])
def test_only_what_is_a_name_of_ours_is_read(store: SecretStore, name: str) -> None:
    assert store.read((1000, name)) is None


def test_what_is_damaged_or_a_link_is_not_read(
    store: SecretStore, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    store.store([bundle()])
    (path,) = files(store)
    for damaged in (b'{"token": "aGlkZGVu', b"[]", b'{"token": 1}', b"\xff"):
        path.write_bytes(damaged)
        assert store.read(KEY) is None
    assert "damaged" in caplog.text
    assert "aGlkZGVu" not in caplog.text
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("{}")
    with pytest.raises(OSError, match="symbolic"):
        store.read(KEY)


def test_all_of_a_submit_are_kept_or_none(store: SecretStore) -> None:
    taken = (1000, "f" * 32)
    store.store([bundle(taken)])
    with pytest.raises(ReadOnlyState, match="File exists"):
        store.store([bundle(), bundle(taken)])
    assert store.read(KEY) is None


def test_jobs_of_one_submit_with_the_same_secrets_share_them() -> None:
    same, other = request(token=HIDDEN), request(token=b"another")
    told, bundles = parted([same, other, same, request(), other], 1000)
    names = [job.secrets_key for job in told]
    assert names[0] == names[2] != names[1] == names[4]
    assert [dict(one.contents) for one in bundles] == [{"token": HIDDEN}, {"token": b"another"}]


def test_no_submit_keeps_the_disk_busy_with_secrets() -> None:
    parted([request(token=b"same") for _ in range(1000)], 1000)
    with pytest.raises(UserError, match="more than 256 jobs"):
        parted([request(token=b"%d" % number) for number in range(257)], 1000)


def test_a_disk_that_takes_nothing_is_told_without_the_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("no directory")
    with pytest.raises(ReadOnlyState, match="cannot store the jobs' secrets") as caught:
        SecretStore(tmp_path / "secrets").store([bundle()])
    assert "hid" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_of_one_user_so_much_is_kept_and_no_more(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_store, "MOST_OF_A_USER", 1000)
    store.store([bundle((1000, "a" * 32), bytes(300))])
    store.store([bundle((1001, "a" * 32), bytes(300))])
    with pytest.raises(UserError, match="those of your waiting and running jobs"):
        store.store([bundle((1000, "b" * 32), bytes(500))])
    assert len(files(store)) == 2


def test_they_go_with_the_last_job_that_needs_them(store: SecretStore) -> None:
    store.store([bundle()])
    for job in (1, 2):
        store.use(job, KEY)
    store.changed(over(1, 2, state=State.RUNNING))
    store.changed(over(1))
    store.changed(over(1, 7))
    assert (store.has(KEY), len(files(store))) == (True, 1)
    store.changed(over(2))
    assert (store.has(KEY), files(store)) == (False, [])


def test_a_refused_submit_leaves_nothing(store: SecretStore) -> None:
    store.store([bundle()])
    with pytest.raises(StaleRequest), store.held([KEY]):
        raise StaleRequest("no")
    assert files(store) == []


@pytest.mark.parametrize("unknown", [ReadOnlyState, InternalError, KeyboardInterrupt])
def test_where_the_decision_is_not_known_they_stay(
    store: SecretStore, unknown: type[BaseException]
) -> None:
    store.store([bundle()])
    with pytest.raises(unknown), store.held([KEY]):
        raise unknown("commit failed")
    assert len(files(store)) == 1


def test_a_retry_keeps_what_an_array_still_has(store: SecretStore) -> None:
    store.store([bundle()])
    store.use(1, KEY)
    with store.held([KEY]):
        store.changed(over(1))
        assert store.has(KEY), "it is held meanwhile"
        store.use(2, KEY)
    assert store.has(KEY)
    store.changed(over(2))
    assert files(store) == []


def test_a_start_removes_what_no_live_job_needs(
    store: SecretStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert store.is_empty()
    others = [(1000, "a" * 32), (1001, KEY[1])]
    for key in (KEY, *others):
        store.store([bundle(key)])
    (store._directory / "junk").mkdir()
    (store._directory / "junk" / "file").write_text("x")
    anew = SecretStore(store._directory)
    assert not anew.is_empty()
    anew.take_over([(5, KEY), (6, KEY), (7, (1002, "c" * 32))])
    assert [path.parent.name + path.name for path in files(store)] == ["1000" + KEY[1]]
    assert "removed secrets that no job needs: 3" in caplog.text
    anew.changed(over(5, 6))
    assert files(store) == []
