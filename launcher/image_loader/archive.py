"""Rewrites an image archive without names, and bounds what Docker unpacks from it.

Docker gives a loaded image every name that its archive has (moby image/tarexport): one could
replace everybody's nvcr.io image. The names are in ``manifest.json``, ``repositories`` and the
annotations of ``index.json`` (``docker save``, podman, buildah; OCI image layout).

Docker takes a layer or manifest that it already has by its digest, and does not read the archive's:
whoever knew the digests in another user's private image could have its content. So the archive must
have all that it names, with the content that the digests stand for.

The archive passes through once. Every file in it must be JSON or a layer, and each layer is read
through, so that its unpacked size counts: compressed and sparse files can be small and hold much.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from launcher.image_loader import documents
from launcher.image_loader.documents import ImageParts, plain
from launcher.image_loader.layers import StrictInfo, Tee, read_layer
from launcher.image_loader.refused import ArchiveRefused

MOST_JSON = 4 * 2**20
MOST_MEMBERS = 10_000
"""Of the archive: an image has a few hundred layers at most."""
MOST_NAMED = 100_000
"""Files that the documents of an archive name."""
MOST_FILES = 5_000_000
"""In all layers together."""
FIRST = "archive"
"""The first entry that Docker sees: a user's would be a chance to look like a compressed file."""
_DROPPED = re.compile(r"\.|repositories|[^/]+/VERSION")
"""Names of images, and what `docker save` writes for Docker before 1.10."""
_NAMED = ("manifest.json", "repositories", "index.json")
_OCI_ONLY = ("index.json", "oci-layout")

_BROKEN = (
    tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, MemoryError,
    TypeError, ValueError, OverflowError,
)  # fmt: skip
"""What tarfile raises for a broken archive; the last three where it does not expect its end."""

Send = Callable[[bytes], None]


