"""Images that look like what users name: busybox with a few scripts where their programs are."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from launcher.fakegpu import dockerapi
from launcher.fakegpu.image import CHANGES, busybox_tar
from launcher.fakegpu.sandbox import Sandbox
from launcher.imageref import split


def import_image(
    sandbox: Sandbox, reference: str, programs: Mapping[str, str], data: bytes = b""
) -> None:
    """Make the image ``reference`` of busybox, shell scripts by name in /bin, and a file /data."""
    packed = io.BytesIO(busybox_tar())
    files = {f"bin/{name}": f"#!/bin/sh\n{text}\n".encode() for name, text in programs.items()}
    files |= {"data": data} if data else {}
    with tarfile.open(fileobj=packed, mode="a") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
    tag = ":".join(split(reference))
    dockerapi.import_image(sandbox.socket, packed.getvalue(), tag, CHANGES)


def remove_image(sandbox: Sandbox, reference: str) -> None:
    """Forget an image, whatever uses it."""
    dockerapi.call(sandbox.socket, "DELETE", f"/images/{reference}?force=1")
