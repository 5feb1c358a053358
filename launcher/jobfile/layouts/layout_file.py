"""Reads a file with layouts: one of NVIDIA mig-parted's, or an exported one; YAML or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from launcher.errors import JobFileError
from launcher.jobfile.layouts.exported import exported
from launcher.jobfile.layouts.mig_parted import configuration
from launcher.jobfile.values.nodes import MAX_BYTES, Items, read_node
from launcher.wire import LayoutEntry


def load(
    path: str, name: str | None, *, exact: bool, stdin: BinaryIO | None = None
) -> list[LayoutEntry]:
    """Return the entries of a file (``-`` is ``stdin``); ``name`` selects a configuration."""
    file = "<stdin>" if path == "-" and stdin is not None else path
    data = _read(path, stdin)
    if len(data) > MAX_BYTES:
        raise JobFileError(f"it may have up to {MAX_BYTES // 1024} KiB", file=file)
    text = data.decode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "["):  # JSON may be indented with tabs, YAML may not
        text = text.replace("\t", " ")
    root = read_node(text, file)
    if not isinstance(root, Items):
        return configuration(root, name, exact=exact)
    if name is not None:
        raise root.error(
            f"there is no configuration {name!r}: this is an exported layout", fix="Omit --config."
        )
    return exported(root, exact=exact)


def _read(path: str, stdin: BinaryIO | None) -> bytes:
    if path == "-" and stdin is not None:
        return stdin.read(MAX_BYTES + 1)
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise JobFileError(f"cannot read it: {reason}", file=path) from error
