"""``python -m launcher.image_loader``: an archive on stdin, what came of it as JSON on stdout."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys

from launcher.core.model.own_image import KeptImage
from launcher.engine.connection import DockerConnection
from launcher.errors import LauncherError
from launcher.image_loader.archive import Rewriter
from launcher.image_loader.docker_load import DockerLoad

MOST_MEMORY = 768 * 2**20
"""An archive's headers may claim any length."""


def main(arguments: list[str] | None = None) -> int:
    """Load one archive, give the image a name that keeps it, and print its id and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docker", required=True, metavar="URL")
    parser.add_argument("--most", required=True, type=int, metavar="BYTES")
    parser.add_argument("--store", required=True, metavar="ID", help="the daemon's")
    parser.add_argument("--uid", required=True, type=int, help="whose image it is")
    args = parser.parse_args(arguments)
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    try:
        result = _load(args)
    except LauncherError as error:
        result = {"error": {"kind": error.kind, "message": error.message, "fix": error.fix}}
    sys.stdout.write(json.dumps(result))
    return 0


def _load(args: argparse.Namespace) -> dict[str, object]:
    connection = DockerConnection(args.docker)
    load = DockerLoad(connection)
    rewriter = Rewriter(load.send, args.most)
    try:
        rewriter.rewrite(sys.stdin.buffer)
    except BaseException:
        load.abort()
        raise
    image_id = load.finish()
    with connection.borrow() as api:
        image_id = str(api.inspect_image(image_id)["Id"])
        # An image without a name is removed by `docker image prune`.
        kept = KeptImage(args.store, args.uid, image_id)
        api.tag(image_id, kept.repository, kept.name.rpartition(":")[2], force=True)
    return {"image_id": image_id, "bytes": rewriter.unpacked}


if __name__ == "__main__":
    sys.exit(main())
