"""What does not answer holds up the doctor only so long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from launcher.daemon import doctor
from launcher.daemon.doctor.finding import Finding, ok
from launcher.daemon.users.fair_pool import FairPool


def test_checks_that_hang_are_a_problem_and_the_others_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE_SECONDS", 1.0)
    release = threading.Event()

    def hangs() -> list[Finding]:
        release.wait(30)
        return []

    async def both() -> list[list[Finding]]:
        pool = FairPool("test", threads=2, share=2)
        found = await asyncio.gather(
            doctor._within(pool, 0, "nvml", hangs),
            doctor._within(pool, 0, "disk", lambda: [ok("disk", "is well")]),
        )
        release.set()
        pool.close()
        return found

    (stuck,), (well,) = asyncio.run(both())
    assert (stuck.check, stuck.state) == ("nvml", "problem")
    assert stuck.message == "did not finish within 1 s"
    assert well.state == "ok"
