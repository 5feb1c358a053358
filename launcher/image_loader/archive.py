"""Rewrites an image archive without names, and bounds what Docker unpacks from it.

Docker gives a loaded image every name that its archive has (moby image/tarexport): one could
replace everybody's nvcr.io image. The names are in ``manifest.json``, ``repositories`` and the
annotations of ``index.json`` (``docker save``, podman, buildah; OCI image layout).

The archive passes through once. Every file in it must be JSON or a layer, and each layer is read
through, so that its unpacked size counts: compressed and sparse files can be small and hold much.
"""

from __future__ import annotations

import gzip
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from launcher.errors import UserError

MOST_JSON = 4 * 2**20
MOST_MEMBERS = 10_000
"""Of the archive: an image has a few hundred layers at most."""
MOST_FILES = 5_000_000
"""In all layers together."""
_PIECE = 1 << 18
_GZIP = b"\x1f\x8b"
_OTHER = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
}
"""Compressions that Docker reads and this does not."""
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_DROPPED = re.compile(r"\.|repositories|[^/]+/VERSION")
"""Names of images, and what `docker save` writes for Docker before 1.10."""
_NAMED = ("manifest.json", "repositories", "index.json")

Send = Callable[[bytes], None]


class ArchiveRefused(UserError):
    """The archive is not one that can be loaded; says why and what to do."""


