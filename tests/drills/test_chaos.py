"""Random kills of the daemon and of Docker under load, for a short while."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from launcher.fakegpu.sandbox import Sandbox
from tests.drills.chaos import Beaten
from tests.support.daemon import BUSYBOX
from tests.support.whole import many

SECONDS = many(8, 30)


@pytest.mark.timeout(180)
def test_a_daemon_that_is_killed_at_random_under_load_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, tell: Callable[[object], None]
) -> None:
    with Sandbox(tmp_path / "sandbox") as sandbox:
        sandbox.import_busybox(BUSYBOX)
        beaten = Beaten(sandbox, tmp_path / "beaten", Random(7))
        try:
            beaten.run(time.monotonic() + SECONDS)
            assert [*beaten.unquiet, *beaten.verdict()] == []
        finally:
            beaten.close()
    tell(
        f"under load: {beaten.kills} kills ({dict(beaten.struck)}), "
        f"{len(beaten.acknowledged)} jobs acknowledged, {beaten.logs_compared} logs compared, "
        f"worst recovery {max(beaten.recoveries):.2f} s"
    )
