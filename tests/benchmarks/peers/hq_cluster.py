"""A program for the environment that has HyperQueue: a cluster that takes jobs on standard input.

``hq_cluster.py DIRECTORY CORES``, then lines "SCRIPT COUNT". It ends with its standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path

import hyperqueue  # type: ignore[import-not-found,unused-ignore]
from hyperqueue import ffi  # type: ignore[import-not-found,unused-ignore]
from hyperqueue.cluster import (  # type: ignore[import-not-found,unused-ignore]
    LocalCluster,
    WorkerConfig,
)


def main() -> None:
    """Serve until the standard input ends."""
    if sys.argv[1] == "--version":
        print(ffi.get_version())
        return
    directory, cores = sys.argv[1:]
    Path(directory).mkdir()
    with LocalCluster(directory, WorkerConfig(cores=int(cores))) as cluster:
        client = cluster.client()
        print("ready", flush=True)
        for line in sys.stdin:
            script, count = line.split()
            job = hyperqueue.Job(max_fails=None)
            for number in range(1, int(count) + 1):
                job.program([script, str(number)], stdout="/dev/null", stderr="/dev/null")
            client.submit(job)
            print("submitted", flush=True)


if __name__ == "__main__":
    main()
