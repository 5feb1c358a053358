"""Where the web service listens, and what is said where it cannot."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from launcher.errors import ConfigError
from launcher.web.main import listener
from tests.unit.cli.launch_command import Launch
from tests.unit.web.service import service


def test_an_address_that_is_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    with listener("127.0.0.1:0") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"{address}: Address already in use") as refused:
            listener(address)
        assert "--listen" in (refused.value.fix or "")
        failed = Launch(tmp_path)("web", "--listen", address)
        assert (failed.code, address in failed.err) == (2, True)


def test_a_word_that_is_no_address_is_refused(tmp_path: Path) -> None:
    failed = Launch(tmp_path)("web", "--listen", "8080")
    assert failed.code == 2
    assert "127.0.0.1:8080" in failed.err


def test_every_address_of_both_families_can_be_listened_on() -> None:
    with listener(":0") as every:
        port = every.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family) as client:
                client.connect((host, port))


def test_a_daemon_that_is_away_is_a_sentence_and_a_time_to_try_again(short_dir: Path) -> None:
    async def body() -> None:
        async with service(str(short_dir / "none.sock")) as web:
            answer = await web.get("/")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert "works again once it does" in answer.body
            assert (await web.get("/healthz")).status == 200

    asyncio.run(body())
