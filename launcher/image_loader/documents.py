"""The JSON in an image archive, read so that Docker cannot read anything else in it.

Go's encoding/json takes keys in any case, and the last of equal keys: what Python sees under
`RepoTags` need not be what Docker does. Whatever is ambiguous is refused.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import Any

from launcher.image_loader.refused import ArchiveRefused

IN_TOTO = "application/vnd.in-toto+json"
"""Layers of attestations, which are JSON."""


@dataclass(frozen=True, slots=True)
class ImageParts:
    """The files of one image: its configuration, and its layers in order."""

    config: str
    layers: tuple[str, ...]


def parse(data: bytes) -> Any:
    """Return the JSON list or object in a file, None if it is something else."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(data, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ArchiveRefused("a JSON file in the archive has a key twice")
    return result


def field(document: dict[str, Any], name: str) -> Any:
    """Return a field; raises ``ArchiveRefused`` if there is another spelling of it."""
    others = [key for key in document if key.casefold() == name.casefold() and key != name]
    if others:
        raise ArchiveRefused(f"a JSON file in the archive has {others[0][:40]!r} for {name!r}")
    return document.get(name)


def plain(name: str) -> str:
    """Return the path of a file in the archive; raises ``ArchiveRefused``."""
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == ".." or not (path.isascii() and path.isprintable()):
        raise ArchiveRefused(f"{name[:120]!r} leads out of the archive, or is not plain text")
    return path


def docker_image(document: Any) -> ImageParts:
    """Return the image of a manifest.json; raises ``ArchiveRefused`` unless it has just one."""
    if not (isinstance(document, list) and len(document) == 1 and isinstance(document[0], dict)):
        raise ArchiveRefused(
            "manifest.json does not have exactly one image",
            fix="Save one image: `docker save IMAGE -o FILE`.",
        )
    config, layers = field(document[0], "Config"), field(document[0], "Layers") or []
    if not isinstance(config, str) or not _texts(layers):
        raise ArchiveRefused("manifest.json: `Config` or `Layers` is not what Docker writes")
    return ImageParts(plain(config), tuple(map(plain, layers)))


def docker_manifest(image: ImageParts) -> bytes:
    """Return a manifest.json that names nothing but files."""
    one = {"Config": image.config, "RepoTags": None, "Layers": list(image.layers)}
    return json.dumps([one]).encode()


def oci_index(document: Any) -> tuple[bytes, str]:
    """Return an index.json without names, and the file of its image."""
    entries = _descriptors(document, "manifests")
    if entries is None:
        raise ArchiveRefused("index.json has no list of manifests")
    files = {blob_of(each) for each in entries}
    if len(files) != 1:
        raise ArchiveRefused(f"index.json has {len(files)} images", fix="Save one image at a time.")
    kept = ("mediaType", "digest", "size", "platform")
    entry = {name: value for name in kept if (value := field(entries[0], name)) is not None}
    return json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(), files.pop()


def blob_of(descriptor: dict[str, Any]) -> str:
    """Return the file of what a descriptor names."""
    digest = field(descriptor, "digest")
    if not isinstance(digest, str):
        raise ArchiveRefused("a manifest in the archive names something without a digest")
    return plain(f"blobs/{digest.replace(':', '/', 1)}")


def oci_blob(document: Any) -> tuple[ImageParts | None, tuple[str, ...]]:
    """Return the image of an OCI manifest, and all files that a manifest or index names."""
    if not isinstance(document, dict):
        return None, ()
    files = [blob_of(each) for each in _descriptors(document, "manifests") or ()]
    layers = [blob_of(each) for each in _descriptors(document, "layers") or ()]
    config = field(document, "config")
    image = None
    if isinstance(config, dict) and field(config, "digest") is not None:
        image = ImageParts(blob_of(config), tuple(layers))
        files.append(image.config)
    return image, (*files, *layers)


def diff_ids(document: Any) -> tuple[str, ...] | None:
    """Return the digests of unpacked layers that an image's configuration names, None if none."""
    root = field(document, "rootfs") if isinstance(document, dict) else None
    ids = field(root, "diff_ids") if isinstance(root, dict) else None
    if ids is None and isinstance(root, dict):
        return ()
    return tuple(ids) if isinstance(ids, list) and _texts(ids) else None


def attestations(document: Any) -> tuple[str, ...]:
    """Return the files that a manifest declares to be JSON."""
    layers = _descriptors(document, "layers") or []
    return tuple(blob_of(each) for each in layers if field(each, "mediaType") == IN_TOTO)


def _descriptors(document: Any, name: str) -> list[dict[str, Any]] | None:
    entries = field(document, name) if isinstance(document, dict) else None
    is_list = isinstance(entries, list) and all(isinstance(each, dict) for each in entries)
    return entries if is_list else None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
