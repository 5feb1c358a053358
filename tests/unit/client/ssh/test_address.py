"""Addresses of daemons: what is valid, and what they become."""

from __future__ import annotations

import pytest

from launcher.client.sockets import place_of
from launcher.client.ssh.address import parse_ssh
from launcher.errors import UserError


@pytest.mark.parametrize(
    ("url", "words", "path"),
    [
        ("ssh://vm", ["--", "vm"], None),
        ("ssh://vm/", ["--", "vm"], None),
        ("ssh://ann@vm:2222", ["-p", "2222", "-l", "ann", "--", "vm"], None),
        ("ssh://ann@vm/run/l.sock", ["-l", "ann", "--", "vm"], "/run/l.sock"),
        ("ssh://[::1]:22/a", ["-p", "22", "--", "::1"], "/a"),
        ("ssh://[fe80::1%eth0]", ["--", "fe80::1%eth0"], None),
    ],
)
def test_an_address_becomes_words_of_ssh(url: str, words: list[str], path: str | None) -> None:
    address = parse_ssh(url)
    assert (address.words, address.path) == (words, path)


@pytest.mark.parametrize(
    "url",
    [
        "ssh://", "ssh:///run/l.sock", "ssh://a:b@vm", "ssh://vm:0", "ssh://vm:65536", "ssh://vm:x",
        "ssh://-oProxyCommand=x", "ssh://-x@vm", "ssh://vm/a:b", "ssh://vm/a b", "ssh://vm\n",
        "ssh://vm/${HOME}",
    ],
)  # fmt: skip
def test_what_ssh_could_misread_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"address|port"):
        parse_ssh(url)


def test_the_command_to_try_by_hand_is_safe_to_paste() -> None:
    assert parse_ssh("ssh://ann@vm:22").by_hand == "ssh -p 22 ann@vm"
    assert parse_ssh("ssh://ann@$(id)").by_hand == "ssh 'ann@$(id)'"


def test_a_place_is_a_path_or_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_HOST", "ssh://vm")
    monkeypatch.delenv("LAUNCHER_SOCKET", raising=False)
    assert place_of("/a/b").sockets == ["/a/b"]
    assert place_of("unix:///a/b").sockets == ["/a/b"]
    assert place_of(None).ssh == "ssh://vm"
    for wrong in ("tcp://vm:1", "unix://a/b", "http://vm"):
        with pytest.raises(UserError, match="not a valid address"):
            place_of(wrong)


def test_two_variables_at_once_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_HOST", "ssh://vm")
    monkeypatch.setenv("LAUNCHER_SOCKET", "/a")
    with pytest.raises(UserError, match="both set"):
        place_of(None)
    monkeypatch.setenv("LAUNCHER_HOST", "")
    assert place_of(None).sockets == ["/a"]


def test_a_host_without_a_scheme_is_not_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_HOST", "vm")
    monkeypatch.delenv("LAUNCHER_SOCKET", raising=False)
    with pytest.raises(UserError, match="'vm' is not a valid address"):
        place_of(None)
