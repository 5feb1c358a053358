"""Image references, what a pull says, and what is worth trying again."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

import pytest

from launcher.engine.connection import DockerConnection
from launcher.engine.images import Images, Layer, PullFailed
from launcher.engine.outcome import Unknown
from launcher.errors import EngineUnavailable
from launcher.imageref import is_reference, split
from tests.unit.engine.wire_docker import WireDocker, chunked, cut, reply, until_close

DIGEST = "sha256:" + "a" * 64
PULL = "POST /images/create"
FOUND = reply(
    200,
    {"Id": DIGEST, "RepoTags": ["host:5000/app:1", "app:1"], "RepoDigests": [f"app@{DIGEST}"]},
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again without waiting."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("busybox", ("busybox", "latest")),
        ("busybox:1", ("busybox", "1")),
        ("localhost:5000/team/app", ("localhost:5000/team/app", "latest")),
        ("localhost:5000/team/app:2", ("localhost:5000/team/app", "2")),
        (f"app@{DIGEST}", ("app", DIGEST)),
        (f"host:5000/app:1@{DIGEST}", ("host:5000/app:1", DIGEST)),
    ],
)
def test_a_reference_comes_apart_as_docker_reads_it(reference: str, parts: tuple[str, str]) -> None:
    assert is_reference(reference)
    assert split(reference) == parts


@pytest.mark.parametrize(
    "good",
    [
        "a",
        "nvcr.io/nvidia/pytorch:25.01-py3",
        "nvidia/cuda:12.9.1-base-ubuntu24.04",
        "a__b/c-d.e/f--g",
        "[::1]:5000/app",
        "REGISTRY:5000/app:V1_x.Y",
        DIGEST,
        "e7f69f6e0fd3",
    ],
)
def test_references_and_ids_are_taken(good: str) -> None:
    assert is_reference(good)


HOSTILE = [
    "",
    " ",
    "team/UPPER",
    "a b",
    "busybox:",
    ":tag",
    "a:b:c",
    "app@sha256:12",
    "app@",
    "a//b",
    "/a",
    "a/",
    "..",
    "a/../b",
    "../containers/launch-1",
    "../../version",
    "..%2fcontainers",
    "a?fromSrc=http://x",
    "a#b",
    "a&tag=x",
    "https://x/y",
    "-x",
    "a\n",
    "a\0b",
    "\ud800",
    "é",
    "a:" + "t" * 129,
    "a" * 601,
]


@pytest.mark.parametrize("bad", HOSTILE)
def test_i8_what_is_no_reference_is_never_part_of_a_request(
    docker_wire: WireDocker, connection: DockerConnection, bad: str
) -> None:
    """`../containers/x` would be another call; `busybox:` would pull every tag there is."""
    images = Images(connection)
    assert images.find(bad) is None
    with pytest.raises(PullFailed, match="not an image reference") as caught:
        images.pull(bad, None, lambda layers: None)
    assert not caught.value.transient
    assert docker_wire.requests == []


def test_an_image_that_docker_calls_invalid_is_not_here(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    answer = reply(400, {"message": "invalid reference format"})
    docker_wire.on("GET /images/app:1/json", answer)
    assert Images(connection).find("app:1") is None


def test_what_docker_finds_by_the_beginning_of_an_id_is_not_what_was_asked_for(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on("GET /images/cafe/json", FOUND)
    assert Images(connection).find("cafe") is None


DONE = {"status": "Status: Downloaded newer image for host:5000/app:1"}


def lines(*told: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(t).encode() + b"\r\n" for t in told)


def layer(name: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    detail = {"current": current, "total": total} if total else {}
    return {"id": name, "status": status, "progressDetail": detail}


def pull(
    connection: DockerConnection, auth: dict[str, str] | None = None
) -> list[dict[str, Layer]]:
    seen: list[dict[str, Layer]] = []
    found = Images(connection).pull("host:5000/app:1", auth, lambda now: seen.append(dict(now)))
    assert found == DIGEST
    return seen


def test_layers_are_reported_as_they_move(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on("GET /images/host:5000/app:1/json", FOUND)
    told = lines(
        {"status": "Pulling from app", "id": "1"},
        layer("a", "Downloading", 1, 9),
        layer("b", "Waiting"),
        layer("a", "Pull complete"),
        DONE,
    )
    docker_wire.on(PULL, chunked(told[:30], told[30:]))
    seen = pull(connection)
    assert seen[1]["a"] == Layer("a", "Downloading", 1, 9)
    assert (seen[-1]["a"].status, seen[-1]["b"].status) == ("Pull complete", "Waiting")
    assert any("fromImage=host%3A5000%2Fapp&tag=1" in r for r in docker_wire.requests)


def test_what_was_pulled_is_found_by_the_digest_that_the_registry_gave(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    """By its name another pull, with other credentials, may have put another image there."""
    name = f"host:5000/app@{DIGEST}"
    other = {"Id": "sha256:" + "b" * 64, "RepoTags": ["host:5000/app:1"], "RepoDigests": []}
    docker_wire.on("GET /images/host:5000/app:1/json", reply(200, other))
    docker_wire.on(
        f"GET /images/{name.replace('@', '%40')}/json",
        reply(200, {"Id": DIGEST, "RepoDigests": [name]}),
    )
    docker_wire.on(PULL, chunked(lines({"status": f"Digest: {DIGEST}"}, DONE)))
    pull(connection)


def test_only_the_credentials_that_were_given_are_sent(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    heads: list[bytes] = []
    accept = docker_wire._serve

    def spy(conn: Any) -> None:
        heads.append(conn.recv(65536, socket.MSG_PEEK))
        accept(conn)

    docker_wire._serve = spy  # type: ignore[method-assign]
    docker_wire.on("GET /images/host:5000/app:1/json", FOUND)
    docker_wire.on(PULL, chunked(lines(DONE)))
    pull(connection)
    pull(connection, {"username": "ann", "password": "x"})
    sent = [
        json.loads(base64.urlsafe_b64decode(line.split(b": ")[1]))
        for head in heads
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"x-registry-auth")
    ]
    assert sent == [{}, {"username": "ann", "password": "x"}]


@pytest.mark.parametrize(
    ("told", "words", "transient"),
    [
        ({"error": "manifest unknown"}, "manifest unknown", False),
        ({"error": "x", "errorDetail": {"message": "denied: no"}}, "denied: no", False),
        ({"error": "unauthorized: authentication required"}, "unauthorized", False),
        ({"error": "toomanyrequests: You have reached your limit"}, "toomanyrequests", True),
        ({"error": "Get x: net/http: TLS handshake timeout"}, "timeout", True),
        ({"error": "unexpected EOF"}, "EOF", True),
        ({"error": "received unexpected HTTP status: 503 Service Unavailable"}, "503", True),
        ({"error": "write /x: no space left on device"}, "no space left", False),
    ],
)
def test_an_error_within_the_stream_is_the_registrys_word(
    docker_wire: WireDocker,
    connection: DockerConnection,
    told: dict[str, Any],
    words: str,
    transient: bool,
) -> None:
    docker_wire.on(PULL, chunked(lines(layer("a", "Waiting"), told)))
    with pytest.raises(PullFailed, match=words) as caught:
        pull(connection)
    assert caught.value.transient is transient
    tries = sum(r.startswith("POST") for r in docker_wire.requests)
    assert tries == (3 if transient else 1)


def test_an_error_before_the_stream_is_told_too(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(PULL, reply(404, {"message": "pull access denied for app"}))
    with pytest.raises(PullFailed, match=r"^pull access denied for app$"):
        pull(connection)


@pytest.mark.parametrize(
    "broken",
    [
        cut,
        chunked(lines(layer("a", "Waiting")), end=False),
        until_close(lines(layer("a", "Waiting")) + b'{"status": "Downlo'),
        chunked(b"not json\r\n"),
        chunked(lines(layer("a", "Pull complete"))),
    ],
)
def test_a_pull_that_broke_off_is_tried_again(
    docker_wire: WireDocker, connection: DockerConnection, broken: Any
) -> None:
    docker_wire.on("GET /images/host:5000/app:1/json", FOUND)
    docker_wire.on(PULL, broken, chunked(lines(layer("a", "Pull complete"), DONE)))
    assert pull(connection)[-1]["a"].status == "Pull complete"


def test_a_pull_that_says_nothing_for_too_long_is_given_up(
    docker_wire: WireDocker, connection: DockerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.engine.images.QUIET_TIMES", 0.001)
    docker_wire.on(PULL, docker_wire.hang)
    with pytest.raises(Unknown, match="timed out"):
        pull(connection)


def test_an_image_that_is_not_there_after_its_pull_is_an_error(
    docker_wire: WireDocker, connection: DockerConnection
) -> None:
    docker_wire.on(PULL, chunked(lines(DONE)))
    docker_wire.on("GET /images/host:5000/app:1/json", reply(404, {"message": "No such image: x"}))
    with pytest.raises(PullFailed, match="is missing"):
        pull(connection)


def test_docker_going_away_is_not_the_registrys_fault() -> None:
    with pytest.raises(EngineUnavailable):
        Images(DockerConnection("unix:///nonexistent/docker.sock")).pull(
            "a", None, lambda layers: None
        )


@pytest.mark.parametrize(("digests", "found"), [([f"app@{DIGEST}"], f"app@{DIGEST}"), ([], None)])
def test_the_digest_of_a_pulled_image_is_known(
    docker_wire: WireDocker, connection: DockerConnection, digests: list[str], found: str | None
) -> None:
    docker_wire.on(f"GET /images/{DIGEST}/json", reply(200, {"RepoDigests": digests}))
    assert Images(connection).digest(DIGEST) == found