@dataclass(slots=True)
class Rewriter:
    """Passes one archive on. ``most`` is the limit of its unpacked layers in bytes."""

    send: Send
    most: int
    unpacked: int = 0
    files: int = 0
    layers: set[str] = field(default_factory=set)
    """The names of the files that were read as layers."""
    wanted: set[str] = field(default_factory=set)
    """The layers that a manifest names."""
    manifests: int = 0
    members: int = 0
    _links: set[str] = field(default_factory=set)

    def rewrite(self, source: BinaryIO) -> None:
        """Pass the archive on; raises ``ArchiveRefused``."""
        try:
            with tarfile.open(fileobj=source, mode="r|*") as archive:
                for member in archive:
                    self._member(archive, member)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, MemoryError) as error:
            raise ArchiveRefused(
                f"this is not an image archive, or it is cut short: {error}",
                fix="Make one with `docker save IMAGE -o FILE` or `buildah push IMAGE "
                "docker-archive:FILE`.",
            ) from error
        if not self.manifests:
            raise ArchiveRefused(
                "the archive has no manifest.json or index.json",
                fix="Use `docker save`, not `docker export`.",
            )
        if missing := self.wanted - self.layers - self._links:
            raise ArchiveRefused(f"the archive lacks the layer {min(missing)[:120]}")
        self.send(bytes(2 * tarfile.BLOCKSIZE))

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise ArchiveRefused(f"the archive has more than {MOST_MEMBERS} files")
        name = _plain(member.name)
        if _DROPPED.fullmatch(name):
            return
        if any(f"{name}/".startswith(f"{link}/") for link in self._links):
            raise ArchiveRefused(f"{name[:120]} is below a link")
        if member.isdir():
            self._header(name, tarfile.DIRTYPE, 0)
        elif member.issym() and name not in _NAMED:
            self._link(name, member.linkname)
        elif member.isreg() and not member.issparse():
            self._file(archive, member, name)
        else:
            raise ArchiveRefused(f"{name[:120]} is not a plain file")

    def _link(self, name: str, target: str) -> None:
        """Pass on a link of an old `docker save`: a layer that another image has too."""
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if not name.endswith("/layer.tar") or inside not in self.layers:
            raise ArchiveRefused(f"{name[:120]} is a link to {target[:120]}, which is not a layer")
        self._links.add(name)
        self._header(name, tarfile.SYMTYPE, 0, target)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        content = archive.extractfile(member)
        assert content is not None, "a regular file has content"
        if name in _NAMED or member.size <= MOST_JSON:
            data = content.read(MOST_JSON + 1)
            if len(data) > MOST_JSON:
                raise ArchiveRefused(f"{name} is larger than {MOST_JSON // 2**20} MiB")
            if (document := _json(data)) is not None or name in _NAMED:
                self._document(name, data, document)
                return
            self._layer(name, member.size, _Tee(_Bytes(data).read, self.send))
            return
        self._layer(name, member.size, _Tee(content.read, self.send))

    def _document(self, name: str, data: bytes, document: Any) -> None:
        if name == "manifest.json":
            data = self._docker_manifest(document)
        elif name == "index.json":
            data = self._oci_index(document)
        else:
            self._oci_manifest(document)
        self._header(name, tarfile.REGTYPE, len(data))
        self.send(data + _padding(len(data)))

    def _docker_manifest(self, document: Any) -> bytes:
        if not (
            isinstance(document, list) and len(document) == 1 and isinstance(document[0], dict)
        ):
            raise ArchiveRefused(
                "manifest.json does not have exactly one image",
                fix="Save one image: `docker save IMAGE -o FILE`.",
            )
        self.manifests += 1
        layers = document[0].get("Layers") or []
        if not all(isinstance(layer, str) for layer in layers):
            raise ArchiveRefused("manifest.json: `Layers` is not a list of names")
        self.wanted |= {_plain(layer) for layer in layers}
        return json.dumps([{**document[0], "RepoTags": None}]).encode()

    def _oci_index(self, document: Any) -> bytes:
        entries = document.get("manifests") if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise ArchiveRefused("index.json has no list of manifests")
        digests = {str(each.get("digest")) for each in entries}
        if len(digests) != 1:
            raise ArchiveRefused(
                f"index.json has {len(digests)} images", fix="Save one image at a time."
            )
        self.manifests += 1
        entry = {**entries[0], "annotations": _without_names(entries[0].get("annotations"))}
        annotations = _without_names(document.get("annotations"))
        return json.dumps({**document, "manifests": [entry], "annotations": annotations}).encode()

    def _oci_manifest(self, document: Any) -> None:
        """Take the layers of a blob that is a manifest."""
        layers = document.get("layers") if isinstance(document, dict) else None
        if isinstance(layers, list):
            for layer in layers:
                digest = layer.get("digest") if isinstance(layer, dict) else None
                if isinstance(digest, str):
                    self.wanted.add(f"blobs/{digest.replace(':', '/', 1)}")

    def _layer(self, name: str, size: int, content: _Tee) -> None:
        """Pass a layer on while it is read through."""
        self._header(name, tarfile.REGTYPE, size)
        start = content.peek(8)
        for magic, kind in _OTHER.items():
            if start.startswith(magic):
                raise ArchiveRefused(
                    f"{name[:120]} is compressed with {kind}",
                    fix="Save the image with gzip or without compression.",
                )
        if size:
            self._count(content, gzipped=start.startswith(_GZIP), name=name)
        content.drain()
        self.send(_padding(size))
        self.layers.add(name)

    def _count(self, content: _Tee, *, gzipped: bool, name: str) -> None:
        """Add the sizes of a layer's files; each costs at least a block."""
        plain: Any = content
        source: Any = _Limited(gzip.GzipFile(fileobj=plain) if gzipped else plain, self._charge)
        try:
            with tarfile.open(fileobj=source, mode="r|") as layer:
                while (member := layer.next()) is not None:
                    self.files += 1
                    self._charge(member.size if member.issparse() else 0)
                    layer.members = []  # type: ignore[attr-defined]  # millions of them would fill the memory
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ArchiveRefused(f"{name[:120]} is not JSON and not a layer: {error}") from error

    def _charge(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > self.most or self.files > MOST_FILES:
            limits = f"{self.most // 2**20} MiB or {MOST_FILES} files"
            raise ArchiveRefused(
                f"its layers have more than {limits} when unpacked",
                fix="Remove other images of yours (`launch image rm`), or have an admin raise "
                "image_bytes in [quota] of launcher.toml.",
            )

    def _header(self, name: str, kind: bytes, size: int, target: str = "") -> None:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, size, target
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        self.send(info.tobuf(tarfile.PAX_FORMAT))


class _Bytes:
    """Reads from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def read(self, size: int) -> bytes:
        piece, self._data = bytes(self._data[:size]), self._data[size:]
        return piece


class _Tee:
    """A file that passes on whatever is read from it."""

    def __init__(self, read: Callable[[int], bytes], send: Send) -> None:
        self._read, self._send = read, send
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        self._ahead += self._read(size - len(self._ahead))
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        size = _PIECE if size is None or size < 0 else size
        piece, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(piece) < size:
            piece += self._read(size - len(piece))
        self._send(piece)
        return piece

    def drain(self) -> None:
        while self.read(_PIECE):
            pass


class _Limited:
    """The unpacked bytes of a layer, each of which is charged."""

    def __init__(self, source: Any, charge: Callable[[int], None]) -> None:
        self._source, self._charge = source, charge

    def read(self, size: int) -> bytes:
        piece: bytes = self._source.read(size)
        self._charge(len(piece))
        return piece


def _without_names(annotations: Any) -> dict[str, Any]:
    items = annotations.items() if isinstance(annotations, dict) else ()
    return {name: value for name, value in items if name not in _NAMES}


def _json(data: bytes) -> Any:
    """Return the JSON list or object in a file, None if it is something else."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _plain(name: str) -> str:
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == ".." or "\0" in path:
        raise ArchiveRefused(f"{name[:120]} leads out of the archive")
    return path


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