@dataclass(slots=True)
class Rewriter:
    """Passes one archive on. ``most`` is the limit of its unpacked layers in bytes."""

    send: Send
    most: int
    unpacked: int = 0
    files: int = 0
    members: int = 0
    _named: int = 0
    _last: dict[str, bytes] = field(default_factory=dict)
    """Documents that are sent at the end: which of them Docker may see depends on the others."""
    _docker: ImageParts | None = None
    _oci: list[ImageParts] = field(default_factory=list)
    _wanted: set[str] = field(default_factory=set)
    """The files that an OCI index or manifest names."""
    _json: set[str] = field(default_factory=set)
    """The layers that an OCI manifest declares to be JSON."""
    _digests: dict[str, str] = field(default_factory=dict)
    """The digests of unpacked layers, and of documents."""
    _layers: set[str] = field(default_factory=set)
    _configs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The digests that each configuration names."""
    _links: dict[str, str] = field(default_factory=dict)

    def rewrite(self, source: BinaryIO) -> None:
        """Pass the archive on; raises ``ArchiveRefused``."""
        self._header(FIRST, tarfile.DIRTYPE, 0)
        try:
            with tarfile.open(fileobj=source, mode="r|*", tarinfo=StrictInfo) as archive:
                for member in archive:
                    self._member(archive, member)
        except _BROKEN as error:
            raise ArchiveRefused(
                f"this is not an image archive, or it is cut short: {error}",
                fix="Make one with `docker save IMAGE -o FILE` or `buildah push IMAGE "
                "docker-archive:FILE`.",
            ) from error
        self._check()
        for name, data in self._last.items():
            if self._docker is None or name not in _OCI_ONLY:
                self._send_file(name, data)
        self.send(bytes(2 * tarfile.BLOCKSIZE))

    def _check(self) -> None:
        """Raise ``ArchiveRefused`` unless the archive has whatever it names."""
        if self._docker is None and "index.json" not in self._last:
            raise ArchiveRefused(
                "the archive has no manifest.json or index.json",
                fix="Use `docker save`, not `docker export`.",
            )
        if self._docker is not None:
            self._check_image(self._docker, may_be_json=False)
            return  # Docker sees no index then
        missing = self._wanted - self._digests.keys()
        if missing:
            raise ArchiveRefused(
                f"the archive lacks {min(missing)[:120]}",
                fix="Of an image for several platforms save one: `docker save --platform "
                "linux/amd64`.",
            )
        for image in self._oci:
            self._check_image(image, may_be_json=True)

    def _check_image(self, image: ImageParts, *, may_be_json: bool) -> None:
        links = self._links
        layers = [links.get(name, name) for name in image.layers]
        as_json = self._json if may_be_json else set()
        for name in layers:
            if name not in self._layers and name not in as_json:
                raise ArchiveRefused(f"the archive lacks the layer {name[:120]}")
        if image.config not in self._configs:
            raise ArchiveRefused(f"the archive lacks the configuration {image.config[:120]}")
        if self._configs[image.config] != tuple(self._digests[name] for name in layers):
            raise ArchiveRefused(
                f"the layers are not those that the configuration {image.config[:120]} names",
                fix="Save the image again: `docker save IMAGE -o FILE`.",
            )

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise ArchiveRefused(f"the archive has more than {MOST_MEMBERS} files")
        name = plain(member.name)
        if _DROPPED.fullmatch(name):
            return
        if any(f"{name}/".startswith(f"{link}/") for link in self._links):
            raise ArchiveRefused(f"{name[:120]} is below a link")
        if not member.isdir() and (name in self._digests or name in self._last):
            raise ArchiveRefused(f"{name[:120]} is in the archive twice")
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
        if not name.endswith("/layer.tar") or inside not in self._layers:
            raise ArchiveRefused(f"{name[:120]} is a link to {target[:120]}, which is not a layer")
        self._links[name] = inside
        self._header(name, tarfile.SYMTYPE, 0, target)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        content = archive.extractfile(member)
        assert content is not None, "a regular file has content"
        read: Callable[[int], bytes] = content.read
        if name in _NAMED or member.size <= MOST_JSON:
            data = content.read(MOST_JSON + 1)
            if len(data) > MOST_JSON:
                raise ArchiveRefused(f"{name} is larger than {MOST_JSON // 2**20} MiB")
            if (document := documents.parse(data)) is not None or name in _NAMED:
                self._document(name, data, document)
                return
            read = io.BytesIO(data).read
        self._layer(name, member.size, read)

    def _document(self, name: str, data: bytes, document: Any) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self._check_name(name, digest)
        if name == "manifest.json":
            self._docker = documents.docker_image(document)
            self._last[name] = documents.docker_manifest(self._docker)
        elif name == "index.json":
            self._last[name], image = documents.oci_index(document)
            self._wanted.add(image)
        elif name == "oci-layout":
            self._last[name] = data
        else:
            self._blob(name, document)
            self._digests[name] = f"sha256:{digest}"
            self._send_file(name, data)

    def _blob(self, name: str, document: Any) -> None:
        """Take what a configuration, a manifest or an index names."""
        if (ids := documents.diff_ids(document)) is not None:
            self._configs[name] = ids
        if name.startswith("blobs/"):
            image, files = documents.oci_blob(document)
            self._wanted.update(files)
            self._json.update(documents.attestations(document))
            if image is not None:
                self._oci.append(image)
            self._named += len(files)
        self._named += len(ids or ())
        if self._named > MOST_NAMED:
            raise ArchiveRefused(f"the archive names more than {MOST_NAMED} files")

    def _layer(self, name: str, size: int, read: Callable[[int], bytes]) -> None:
        """Pass a layer on while it is read through."""
        self._header(name, tarfile.REGTYPE, size)
        whole = hashlib.sha256()

        def send(piece: bytes) -> None:
            whole.update(piece)
            self.send(piece)

        if size:
            self._digests[name] = read_layer(name, Tee(read, send), self._charge, self._count)
        else:
            self._digests[name] = f"sha256:{whole.hexdigest()}"
        self._check_name(name, whole.hexdigest())
        self._layers.add(name)
        self.send(_padding(size))

    def _check_name(self, name: str, digest: str) -> None:
        """Refuse a blob that is not what its name says."""
        if name.startswith("blobs/") and name != f"blobs/sha256/{digest}":
            raise ArchiveRefused(f"the content of {name[:120]} is not what its name says")

    def _count(self) -> None:
        """Count a file of a layer."""
        self.files += 1
        self._charge(0)

    def _charge(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > self.most or self.files > MOST_FILES:
            limits = f"{self.most // 2**20} MiB or {MOST_FILES} files"
            raise ArchiveRefused(
                f"its layers have more than {limits} when unpacked",
                fix="Remove other images of yours (`launch image rm`), or have an admin raise "
                "image_bytes in [quota] of launcher.toml.",
            )

    def _send_file(self, name: str, data: bytes) -> None:
        self._header(name, tarfile.REGTYPE, len(data))
        self.send(data + _padding(len(data)))

    def _header(self, name: str, kind: bytes, size: int, target: str = "") -> None:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, size, target
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        self.send(info.tobuf(tarfile.PAX_FORMAT))


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
