"""``make bench``: prints what is measured as ratios of one run, never asserted on absolute time."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from launcher import __version__
from launcher.engine.connection import DockerConnection
from tests.benchmarks import (
    deciding,
    ended,
    interactive,
    measure,
    output,
    page,
    queue,
    sampling,
    usage,
)
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


def _queue(bench: Stand) -> list[Result]:
    return [*queue.queue(bench), queue.burst(bench), queue.lag(bench)]


PARTS: Mapping[str, Callable[[Stand], Iterable[Result]]] = {
    "run": lambda bench: [measure.run(bench)],
    "host": lambda bench: [measure.host(bench)],
    "output": output.output,
    "interactive": interactive.interactive,
    "layout": lambda bench: [measure.layout_show(bench)],
    "queue": _queue,
    "ended": ended.ended,
    "usage": usage.usage,
    "page": page.page,
    "sampling": lambda bench: [sampling.sampling(bench)],
    "core": lambda bench: [*deciding.rates(), deciding.day()],
    "throughput": measure.throughput_and_turnaround,
    "cold": lambda bench: [measure.cold_images(bench)],
}
"""What can be measured, by the words of the command line; without a word all of it."""


def main() -> int:
    """Measure and print; the exit status says only whether it could be measured."""
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - PARTS.keys():
        print(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}")
        return 2
    with stand() as bench:
        print(_machine(bench), flush=True)
        results = [result for name in PARTS if name in wanted for result in PARTS[name](bench)]
    _print(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
