"""A dockerd that is killed while it starts a job: the job runs once, and seldom is LOST."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import STDOUT, JobView, Mount
from tests.drills.figures import by_cause
from tests.drills.real import Drill, job
from tests.drills.test_dockerd import TIMEOUT
from tests.support.daemon import BUSYBOX, CONFIG
from tests.support.wait import wait_until
from tests.support.whole import many

ROUNDS = many(3, 12)
Tell = Callable[[object], None]


def test_a_start_that_breaks_off_is_made_again_or_followed_to_its_end(
    tmp_path: Path, tell: Tell
) -> None:
    sandbox = Sandbox(tmp_path / "sandbox", live_restore=True, own_containerd=True)
    drill = Drill(sandbox, tmp_path / "drill")
    runs = tmp_path / "runs"
    runs.mkdir()
    became: Counter[str] = Counter()
    lost: list[str | None] = []
    try:
        sandbox.start()
        sandbox.import_busybox(BUSYBOX)
        drill.daemon.config.write_text(CONFIG + TIMEOUT)
        drill.start()
        for number in range(ROUNDS):
            end = one_round(sandbox, drill, runs, number)
            became[f"{end.outcome} {end.exit_code}"] += 1
            lost += [end.message] if end.outcome == "LOST" else []
        wrong = drill.verdict()
    finally:
        drill.close()
        sandbox.stop()
    tell(f"{ROUNDS} starts under way as dockerd was killed: {by_cause(lost)}")
    assert set(became) <= {"FAILED 7", "LOST None"}
    assert wrong == []


def one_round(sandbox: Sandbox, drill: Drill, runs: Path, number: int) -> JobView:
    """Kill dockerd as soon as a job's shim is there; returns what became of the job."""
    file = runs / str(number)
    file.touch()
    script = f"echo ran >> /runs/{number}; echo one; sleep 0.3; echo two; exit 7"
    before = set(sandbox.shims())
    asked = job("sh", "-c", script, volumes=[Mount(source=str(runs), target="/runs")])
    number_of_job = drill.submit(asked, 7)
    wait_until(lambda: set(sandbox.shims()) - before, what="its shim is there")
    sandbox.stop_dockerd(signal.SIGKILL)
    sandbox.start_dockerd()
    drill.until_quiet()
    shown = drill.daemon.client.show(str(number_of_job)).job
    assert file.read_text().count("ran") <= 1, "it ran twice"
    frames = drill.daemon.client.logs(str(number_of_job))
    written = b"".join(frame.data for frame in frames if frame.stream == STDOUT)
    assert b"one\ntwo\n".startswith(written), "what Docker lost as it was away nobody has"
    return shown
