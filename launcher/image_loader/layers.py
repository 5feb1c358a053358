"""Reads layers while they are passed on: how much Docker unpacks from them, and their digests."""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launcher.image_loader.refused import ArchiveRefused

PIECE = 1 << 18
_GZIP = b"\x1f\x8b"
_OTHER = re.compile(
    rb"(?P<zstd>\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)|(?P<xz>\xfd7zX)|(?P<bzip2>BZh)"
)
"""Compressions that Docker reads and this does not; a frame that zstd skips may be a tar's name."""
_BLOCK = tarfile.BLOCKSIZE
_ENDS = (tarfile.EOFHeaderError, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]
MOST_HEADER = 1 << 20
"""As Go's archive/tar."""
_IN_MEMORY = b"xgXLK"
_GNU = b"ustar  \0"
_SPARSE = re.compile(rb"GNU\.sparse\.(?:size|realsize)=\+?([0-9]{1,40})")
_OVERLAP = 128
_ENDLESS = 1 << 62
Charge = Callable[[int], None]
"""Counts bytes that Docker unpacks; raises ``ArchiveRefused``."""


class StrictInfo(tarfile.TarInfo):
    """A header; an invalid one is an error, where Python's tarfile silently stops reading."""

    def _proc_member(self, tar: tarfile.TarFile) -> StrictInfo:
        """Read what belongs to a header; tarfile reads long names and records at once.

        ``frombuf`` is not called by every patch release of Python 3.13.
        """
        if self.type in _IN_MEMORY and self.size > MOST_HEADER:
            raise tarfile.HeaderError(f"a header of {self.size} bytes")
        info: StrictInfo = super()._proc_member(tar)  # type: ignore[misc]
        return info

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> StrictInfo:
        """Return the next header; raises ``tarfile.ReadError``."""
        try:
            return super().fromtarfile(tar)
        except _ENDS:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"invalid header: {error}") from None


class Tee:
    """A file that passes on whatever is read from it."""

    def __init__(self, read: Callable[[int], bytes], send: Callable[[bytes], object]) -> None:
        self._read, self._send = read, send
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """Return the next bytes, which are read again."""
        self._ahead += self._read(size - len(self._ahead))
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes; less only at the end."""
        size = PIECE if size is None or size < 0 else size
        piece, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(piece) < size:
            piece += self._read(size - len(piece))
        self._send(piece)
        return piece

    def drain(self) -> None:
        """Read to the end."""
        while self.read(PIECE):
            pass


@dataclass(slots=True)
class Unpacked:
    """The unpacked bytes of a layer: each is charged, and so is what sparse files have beside them.

    Sparse files are looked for in every block, because Docker and Python may differ in which block
    is a header.
    """

    source: Any
    charge: Charge
    hashed: Any = field(default_factory=hashlib.sha256)
    _rest: bytes = b""
    _text: bytes = b""

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes."""
        piece: bytes = self.source.read(size)
        self.hashed.update(piece)
        self.charge(len(piece))
        self._old_sparse(piece)
        self._pax_sparse(piece)
        return piece

    def _old_sparse(self, piece: bytes) -> None:
        data = self._rest + piece
        whole = len(data) - len(data) % _BLOCK
        kinds, self._rest = data[156:whole:_BLOCK], data[whole:]
        at = kinds.find(b"S")
        while at >= 0:
            block = data[at * _BLOCK : (at + 1) * _BLOCK]
            if block[257:265] == _GNU:
                self.charge(_number(block[483:495]))
            at = kinds.find(b"S", at + 1)

    def _pax_sparse(self, piece: bytes) -> None:
        data, before = self._text + piece, len(self._text)
        for match in _SPARSE.finditer(data) if b"GNU.sparse." in data else ():
            if before <= match.end() < len(data):
                digits = match[1]
                self.charge(int(digits) if len(digits) < 40 else _ENDLESS)
        self._text = data[-_OVERLAP:]


def read_layer(name: str, content: Tee, charge: Charge, a_file: Callable[[], None]) -> str:
    """Read a layer through and return the digest of its unpacked bytes.

    ``a_file`` is called for each file in it. Raises ``ArchiveRefused``.
    """
    start = content.peek(8)
    if (other := _OTHER.match(start)) is not None:
        raise ArchiveRefused(
            f"{name[:120]} is compressed with {other.lastgroup}",
            fix="Save the image with gzip or without compression.",
        )
    plain: Any = content
    unpacked = Unpacked(gzip.GzipFile(fileobj=plain) if start.startswith(_GZIP) else plain, charge)
    source: Any = unpacked
    try:
        with tarfile.open(fileobj=source, mode="r|", tarinfo=StrictInfo) as layer:
            while layer.next() is not None:
                a_file()
                layer.members = []  # type: ignore[attr-defined]  # millions would fill the memory
        while unpacked.read(PIECE):
            pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveRefused(f"{name[:120]} is not JSON and not a layer: {error}") from error
    content.drain()
    return f"sha256:{unpacked.hashed.hexdigest()}"


def _number(field: bytes) -> int:
    """Return a number of a header: octal, or binary with the first bit set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0").split(b"\0")[0] or b"0", 8)
    except ValueError:
        return 0
