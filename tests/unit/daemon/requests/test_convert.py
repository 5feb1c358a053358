"""Between wire and core: nothing is lost on the way, and bad JSON is told by field."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher import wire
from launcher.core.model.need import need_of, needed, slots_for
from launcher.daemon.requests import convert
from launcher.errors import InternalError, UserError
from launcher.spec.job_spec import JobSpec

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe = st.one_of(st.none(), text)
words = st.one_of(st.none(), st.lists(text, max_size=3).map(tuple))
size = st.integers(1, 2**62)
seconds = st.floats(0, 1e9)
gpus = st.builds(
    wire.GpuRequest,
    kind=st.sampled_from(["none", "profile", "memory", "uuid", "full", "all"]),
    profile=maybe,
    count=st.integers(1, 100),
    memory_gb=st.one_of(st.none(), st.integers(1, 999)),
    memory_mib=st.one_of(st.none(), st.integers(1, 10**6)),
    uuids=st.lists(text, max_size=3).map(tuple),
)
requests = st.builds(
    JobSpec,
    name=text,
    image=text,
    command=words,
    entrypoint=words,
    gpus=gpus,
    environment=st.dictionaries(text, text, max_size=3),
    working_dir=maybe,
    volumes=st.lists(st.builds(wire.Mount, source=text, target=text, read_only=st.booleans())).map(
        tuple
    ),
    shm_size=size,
    mem_limit=st.one_of(st.none(), size),
    cpus=st.one_of(st.none(), seconds),
    user=maybe,
    network_mode=st.sampled_from([None, "default", "none", "host"]),
    policy_profile=maybe,
    stop_grace_period=seconds,
    pull_policy=st.sampled_from(["always", "missing", "never"]),
    priority=st.integers(0, 1000),
    time_limit=st.one_of(st.none(), seconds),
    retries=st.one_of(
        st.none(),
        st.builds(
            wire.Retries,
            max=st.integers(0, 9),
            on=st.lists(text, max_size=2).map(tuple),
            backoff=seconds,
            max_backoff=seconds,
        ),
    ),
    signal=st.one_of(st.none(), st.builds(wire.SignalBefore, name=text, before=seconds)),
    idle_timeout=st.one_of(st.none(), seconds),
    preemptible=st.booleans(),
    runtime=st.sampled_from(["docker", "host"]),
    foreground=st.booleans(),
    secrets=st.just({}) | st.dictionaries(text, st.just("kept:" + "0" * 32), max_size=3),
)


@given(request=requests)
def test_a_stored_document_is_the_request_again(request: JobSpec) -> None:
    assert convert.parse_document(convert.document(request)) == request


@given(request=requests)
def test_a_request_travels_as_json_and_arrives_as_it_was(request: JobSpec) -> None:
    body = json.dumps({"jobs": [dataclasses.asdict(request)]}).encode()
    assert convert.parse(wire.SubmitRequest, body).jobs == [request]


@given(request=requests)
def test_a_job_needs_what_counts_for_its_kind_alone(request: JobSpec) -> None:
    need, gpus = need_of(request), request.gpus
    assert need.kind == gpus.kind
    assert need.count == (slots_for(request.cpus) if gpus.kind == "none" else gpus.count)
    of_kind = {"profile": ["profile"], "memory": ["memory_gb", "memory_mib"], "uuid": ["uuids"]}
    counting = of_kind.get(gpus.kind, [])
    for name in ("profile", "memory_gb", "memory_mib", "uuids"):
        expected = getattr(gpus, name) if name in counting else () if name == "uuids" else None
        assert getattr(need, name) == expected
    assert needed(need, request.cpus) == need


@given(request=requests)
def test_a_request_names_its_stored_secrets(request: JobSpec) -> None:
    assert request.secrets_key == ("0" * 32 if request.secrets else None)


@pytest.mark.parametrize("told", ["aGlkZGVu", "", "kept"])
def test_no_document_is_made_of_a_request_with_its_secrets(told: str) -> None:
    request = JobSpec(name="a", image="b", secrets={"token": told})
    with pytest.raises(InternalError) as caught:
        convert.document(request)
    assert "aGlkZGVu" not in str(caught.value) + repr(request)
    assert request.secrets_key is None
    assert convert.parse_document(convert.document(request.without_contents())).secrets == {
        "token": None
    }


@pytest.mark.parametrize(
    "secrets",
    [
        "hidden",
        ["hidden"],
        {"token": ["hidden"]},
        {"token": {"content": "hidden"}},
        {"token": 12345},
        {"token": True},
    ],
)
def test_a_request_with_wrong_secrets_is_told_so_without_them(secrets: Any) -> None:
    with pytest.raises(UserError) as caught:
        convert.parse(wire.SubmitRequest, one(secrets=secrets))
    assert str(caught.value).startswith("jobs.0.secrets")
    assert "hidden" not in str(caught.value)
    assert "12345" not in str(caught.value)


def test_json_that_is_cut_off_in_a_secret_is_told_so_without_it() -> None:
    for body in (
        b'{"jobs": [{"secrets": {"token": "hidden',
        b'{"jobs": [{"secrets": {"t": hidden}',
    ):
        with pytest.raises(UserError) as caught:
            convert.parse(wire.SubmitRequest, body)
        assert "hidden" not in str(caught.value)


def one(**fields: Any) -> bytes:
    return json.dumps({"jobs": [{"name": "a", "image": "b"} | fields]}).encode()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "jobs: Field required"),
        (b"{", "the request: Invalid JSON"),
        (b"\xff\xfe", "the request: Invalid JSON"),
        (b"[" * 100_000, "the request: Invalid JSON: recursion limit"),
        (b"null", "the request: Input should be an object"),
        (b'{"jobs": [], "x": 1}', "x: Unexpected keyword"),
        (b'{"jobs": {}}', "jobs: Input should be a valid array"),
        (b'{"jobs": [{"name": "a"}]}', "jobs.0.image: Field required"),
        (one(colour="red"), "jobs.0.colour: Unexpected keyword"),
        (one(shm_size="big"), "jobs.0.shm_size: Input should be a valid integer"),
        (one(command="ls -l"), "jobs.0.command: Input should be a valid array"),
        (one(environment={"A": 1}), "jobs.0.environment.A: Input should be a valid string"),
        (one(gpus={"kind": "half"}), "jobs.0.gpus.kind: Input should be 'none'"),
        (one(gpus={"kind": "uuid", "uuids": "x"}), "jobs.0.gpus.uuids: "),
        (one(volumes=[{"source": "/a"}]), "jobs.0.volumes.0.target: Field required"),
        (one(pull_policy="sometimes"), "jobs.0.pull_policy: "),
        (b'{"jobs": [{"name": "\\ud800", "image": "b"}]}', "the request: Invalid JSON"),
    ],
)
def test_bad_json_is_told_by_field(body: bytes, where: str) -> None:
    with pytest.raises(UserError) as caught:
        convert.parse(wire.SubmitRequest, body)
    assert caught.value.message.startswith(where)


@given(
    body=st.one_of(
        st.binary(max_size=50),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=50).map(str.encode),
    )
)
def test_any_bytes_are_a_request_or_a_clear_error(body: bytes) -> None:
    try:
        parsed = convert.parse(wire.SubmitRequest, body)
    except UserError as error:
        assert error.message
    else:
        assert isinstance(parsed, wire.SubmitRequest)


def test_credentials_never_show_in_what_is_printed() -> None:
    asked = wire.SubmitRequest(
        jobs=[], credentials={"r": wire.RegistryAuth(username="ann", password="s3cret")}
    )
    assert "s3cret" not in repr(asked)
    assert "s3cret" not in repr(asked.credentials["r"])
