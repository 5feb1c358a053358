"""``python -m tests.simulation --seeds 1-1000``: many seeds over all cores; prints the figures.

Runs in processes of their own with a fixed hash seed, so that a seed means the same everywhere.
``--trace N`` prints what happened in one seed.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.seeds import run_seeds, trace


def main() -> int:
    """Run the command line; 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="1-1000", help="first-last")
    parser.add_argument("--trace", type=int, help="one seed, step by step")
    asked = parser.parse_args()
    if asked.trace is not None:
        print("\n".join(trace(asked.trace)))
        return 0
    first, _, last = asked.seeds.partition("-")
    total = run_seeds(int(first), int(last or first) + 1)
    print(total)
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
