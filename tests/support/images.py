"""Images that look like what users name: busybox with a few scripts where their programs are."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from launcher.engine.images import parse_reference
from launcher.fakegpu import dockerapi
from launcher.fakegpu.image import CHANGES, busybox_tar
from launcher.fakegpu.sandbox import Sandbox


def import_image(sandbox: Sandbox, reference: str, programs: Mapping[str, str]) -> None:
    """Make the image ``reference`` of busybox and these shell scripts, by name, in /bin."""
    packed = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=packed, mode="a") as tar:
        for name, script in programs.items():
            content = f"#!/bin/sh\n{script}\n".encode()
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
    tag = ":".join(parse_reference(reference))
    dockerapi.import_image(sandbox.socket, packed.getvalue(), tag, CHANGES)


def remove_image(sandbox: Sandbox, reference: str) -> None:
    """Forget an image, whatever uses it."""
    dockerapi.call(sandbox.socket, "DELETE", f"/images/{reference}?force=1")
