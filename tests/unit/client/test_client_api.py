"""The client's methods, against a stub daemon on a real unix socket."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import pytest

import launcher
from launcher import Client, errors
from launcher.client import socket_candidates, sockets
from launcher.wire import JobDetail, JobSpec, JobView, RegistryAuth
from tests.unit.client.stub_daemon import (
    Json,
    Raw,
    Stream,
    StubDaemon,
    end,
    ended,
    err,
    event,
    job_view,
    out,
    position,
    slice_view,
    status_view,
)


def test_the_python_api_is_one_import(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/status", Json(status_view()))
    client = launcher.Client(stub.path)
    assert client.status() == status_view()
    assert client.daemon_version == launcher.__version__
    assert client.socket == stub.path


def test_a_submit_sends_the_jobs_and_the_credentials(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    jobs = Client(stub.path).submit(
        [JobSpec(name="a", image="x")], {"docker.io": RegistryAuth(username="u", password="p")}
    )
    assert jobs == [job_view()]
    body = stub.asked[0].body
    assert body["jobs"] == json.loads(
        json.dumps([dataclasses.asdict(JobSpec(name="a", image="x"))])
    )
    assert body["credentials"] == {
        "docker.io": {"username": "u", "password": "p", "identitytoken": ""}
    }
    assert body["dry_run"] is False


def test_a_dry_run_says_so(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view(id=0)]))
    assert Client(stub.path).submit([JobSpec(name="a", image="x")], dry_run=True)[0].id == 0
    assert stub.asked[0].body["dry_run"] is True


def test_references_are_escaped(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/jobs", Json([]))
    stub.on("POST", "/v1/jobs/a%2Fb%3F/cancel", Json([]))
    client = Client(stub.path)
    client.jobs(["10-20", "last", 3], all=True)
    client.cancel("a/b?")
    assert stub.asked[0].query == "all=1&ref=10-20&ref=last&ref=3"
    assert stub.did()[1] == "POST /v1/jobs/a%2Fb%3F/cancel"


def test_an_empty_reference_is_named(stub: StubDaemon) -> None:
    client = Client(stub.path)
    for request in (client.hold, client.terminal.attach, client.queue.why):
        with pytest.raises(errors.UserError, match="reference to a job is empty"):
            request("")


def test_the_other_methods_ask_what_they_should(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/jobs/3/signal", Json(job_view()))
    stub.on("GET", "/v1/slices", Json([slice_view()]))
    stub.on("GET", "/v1/doctor", Json([{"check": "nvml", "state": "ok", "message": "fine"}]))
    stub.on("POST", "/v1/doctor/fix", Json([{"check": "fix", "state": "ok", "message": "ran"}]))
    stub.on("POST", "/v1/stop", Json(status_view()))
    client = Client(stub.path)
    assert client.signal(3, "SIGINT") == job_view()
    assert client.slices() == [slice_view()]
    assert client.doctor()[0].fix is None
    assert client.doctor_fix()[0].message == "ran"
    assert client.stop() == status_view()
    assert stub.asked[0].body == {"signal": "SIGINT"}


def test_a_detail_is_rebuilt_whole_and_what_is_new_in_it_is_ignored(stub: StubDaemon) -> None:
    spec = {**dataclasses.asdict(JobSpec(name="a", image="x")), "of_tomorrow": 1}
    attempt = {
        "attempt": 1, "slices": [], "container_id": None, "container_name": "c", "image_id": None,
        "started_at": None, "ended_at": None, "exit_code": None, "oom": False, "cause": None,
    }  # fmt: skip
    detail = {
        "job": {**dataclasses.asdict(job_view()), "of_tomorrow": {}}, "spec": spec,
        "image_id": None, "blockers": [{"kind": "Resources", "need": "1", "have": "0"}],
        "position": 3, "attempts": [attempt], "events": [], "of_tomorrow": None,
    }  # fmt: skip
    stub.on("GET", "/v1/jobs/12", Json(detail))
    found = Client(stub.path).show(12)
    assert isinstance(found, JobDetail)
    assert found.spec == JobSpec(name="a", image="x")
    assert found.blockers[0].have == "0"
    assert found.attempts[0].container_name == "c"


@pytest.mark.parametrize("value", [[], "x", None, {"state": "healthy"}, {"state": 3}])
def test_an_answer_that_does_not_fit_is_an_error_of_ours(stub: StubDaemon, value: object) -> None:
    stub.on("GET", "/v1/status", Json(value))
    with pytest.raises(errors.LauncherError, match="the daemon's reply"):
        Client(stub.path).status()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Json({"kind": "no-such-job", "message": "no job 7", "fix": "Look."}, 404),
         errors.NoSuchJob, "no job 7"),
        (Json({"kind": "of-tomorrow", "message": "who knows"}, 418), errors.LauncherError, "who"),
        (Json({"kind": "unavailable", "message": "later"}, 503), errors.Unavailable, "later"),
        (Json("what?", 500), errors.LauncherError, "HTTP status 500"),
        (Raw(b"SSH-2.0-OpenSSH\r\n"), errors.DaemonUnreachable, "went away before it replied"),
        (Raw(b""), errors.DaemonUnreachable, "went away before it replied"),
        (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), errors.DaemonUnreachable,
         "in the middle of its reply"),
        (Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
         errors.DaemonUnreachable, "in the middle of its reply"),
        (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{x"), errors.LauncherError, "not valid"),
        (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), errors.LauncherError, "not valid"),
    ],
)  # fmt: skip
def test_whatever_comes_back_is_an_error_of_ours(
    stub: StubDaemon, answer: Json | Raw, kind: type[errors.LauncherError], message: str
) -> None:
    stub.on("GET", "/v1/jobs/7", answer)
    with pytest.raises(kind, match=message):
        Client(stub.path).show(7)


def test_an_answer_without_a_length_ends_with_the_connection(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/slices", Raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n[]"))
    assert Client(stub.path).slices() == []


def test_a_daemon_that_does_not_answer_in_time_is_said_to(stub: StubDaemon) -> None:
    hold = threading.Event()
    stub.on("GET", "/v1/slices", Stream([hold.wait]))
    with pytest.raises(errors.DaemonUnreachable, match="in time"):
        Client(stub.path, timeout=0.05).slices()
    hold.set()


def test_another_version_is_noticed_once(stub: StubDaemon) -> None:
    stub.version = "9.9.9"
    stub.on("GET", "/v1/slices", Json([]))
    said: list[str] = []
    client = Client(stub.path, notice=said.append)
    client.slices()
    client.slices()
    assert said == [f"this is version {launcher.__version__}, the daemon is version 9.9.9"]


def test_the_first_socket_that_answers_is_used(
    stub: StubDaemon, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAUNCHER_SOCKET", raising=False)
    monkeypatch.setattr(sockets, "SYSTEM_SOCKET", str(short_dir / "none.sock"))
    (short_dir / "launcher").mkdir()
    (short_dir / "launcher" / "launcher.sock").symlink_to(stub.path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir))
    stub.on("GET", "/v1/slices", Json([]))
    client = Client()
    assert client.slices() == []
    assert client.socket == str(short_dir / "launcher" / "launcher.sock")


def test_the_candidates_are_the_named_one_or_the_system_s_and_the_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHER_SOCKET", "/x.sock")
    assert socket_candidates() == ["/x.sock"]
    monkeypatch.delenv("LAUNCHER_SOCKET")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    own = "/home/me/.local/state/launcher/launcher.sock"
    assert socket_candidates() == ["/run/launcher/launcher.sock", own]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    runtime = f"{tmp_path}/launcher/launcher.sock"
    assert socket_candidates() == ["/run/launcher/launcher.sock", runtime, own]
    assert sockets.own_socket() == runtime
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/1/not-ours")
    assert sockets.own_socket() == own


def test_a_socket_nobody_listens_on_is_told_from_one_that_is_not_there(short_dir: Path) -> None:
    daemon = StubDaemon(short_dir / "dead.sock")
    daemon.stop()
    with pytest.raises(errors.DaemonUnreachable, match=r"dead\.sock is there, but no process"):
        Client(str(short_dir / "dead.sock")).slices()
    with pytest.raises(errors.DaemonUnreachable, match=r"there is no .*none\.sock"):
        Client(str(short_dir / "none.sock")).slices()


def test_a_socket_s_path_that_is_too_long_is_said_to_be() -> None:
    with pytest.raises(errors.DaemonUnreachable, match="too long"):
        Client("/tmp/" + "x" * 200).slices()


def test_waiting_asks_again_until_there_is_an_outcome(stub: StubDaemon) -> None:
    running = Json(job_view(state="RUNNING"))
    stub.on("GET", "/v1/jobs/12/wait", running, Raw(b""), running, Json(ended("FAILED", 3)))
    said: list[str] = []
    assert Client(stub.path, notice=said.append).wait(12).exit_code == 3
    assert {each.query for each in stub.asked} == {"timeout=20"}
    assert len(stub.asked) == 4
    assert said == ["waiting for the daemon, which does not answer; its jobs go on"]


def test_waiting_ends_with_its_time(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/jobs/12/wait", Json(job_view(state="RUNNING")))
    assert Client(stub.path).wait(12, timeout=0).outcome is None
    assert stub.asked[0].query == "timeout=0"


def test_a_daemon_that_does_not_come_back_is_given_up(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/jobs/12/wait", Raw(b""))
    with pytest.raises(errors.DaemonUnreachable):
        Client(stub.path, reconnect=0).wait(12)


def test_a_job_that_is_gone_ends_the_waiting(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/jobs/12/wait", Json({"kind": "no-such-job", "message": "gone"}, 404))
    with pytest.raises(errors.NoSuchJob):
        Client(stub.path).wait(12)


def test_logs_are_frames_up_to_the_end(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/jobs/last/logs", Stream([out("a"), err("b"), end(ended("COMPLETED", 0))]))
    frames = list(Client(stub.path).logs("last", follow=True, tail=3, attempt=2))
    assert [frame.data for frame in frames] == [b"a", b"b"]
    assert stub.asked[0].query == "follow=1&tail=3&attempt=2"


def test_logs_go_on_too_and_do_not_ask_for_the_tail_again(stub: StubDaemon) -> None:
    stub.on(
        "GET", "/v1/jobs/1/logs",
        Stream([position("2.40.7"), out("a", 3)], cut=True),
        Stream([out("b", 4), end(ended("COMPLETED", 0))]),
    )  # fmt: skip
    assert [frame.data for frame in Client(stub.path).logs(1, tail=1)] == [b"a", b"b"]
    assert [each.query for each in stub.asked] == [
        "follow=0&tail=1", "follow=0&position=2.40.7&skip=1",
    ]  # fmt: skip


def test_logs_of_a_time_are_those_that_were_printed_in_it(stub: StubDaemon) -> None:
    some = [position("1.0.0"), out("a", 3), out("b", 4), err("c", 5), out("d", 6), out("e", 9)]
    stub.on("GET", "/v1/jobs/1/logs", Stream([*some, end(ended("COMPLETED", 0))]))
    frames = Client(stub.path).logs(1, since_ns=4, until_ns=6)
    assert [frame.data for frame in frames] == [b"b", b"c"]
    assert stub.asked[0].query == "follow=0&since_ns=4"


def test_logs_of_a_daemon_that_does_not_come_back_are_given_up(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/jobs/1/logs", Stream([out("a")], cut=True), Raw(b""))
    with pytest.raises(errors.DaemonUnreachable):
        list(Client(stub.path, reconnect=0).logs(1))


def test_a_follow_goes_on_after_the_last_frame_of_output(stub: StubDaemon) -> None:
    done = ended("COMPLETED", 0)
    stub.on(
        "GET", "/v1/jobs/12/follow",
        Stream([event(job_view())], cut=True),
        Stream([event(job_view()), position("1.9.0"), out("a", 5), out("b", 7)]),
        Stream([event(job_view()), position("1.30.0"), out("c", 7), err("d", 7)], cut=True),
        Stream([out("e", 8), end(done)]),
    )  # fmt: skip
    frames = list(Client(stub.path).follow(12))
    assert b"".join(frame.data for frame in frames if frame.stream in (1, 2)) == b"abcde"
    assert [each.query for each in stub.asked] == [
        "", "", "position=1.9.0&skip=2", "position=1.30.0&skip=2",
    ]  # fmt: skip


def test_large_frames_and_many_small_ones_arrive_whole(stub: StubDaemon) -> None:
    large = "x" * 1_000_000
    small = [out(f"{number}\n", number) for number in range(2000)]
    stub.on("GET", "/v1/jobs/1/logs", Stream([out(large), *small, end(ended("COMPLETED", 0))]))
    frames = list(Client(stub.path).logs(1))
    assert frames[0].data == large.encode()
    assert frames[1:] == small


def test_a_job_view_has_one_word() -> None:
    assert isinstance(job_view(), JobView)
    assert (job_view().word, ended("FAILED", 1).word) == ("PENDING", "FAILED")


def refused(after: str) -> Raw:
    body = b'{"kind": "too-many", "message": "the limit is 5 a second", "fix": "Ask less often."}'
    head = f"HTTP/1.1 429 x\r\nContent-Length: {len(body)}\r\nRetry-After: {after}\r\n\r\n"
    return Raw(head.encode() + body)


def test_who_asks_too_much_waits_as_he_is_told_and_hears_of_it_once(stub: StubDaemon) -> None:
    stub.on("GET", "/v1/status", refused("0"), refused("0"), Json(status_view()))
    told: list[str] = []
    assert Client(stub.path, notice=told.append).status() == status_view()
    assert told == ["the limit is 5 a second; waiting"]


def test_who_is_to_come_back_much_later_hears_of_it_at_once(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/jobs", refused("90"))
    with pytest.raises(errors.TooMany, match="the limit is 5 a second") as caught:
        Client(stub.path).submit([JobSpec(name="a", image="x")])
    assert (caught.value.fix, caught.value.retry_after) == ("Ask less often.", 90.0)
    assert len(stub.asked) == 1


def test_who_is_refused_over_and_over_gives_up(
    stub: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.client.http.PATIENCE_SECONDS", 0.2)
    stub.on("GET", "/v1/status", refused("0"))
    with pytest.raises(errors.TooMany):
        Client(stub.path).status()
    assert len(stub.asked) > 1


def test_who_follows_or_waits_does_so_until_it_is_his_turn(
    stub: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.client.http.PATIENCE_SECONDS", 0.0)
    stub.on("GET", "/v1/jobs/12/wait", refused("0"), refused("0"), Json(ended("COMPLETED", 0)))
    assert Client(stub.path).wait(12).outcome == "COMPLETED"
    stub.on("GET", "/v1/jobs/12/follow", refused("0"), Stream([end(ended("COMPLETED", 0))]))
    assert len([*Client(stub.path).follow(12)]) == 1
    stub.on("GET", "/v1/jobs/12/wait", refused("11"))
    with pytest.raises(errors.TooMany):
        Client(stub.path).wait(12)
