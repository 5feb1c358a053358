"""Bind mounts: ``SOURCE:TARGET[:ro]`` and what cannot be mounted."""

from __future__ import annotations

import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.jobfile.values import volumes
from launcher.jobfile.values.volumes import bind, check_targets, parse_volume
from launcher.spec.job_spec import Mount

BASE = Path("/base/of/file")


@pytest.mark.parametrize(
    ("text", "source", "target", "read_only"),
    [
        ("/data:/in", "/data", "/in", False),
        ("/data:/in:ro", "/data", "/in", True),
        ("/data:/in:rw", "/data", "/in", False),
        ("./data:/in", "/base/of/file/data", "/in", False),
        ("../data/:/in/", "/base/of/data", "/in/", False),
        (".:/in", "/base/of/file", "/in", False),
    ],
)
def test_a_source_is_relative_to_its_file(
    text: str, source: str, target: str, read_only: bool
) -> None:
    assert parse_volume(text, BASE) == Mount(source=source, target=target, read_only=read_only)


def test_a_tilde_is_the_callers_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert parse_volume("~/data:/in", BASE).source == "/home/alice/data"
    with pytest.raises(ValueError, match="no such home directory"):
        parse_volume("~nobody-has-this-name/data:/in", BASE)


def test_a_link_in_a_source_is_kept(tmp_path: Path) -> None:
    """Another process resolves it, as the user."""
    (tmp_path / "link").symlink_to("/etc")
    assert parse_volume("./link:/in", tmp_path).source == str(tmp_path / "link")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/data", "names no directory of this machine"),
        ("/a:/b:ro:z", "too many colons"),
        ("/a:/b:x", "'x' is not a valid mount mode"),
        ("/a:/b:ro,rw", "'ro,rw' is not a valid mount mode"),
        (":/in", "source is empty"),
        ("data:/in", "would be a named volume.* write ./data"),
        ("/a:in", "must be an absolute path"),
        ("/a:", "must be an absolute path"),
        ("/a:/", "over the container's /"),
        ("/a://", "over the container's /"),
        ("/a:/b/..", "over the container's /"),
    ],
)
def test_what_cannot_be_mounted_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_volume(text, BASE)


def test_two_mounts_have_two_targets_however_they_are_written() -> None:
    def mounts(*targets: str) -> list[Mount]:
        return [bind("/a", target, BASE, read_only=False) for target in targets]

    check_targets(mounts("/in", "/in/data", "/out"))
    for other in ("/in", "/in/", "/out/../in"):
        with pytest.raises(ValueError, match=f"two mounts have the target {other}"):
            check_targets(mounts("/in", other))


def test_the_real_home_is_mounted_where_the_jobs_home_would_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "disk" / "alice").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "disk" / "alice")
    entry = SimpleNamespace(pw_name="alice", pw_dir=str(tmp_path / "home"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
    assert volumes.real_home() == Mount(str(tmp_path / "disk" / "alice"), "/home/alice")


def test_a_user_without_an_account_has_no_real_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", missing)
    with pytest.raises(ValueError, match="has no home directory on this machine"):
        volumes.real_home()


@pytest.mark.parametrize("text", ["", "none", "Real"])
def test_the_home_of_a_job_is_its_own_or_the_real_one(text: str) -> None:
    with pytest.raises(ValueError, match="write job or real"):
        volumes.parse_home(text)


def test_on_another_machine_sources_are_its_own_directories() -> None:
    machine = volumes.OtherMachine("ssh://vm", lambda: ("ann", "/home/ann"))
    before = volumes.MOUNTED_ON.set(machine)
    try:
        assert parse_volume("~/data:/in", BASE).source == "/home/ann/data"
        assert parse_volume("/data/../x:/in", BASE).source == "/x"
        assert volumes.real_home() == Mount("/home/ann", "/home/ann")
        for source in (".", "./data", "../data", "~bob/data"):
            with pytest.raises(ValueError, match="mounts are directories of ssh://vm"):
                parse_volume(f"{source}:/in", BASE)
    finally:
        volumes.MOUNTED_ON.reset(before)
