"""The helper has root's rights: what it is asked is read strictly."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import LauncherError, PinRefused, UserError
from launcher.mount_helper import frames
from launcher.mount_helper.requests import REQUESTS, HelperSettings, answer
from launcher.mount_helper.slots import Slots
from launcher.mount_helper.values import (
    MOST_ID,
    MOST_MOUNTS,
    MOST_SECRET_BYTES,
    MountRequest,
    container_of,
    mounts_of,
    secrets_of,
    user_of,
)

SETTINGS = HelperSettings("/proc/launcher/pins", Slots())
MOUNT = {"root": "/home/alice", "path": "proj", "read_only": True}
PIN = {
    "do": "pin",
    "container": "launch-a-1-1",
    "mounts": [MOUNT],
    "uid": 61001,
    "gid": 61001,
    "groups": [],
    "dockerd": None,
}
SECRETS = {
    "do": "secrets",
    "container": "launch-a-1-1",
    "secrets": {"token": "aGlkZGVu"},
    "uid": 61001,
    "gid": 61001,
    "dockerd": None,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def refusal(request: dict[str, Any]) -> str:
    with pytest.raises(LauncherError) as caught:
        answer(SETTINGS, request)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a..b",
        "-a",
        ".a",
        "A",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "x" * 129,
        1,
        None,
    ],
)
def test_what_is_no_containers_name_is_refused_by_every_request(name: Any) -> None:
    assert "container: " in refusal(PIN | {"container": name})
    assert "container: " in refusal({"do": "unpin", "container": name})
    assert "container: " in refusal(SECRETS | {"container": name})
    assert "containers: " in refusal({"do": "sweep", "containers": ["a", name]})


@pytest.mark.parametrize("prefix", ["..", "a/", "/", None, 0, "A-"])
def test_a_prefix_that_no_container_has_is_refused(prefix: Any) -> None:
    assert "prefix: " in refusal({"do": "list", "prefix": prefix})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uid", 0),
        ("uid", -1),
        ("uid", MOST_ID + 1),
        ("uid", "61001"),
        ("uid", True),
        ("uid", 1.0),
        ("uid", None),
        ("gid", -1),
        ("gid", 2**32 - 1),
        ("dockerd", 0),
        ("dockerd", "1"),
        ("dockerd", False),
        ("groups", [-1]),
        ("groups", {}),
        ("groups", [0] * 5000),
        ("mounts", []),
        ("mounts", {}),
        ("mounts", [None]),
        ("mounts", [MOUNT] * (MOST_MOUNTS + 1)),
    ],
)
def test_a_field_that_is_not_as_it_must_be_is_refused_by_its_name(field: str, value: Any) -> None:
    assert refusal(PIN | {field: value}).startswith(field)


@pytest.mark.parametrize("root", ["", "/", "home", "/home/", "//home", "/a/../b", "/./a", "/a/.."])
def test_a_root_that_is_no_plain_absolute_path_is_refused(root: str) -> None:
    assert "mount root" in refusal(PIN | {"mounts": [MOUNT | {"root": root}]})


@pytest.mark.parametrize("path", ["/etc", "a\0b", None, 3, "a" * 5000, "\ud800"])
def test_a_path_that_is_none_beneath_a_root_is_refused(path: Any) -> None:
    assert "mounts[0].path" in refusal(PIN | {"mounts": [MOUNT | {"path": path}]})


@pytest.mark.parametrize("read_only", [None, 0, "true"])
def test_read_only_is_true_or_false(read_only: Any) -> None:
    assert "read_only" in refusal(PIN | {"mounts": [MOUNT | {"read_only": read_only}]})


@pytest.mark.parametrize(
    "root", ["/proc", "/proc/launcher", "/proc/launcher/pins", "/proc/launcher/pins/a"]
)
def test_a_root_that_has_the_pins_or_is_among_them_is_refused(root: str) -> None:
    with pytest.raises(PinRefused, match="overlaps the directory of pins"):
        answer(SETTINGS, PIN | {"mounts": [MOUNT | {"root": root}]})


def test_fields_that_are_unknown_and_missing_ones_are_refused() -> None:
    assert "unknown field 'propagation'" in refusal(PIN | {"propagation": "shared"})
    assert "unknown field 'flags'" in refusal(PIN | {"mounts": [MOUNT | {"flags": 1}]})
    for name in PIN.keys() - {"do"}:
        assert f"{name}: missing" in refusal({k: v for k, v in PIN.items() if k != name})
    assert "unknown field" in refusal({"do": "ping", "x": 1})


@pytest.mark.parametrize("what", [None, "", "mount", ["pin"], {}, 1])
def test_only_what_is_in_the_table_can_be_asked(what: Any) -> None:
    known = "pin, secrets, check, unpin, list, sweep, home, homes, retire, empty, measure, ping"
    assert f"is not one of {known}" in refusal({"do": what})


def test_root_is_pinned_for_only_where_that_is_allowed() -> None:
    fields = {"uid": 0, "gid": 0, "groups": [0, 5]}
    assert user_of(fields, root_allowed=True).groups == (0, 5)
    with pytest.raises(UserError, match="0 is root"):
        user_of(fields, root_allowed=False)


BIG = base64.b64encode(bytes(MOST_SECRET_BYTES + 1)).decode()


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({}, "must be an object of 1 to 16"),
        (["token"], "must be an object"),
        (None, "must be an object"),
        ({f"s{n}": "" for n in range(17)}, "must be an object of 1 to 16"),
        ({"../token": ""}, "'../token' is not a file name"),
        ({"a/b": ""}, "is not a file name"),
        ({".hidden": ""}, "is not a file name"),
        ({"": ""}, "is not a file name"),
        ({"a\n": ""}, "is not a file name"),
        ({"ä": ""}, "is not a file name"),
        ({"x" * 129: ""}, "is not a file name"),
        ({"token": "hidden!!"}, "token is not in base64"),
        ({"token": "hidde"}, "token is not in base64"),
        ({"token": "hïdden"}, "token is not in base64"),
        ({"token": None}, "token is not in base64"),
        ({"token": ["hidden"]}, "token is not in base64"),
        ({"token": BIG}, "token is larger than 64 KiB"),
    ],
)
def test_secrets_are_read_strictly_and_quoted_nowhere(secrets: Any, said: str) -> None:
    told = refusal(SECRETS | {"secrets": secrets})
    assert said in told
    assert "hidden" not in told.replace(".hidden", "")
    assert len(told) < 300


@pytest.mark.parametrize(
    ("field", "value"),
    [("uid", -1), ("uid", MOST_ID + 1), ("uid", True), ("uid", "0"), ("gid", None), ("dockerd", 0)],
)
def test_whose_secrets_they_are_is_read_strictly(field: str, value: Any) -> None:
    assert refusal(SECRETS | {field: value}).startswith(field)


def test_a_request_of_secrets_has_its_fields_and_no_other() -> None:
    assert "unknown field 'mode'" in refusal(SECRETS | {"mode": "0777"})
    for name in SECRETS.keys() - {"do"}:
        assert f"{name}: missing" in refusal({k: v for k, v in SECRETS.items() if k != name})


@given(st.dictionaries(st.text(), JSON, max_size=3) | JSON)
def test_secrets_of_any_kind_are_read_or_refused(found: Any) -> None:
    with contextlib.suppress(UserError):
        for name, content in secrets_of({"secrets": found}).items():
            assert "/" not in name
            assert not name.startswith(".")
            assert isinstance(content, bytes)


def test_as_many_secrets_as_a_job_may_have_fit_into_a_request() -> None:
    most = base64.b64encode(bytes(MOST_SECRET_BYTES)).decode()
    full = SECRETS | {"secrets": {f"{n:0128}": most for n in range(16)}}
    assert len(frames.encoded(full)) < frames.MOST_BYTES
    assert len(secrets_of(full)) == 16


def test_a_file_name_that_is_not_utf8_arrives_byte_by_byte() -> None:
    odd = MountRequest("/home/alice", b"\xff\xfe/a b".decode("utf-8", "surrogateescape"))
    sent = frames.decoded(frames.encoded({"mounts": [odd.as_json()]}))
    assert mounts_of(sent) == (odd,)


def test_a_mount_arrives_with_what_must_be_in_it_and_without_where_that_is_nothing() -> None:
    whole = MountRequest(
        "/home/alice", "a", True, (("working_dir /work/x", "x"), ("VOLUME /w/y", "y/z"))
    )
    sent = frames.decoded(frames.encoded({"mounts": [whole.as_json()]}))
    assert mounts_of(sent) == (whole,)
    assert MountRequest("/home/alice", "a").as_json().keys() == MOUNT.keys()


@pytest.mark.parametrize(
    "inside",
    [None, {}, ["x"], [["a"]], [["a", "/etc"]], [["a", 1]], [["a", "x\0"]], [["a", "x"]] * 129],
)
def test_what_must_be_in_a_mount_is_read_strictly(inside: Any) -> None:
    with pytest.raises(UserError, match="inside"):
        mounts_of({"mounts": [MOUNT | {"inside": inside}]})


@given(JSON)
def test_whatever_json_comes_is_refused_as_a_request(found: Any) -> None:
    text = json.dumps(found).encode()
    with pytest.raises(UserError):
        answer(SETTINGS, frames.decoded(text))


@given(st.sampled_from(sorted(REQUESTS.keys() - {"ping"})), st.dictionaries(st.text(), JSON))
def test_a_request_with_any_fields_is_refused(what: str, fields: Any) -> None:
    with pytest.raises(LauncherError):
        answer(SETTINGS, fields | {"do": what})


@given(st.sampled_from(["container", "uid", "gid", "groups", "mounts"]), JSON)
def test_a_field_of_any_kind_is_read_or_refused(name: str, value: Any) -> None:
    fields = PIN | {name: value}
    with contextlib.suppress(UserError):
        assert container_of(fields)
        assert user_of(fields, root_allowed=True)
        assert mounts_of(fields)


@given(st.sampled_from(sorted(MOUNT)), JSON)
def test_a_mount_with_a_field_of_any_kind_is_read_or_refused(name: str, value: Any) -> None:
    with contextlib.suppress(UserError):
        (found,) = mounts_of({"mounts": [MOUNT | {name: value}]})
        assert found.root.startswith("/")
        assert not found.path.startswith("/")


@given(st.binary())
def test_bytes_that_are_no_request_are_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        answer(SETTINGS, frames.decoded(data))


def test_a_request_nested_too_deep_is_refused() -> None:
    with pytest.raises(UserError, match="not JSON"):
        frames.decoded(b"[" * 100_000)
