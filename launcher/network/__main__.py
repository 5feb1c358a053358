"""Makes the firewall's rules for the network of jobs once, and writes what holds then to a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from launcher.network import firewall, state_file


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 1 if iptables refused the rules, or the file cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m launcher.network", description=__doc__)
    parser.add_argument("--state", type=Path, help="where the result is written; default: nowhere")
    args = parser.parse_args(arguments)
    before = None if args.state is None else state_file.read(args.state)
    state = firewall.apply()
    if args.state is not None:
        try:
            state_file.write(state, args.state)
        except OSError as error:
            print(f"error: cannot write {args.state}: {error.strerror}", file=sys.stderr)  # noqa: T201
            return 1
    if state == before:  # it is in the log already
        return 1 if state.failed else 0
    if state.metadata is not None:
        print(f"the metadata address is not blocked for jobs: {state.metadata}", file=sys.stderr)  # noqa: T201
    if state.isolation is not None:
        print(f"jobs may reach each other: {state.isolation}", file=sys.stderr)  # noqa: T201
    return 1 if state.failed else 0


if __name__ == "__main__":
    sys.exit(main())
