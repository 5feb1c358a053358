"""Whose password opens which registry."""

from __future__ import annotations

import pytest

from launcher.core.model.job import ImageKey
from launcher.daemon.users.credentials import Credentials, registry_of
from launcher.wire import RegistryAuth

ANN = RegistryAuth(username="ann", password="x")


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("busybox", "docker.io"),
        ("busybox:1.36", "docker.io"),
        ("team/app", "docker.io"),
        ("docker.io/team/app", "docker.io"),
        ("localhost/app", "localhost"),
        ("localhost:5000/app", "localhost:5000"),
        ("host:5000/team/app@sha256:" + "a" * 64, "host:5000"),
        ("nvcr.io/nvidia/pytorch:25.01-py3", "nvcr.io"),
        ("team/app.io/x", "docker.io"),
        ("app:5000", "docker.io"),
    ],
)
def test_the_registry_of_a_reference_is_dockers(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


def test_one_users_password_is_never_used_for_another() -> None:
    kept = Credentials()
    kept.store(1000, {"nvcr.io": ANN})
    assert kept.owner(1000, "nvcr.io/x") == 1000
    assert kept.owner(1001, "nvcr.io/x") is None
    assert kept.owner(1000, "other.io/x") is None
    assert kept.of(ImageKey("nvcr.io/x", "missing", 1001)) is None
    assert kept.of(ImageKey("nvcr.io/x", "missing", None)) is None
    assert kept.of(ImageKey("nvcr.io/x", "missing", 1000)) == {"username": "ann", "password": "x"}


def test_newer_credentials_replace_older_ones() -> None:
    kept = Credentials()
    kept.store(1000, {"r.io": ANN})
    kept.store(1000, {"r.io": RegistryAuth(identitytoken="t")})
    assert kept.of(ImageKey("r.io/x", "missing", 1000)) == {"identitytoken": "t"}
