"""How many registries' credentials are kept of a user: the last ones; others are not counted."""

from __future__ import annotations

from launcher.core.model.job import ImageKey
from launcher.daemon.users.credentials import MOST_REGISTRIES, Credentials
from launcher.wire import RegistryAuth


def auth(name: str) -> RegistryAuth:
    return RegistryAuth(username=name, password="p")


def test_those_of_the_last_registries_are_kept_and_another_users_too() -> None:
    kept = Credentials()
    kept.store(2, {"r0.example": auth("bob")})
    for number in range(MOST_REGISTRIES + 3):
        kept.store(1, {f"r{number}.example": auth(f"alice{number}")})
        kept.store(1, {"often.example": auth("alice")})
    held = [n for n in range(MOST_REGISTRIES + 3) if kept.owner(1, f"r{n}.example/x:1") == 1]
    assert held == list(range(4, MOST_REGISTRIES + 3))
    assert kept.of(ImageKey("often.example/x:1", "missing", 1)) == {
        "username": "alice",
        "password": "p",
    }
    assert kept.owner(2, "r0.example/x:1") == 2


def test_what_is_given_with_a_submit_counts_before_it_is_kept() -> None:
    kept = Credentials()
    assert kept.owner(1, "r.example/x:1", {"r.example": auth("a")}) == 1
    assert kept.owner(1, "r.example/x:1") is None
