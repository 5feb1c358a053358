"""Who is calling, as the kernel says: on real sockets, and nothing that the caller says."""

from __future__ import annotations

import os
import pwd
import socket
import struct
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.model.job import Owner
from launcher.core.policy.settings import FairShare, Quota, Settings
from launcher.daemon.users.identity import (
    Caller,
    Roles,
    gids_of,
    groups_of,
    sender_of,
    unknown_names,
)
from launcher.daemon.users.usernames import (
    NO_GROUP,
    account_of,
    group_ids,
    known_name,
    lent_by,
    primary_gid,
)
from launcher.errors import NotAllowed
from launcher.peers import peer_of

MAIL = 8
ROOT_ONLY = Roles(frozenset({0}))


def request(connection: socket.socket | None, **headers: str) -> Any:
    """Return what identity reads of a request: the transport with its socket."""
    transport = SimpleNamespace(get_extra_info={"socket": connection}.get)
    return SimpleNamespace(transport=transport, headers=headers)


def caller_of(request: Any, roles: Roles) -> Caller:
    """Return who sent a request, as the daemon finds it in two steps."""
    return roles.known(sender_of(request))


def test_a_pair_of_sockets_names_this_process() -> None:
    here, there = socket.socketpair()
    with here, there:
        caller = caller_of(request(here), ROOT_ONLY)
    assert (caller.owner, caller.admin, caller.uid) == (Owner(0, 0, "root"), True, 0)


def connect_as(uid: int, gid: int, path: Path) -> socket.socket:
    """Connect as somebody else: the kernel keeps who it was at connect()."""
    client = socket.socket(socket.AF_UNIX)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        client.connect(str(path))
    finally:
        os.seteuid(0)
        os.setegid(0)
    return client


@pytest.fixture
def listener(tmp_path: Path) -> Any:
    path = Path(f"/tmp/launcher-identity-{os.getpid()}.sock")
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    path.chmod(0o666)
    made.listen()
    yield SimpleNamespace(path=path, accept=lambda: made.accept()[0])
    made.close()
    path.unlink()


def test_the_user_is_who_connected_whatever_he_says(listener: Any) -> None:
    client = connect_as(5, 60, listener.path)
    with client, listener.accept() as server:
        said = {"User": "root", "X-Forwarded-User": "root", "Authorization": "root"}
        caller = caller_of(request(server, **said), ROOT_ONLY)
    assert (caller.owner, caller.admin) == (Owner(5, 60, "games"), False)


def test_an_admin_is_one_by_uid_alone(listener: Any) -> None:
    client = connect_as(5, 0, listener.path)
    with client, listener.accept() as server:
        assert not caller_of(request(server), ROOT_ONLY).admin
        assert caller_of(request(server), Roles(frozenset({0, 5}))).admin


def test_a_uid_without_a_name_is_a_number_without_any_group(listener: Any) -> None:
    client = connect_as(54321, MAIL, listener.path)
    with client, listener.accept() as server:
        caller = caller_of(request(server), Roles(frozenset({0}), "mail", "mail"))
    assert (caller.owner, caller.role) == (Owner(54321, NO_GROUP, "54321"), "user")
    assert gids_of(caller.owner) == frozenset()


def test_the_group_that_a_process_changed_to_is_not_the_users(listener: Any) -> None:
    client = connect_as(5, MAIL, listener.path)
    with client, listener.accept() as server:
        caller = caller_of(request(server), Roles(frozenset({0}), "mail", "mail"))
    assert (caller.owner, caller.role) == (Owner(5, 60, "games"), "user")
    assert MAIL not in gids_of(caller.owner)


def test_the_group_of_a_job_that_an_earlier_version_recorded_is_the_primary_one_at_its_start() -> (
    None
):
    person = ROOT_ONLY.person(Owner(5, MAIL, "games"), frozenset({"mail"}))
    assert (person.owner, person.gids) == (Owner(5, 60, "games"), ())
    unknown = ROOT_ONLY.person(Owner(54321, MAIL, "54321"), frozenset({"mail"}))
    assert (unknown.owner.gid, unknown.groups, unknown.gids) == (NO_GROUP, frozenset(), ())


def test_a_name_that_is_another_users_now_brings_none_of_its_groups() -> None:
    assert gids_of(Owner(54321, 54321, "root")) == frozenset()
    assert ROOT_ONLY.person(Owner(54321, 0, "root"), frozenset()).owner.gid == NO_GROUP


