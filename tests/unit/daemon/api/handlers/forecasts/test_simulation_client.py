"""A replay is of the daemon's own version, has its time, and says what to do where it fails."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

import launcher
from launcher.daemon.api.handlers.forecasts import simulation_client
from launcher.daemon.api.handlers.forecasts.simulation_client import Question
from launcher.errors import InternalError, LauncherError

NO_QUESTION = cast("Question", {})


def refusal(uid: int = 1000, *, admin: bool = False) -> LauncherError:
    """Return why a replay was refused."""
    with pytest.raises(LauncherError) as refused:
        asyncio.run(simulation_client.whatif(NO_QUESTION, uid, admin=admin))
    return refused.value


def test_a_program_of_another_version_says_so_before_it_reads_what_is_asked() -> None:
    words = [sys.executable, "-P", "-m", "launcher.daemon.simulation_worker", "0.0.7"]
    done = subprocess.run(words, input=b"not a pickle", capture_output=True, check=True, cwd="/")
    assert done.stdout == simulation_client.OTHER_VERSION + launcher.__version__.encode()


def test_a_daemon_older_than_what_is_installed_is_to_be_restarted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launcher, "__version__", "0.0.7")
    told = refusal()
    assert "differs from the one that this daemon (0.0.7) was started from" in told.message
    assert told.fix == "Restart the daemon; jobs go on."


def test_a_replay_that_fails_after_files_were_changed_asks_for_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulation_client, "_SINCE", 0.0)
    assert refusal().fix == "Restart the daemon; jobs go on."
    monkeypatch.setattr(simulation_client, "_SINCE", 2.0**40)
    assert isinstance(refusal(), InternalError)


def test_files_that_are_newer_or_gone_count_as_changed(tmp_path: Path) -> None:
    assert simulation_client.changed_since(tmp_path, 0.0)
    file = tmp_path / "core" / "job.py"
    file.parent.mkdir()
    file.write_text("")
    os.utime(file, (0, 0))  # an archive's times are old
    changed = file.stat().st_ctime
    assert simulation_client.changed_since(tmp_path, changed - 1)
    assert not simulation_client.changed_since(tmp_path, changed)


def test_the_time_of_a_what_if_is_shorter_for_ordinary_users_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def endless(_: Question) -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(simulation_client, "_replay", endless)
    monkeypatch.setattr(simulation_client, "ORDINARY_SECONDS", 0.01)
    told = refusal()
    assert told.message == "the replay took more than 0.01 s and was stopped"
    assert told.fix == ("Request fewer layouts or jobs at once; an admin's what-if may take 240 s.")
    monkeypatch.setattr(simulation_client, "ADMIN_SECONDS", 0.02)
    assert refusal(0, admin=True).message.startswith("the replay took more than 0.02 s")


def test_an_estimate_does_not_wait_for_what_ifs(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[str] = []

    async def slow(question: Question) -> bytes:
        if question is NO_QUESTION:
            await asyncio.Event().wait()
        played.append("estimate")
        return b"1.0"

    async def body() -> None:
        long = [
            asyncio.create_task(simulation_client.whatif(NO_QUESTION, uid, admin=False))
            for uid in range(1000, 1010)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await simulation_client.estimate(cast("Question", {1}), 1000) == b"1.0"
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)

    monkeypatch.setattr(simulation_client, "_replay", slow)
    asyncio.run(body())
    assert played == ["estimate"]
