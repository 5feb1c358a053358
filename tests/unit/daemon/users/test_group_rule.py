"""Which groups a container keeps by default: a rule that fails closed."""

from __future__ import annotations

import grp
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.core.policy.settings import ROOTS_GROUPS
from launcher.daemon.users import group_rule
from launcher.daemon.users.group_rule import gid_min, harmless_gids

NAMES = {2000: "proj", 2001: "lab", 2002: "docker", 2003: "lxd", 2004: "admins", 27: "sudo"}


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def by_gid(gid: int) -> object:
        return SimpleNamespace(gr_name=NAMES[gid])

    def by_name(name: str) -> object:
        return SimpleNamespace(gr_gid={n: g for g, n in NAMES.items()}[name])

    monkeypatch.setattr(grp, "getgrgid", by_gid)
    monkeypatch.setattr(grp, "getgrnam", by_name)
    group_rule._gids_of.cache_clear()
    monkeypatch.setattr(group_rule, "LOGIN_DEFS", tmp_path / "login.defs")
    path = tmp_path / "docker.sock"
    path.touch()
    return str(path)


def test_groups_of_people_are_kept_and_those_of_rights_are_not(socket: str) -> None:
    everything = frozenset({*NAMES, 2999, 65534})
    assert harmless_gids(everything, {"admins"}, socket) == {2000, 2001}


def test_the_group_of_dockers_socket_is_not_kept_whatever_its_name(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_rule.os, "stat", lambda path: SimpleNamespace(st_gid=2001))
    assert harmless_gids(frozenset({2000, 2001}), set(), socket) == {2000}


@pytest.mark.parametrize("socket_path", [None, "/nowhere/docker.sock"])
def test_without_dockers_socket_none_is_kept(socket: str, socket_path: str | None) -> None:
    assert harmless_gids(frozenset({2000}), set(), socket_path) == frozenset()


def test_a_second_name_for_a_groups_number_does_not_hide_it(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NAMES, 2003, "friendly")
    known: Callable[[str], object] = lambda name: SimpleNamespace(gr_gid={"lxd": 2003}[name])  # noqa: E731
    monkeypatch.setattr(grp, "getgrnam", known)
    assert harmless_gids(frozenset({2003}), set(), socket) == frozenset()


@pytest.mark.parametrize(
    ("text", "lowest"),
    [("GID_MIN 5000\n", 5000), ("# GID_MIN 1\n\tGID_MIN\t\t 500 \n", 500), ("GID_MIN x\n", 1000)],
)
def test_the_lowest_group_of_people_is_the_machines(tmp_path: Path, text: str, lowest: int) -> None:
    file = tmp_path / "login.defs"
    file.write_text(text)
    assert gid_min(file) == lowest
    assert gid_min(tmp_path / "none") == 1000


def test_the_groups_that_make_root_are_known() -> None:
    assert {"docker", "sudo", "wheel", "lxd", "libvirt", "disk"} <= ROOTS_GROUPS


def test_only_a_user_with_a_group_to_keep_costs_the_lookups_of_the_closed_ones(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def by_name(name: str) -> object:
        asked.append(name)
        raise KeyError(name)

    monkeypatch.setattr(grp, "getgrnam", by_name)
    harmless_gids(frozenset({27, 65534}), {"admins"}, socket)
    assert asked == []
    for _ in range(100):
        harmless_gids(frozenset({2000}), {"admins"}, socket)
    assert len(asked) <= 2 * len(ROOTS_GROUPS | {"admins"})