def test_a_subordinate_uid_is_refused_and_its_owner_named(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("alice:100000:65536\nbob:x:1\n# no row\n4242:200000:10\n")
    asked = (99_999, 100_000, 165_535, 165_536, 200_009)
    assert [lent_by(uid, file) for uid in asked] == [None, "alice", "alice", None, "4242"]
    new = tmp_path / "new"
    new.write_text("carol:100000:65536\ndave:" + "9" * 5000 + ":1\n")
    new.rename(file)
    assert lent_by(100_000, file) == "carol"
    file.unlink()
    assert lent_by(100_000, file) is None


def test_where_subordinate_uids_cannot_be_read_it_is_not_taken_for_none(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            lent_by(100_000, file)
    file.rmdir()
    with file.open("w") as large:
        large.truncate(2**24 + 1)
    with pytest.raises(OSError, match="too large"):
        lent_by(100_000, file)


def test_a_name_that_was_known_is_kept_while_nobody_can_look_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert account_of(5)[0] == "games"
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])  # SSSD that is away raises KeyError
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {}[name])
    assert (account_of(5), primary_gid(5, "games")) == (("games", 60), 60)
    assert primary_gid(5, "another") == NO_GROUP
    assert (account_of(54321), primary_gid(54321, "54321")) == (("54321", NO_GROUP), NO_GROUP)
    assert (known_name(5), known_name(54321)) == ("games", "54321")


def test_each_connection_keeps_its_own_user(listener: Any) -> None:
    pairs = [(connect_as(uid, uid, listener.path), listener.accept()) for uid in (5, 9, 5, 0)]
    found: list[int] = [-1] * len(pairs)

    def look(number: int) -> None:
        found[number] = caller_of(request(pairs[number][1]), ROOT_ONLY).uid

    threads = [threading.Thread(target=look, args=(n,)) for n in range(len(pairs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5, 9, 5, 0]
    for client, server in pairs:
        client.close()
        server.close()


@pytest.mark.parametrize(
    "gone", [SimpleNamespace(transport=None, headers={}), request(None)], ids=["all", "socket"]
)
def test_a_connection_that_is_gone_is_nobodys(gone: Any) -> None:
    with pytest.raises(NotAllowed, match="gone"):
        caller_of(gone, ROOT_ONLY)


def test_who_may_see_a_job() -> None:
    hers = Owner(5, 60, "games")
    assert Caller(hers, admin=False).may_see(hers)
    assert not Caller(Owner(9, 60, "games"), admin=False).may_see(hers)
    assert Caller(Owner(9, 9, "news"), admin=True).may_see(hers)


def test_members_of_the_admin_group_are_admins_and_of_no_other() -> None:
    games = Owner(5, 60, "games")
    assert not Roles(frozenset({0})).caller(games).admin
    assert Roles(frozenset({0}), "games").caller(games).admin, "by his primary group"
    assert not Roles(frozenset({0}), "mail").caller(games).admin
    assert not Roles(frozenset({0}), "no-such-group").caller(games).admin


def test_trusted_users_and_the_groups_that_a_container_keeps_are_looked_up_by_name() -> None:
    games = Owner(5, 60, "games")
    roles = Roles(frozenset({0}), trusted_group="games")
    assert (roles.caller(games).trusted, roles.caller(games).role) == (True, "trusted")
    assert Roles(frozenset({0})).caller(games).role == "user"
    assert Roles(frozenset({5})).caller(games).role == "admin"
    person = roles.person(games, frozenset({"games", "mail", "root", "no-such-group"}))
    assert (person.gids, person.trusted, "games" in person.groups) == ((60,), True, True)
    assert roles.person(Owner(0, 0, "root"), frozenset({"root"})).gids == (), "root gets no groups"


def test_names_of_the_rules_that_nobody_has_here_are_told() -> None:
    rules = Settings(
        fair_share=FairShare(shares={"root": 2.0, "nosuch": 1.0}),
        user_quotas={"alsonot": Quota()},
        group_quotas={"root": Quota(), "nogroupofthis": Quota()},
    )
    assert unknown_names(rules) == ["user alsonot", "user nosuch", "group nogroupofthis"]


def test_group_ids_are_those_that_the_system_gives_however_many() -> None:
    for entry in pwd.getpwall():
        wanted = os.getgrouplist(entry.pw_name, entry.pw_gid)
        assert sorted(group_ids(entry.pw_name, entry.pw_gid)) == sorted(wanted)


def test_a_uid_above_half_of_all_is_no_negative_number() -> None:
    high = 2**32 - 10
    client = SimpleNamespace(getsockopt=lambda *_: struct.pack("iII", 1, high, high))
    assert peer_of(client).uid == high  # type: ignore[arg-type]


def test_the_groups_of_a_user_are_those_of_the_system() -> None:
    assert "root" in groups_of(Owner(0, 0, "root"))
