"""``make bench``: prints what is measured as ratios of one run, never asserted on absolute time."""

from __future__ import annotations

import os
import platform
import sys
import time

from launcher import __version__
from launcher.engine.connection import DockerConnection
from tests.benchmarks import deciding, ended, interactive, measure, output, queue
from tests.benchmarks.setup import Result, Stand, stand


def _machine(bench: Stand) -> str:
    version = DockerConnection(bench.sandbox.docker_host).version()["Version"]
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Docker {version}, launcher {__version__}"
    )


def _figure(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.6f}"


def _print(results: list[Result]) -> None:
    print("| what | ours | theirs | ratio | budget |")
    print("|---|---|---|---|---|")
    for r in results:
        mark = "" if r.ratio <= r.budget else " (missed)"
        print(
            f"| {r.name}: {r.what} | {_figure(r.ours)} {r.unit} | {_figure(r.theirs)} {r.unit} "
            f"| {r.ratio:.2f} | <= {r.budget:.2f}{mark} |"
        )


def main() -> int:
    """Measure and print; the exit status says only whether it could be measured."""
    wanted = set(sys.argv[1:])
    with stand() as bench:
        print(_machine(bench), flush=True)
        results: list[Result] = []
        if not wanted or "run" in wanted:
            results.append(measure.run(bench))
        if not wanted or "host" in wanted:
            results.append(measure.host(bench))
        if not wanted or "output" in wanted:
            results += output.output(bench)
        if not wanted or "interactive" in wanted:
            results += interactive.interactive(bench)
        if not wanted or "layout" in wanted:
            results.append(measure.layout_show(bench))
        if not wanted or "queue" in wanted:
            results += queue.queue(bench)
            results.append(queue.burst(bench))
            results.append(queue.lag(bench))
        if not wanted or "ended" in wanted:
            results += ended.ended(bench)
        if not wanted or "core" in wanted:
            results += deciding.rates()
            results.append(deciding.day())
        if not wanted or "throughput" in wanted:
            results += measure.throughput_and_turnaround(bench)
        if not wanted or "cold" in wanted:
            results.append(measure.cold_images(bench))
    _print(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
