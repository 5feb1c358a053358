"""Image archives are passed on without names, and bounded."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from launcher.image_loader.archive import ArchiveRefused, Rewriter

MIB = 2**20
DIGEST = "a" * 64


def tar(files: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


LAYER = tar({"bin/x": b"x" * 5000})
CONFIG = json.dumps({"architecture": "amd64"}).encode()


def manifest(**more: Any) -> bytes:
    one = {
        "Config": "c.json",
        "RepoTags": ["nvcr.io/nvidia/pytorch:25.01-py3"],
        "Layers": ["1/layer.tar"],
    }
    return json.dumps([one | more]).encode()


def saved(**changes: bytes | None) -> dict[str, bytes]:
    """An archive as `docker save` writes it."""
    files = {
        "1/layer.tar": LAYER, "c.json": CONFIG, "manifest.json": manifest(),
        "repositories": b'{"nvcr.io/nvidia/pytorch": {"25.01-py3": "1"}}',
    }  # fmt: skip
    return {n: c for n, c in (files | changes).items() if c is not None}


def oci(**changes: bytes) -> dict[str, bytes]:
    """An archive as `docker save` of Docker 25 and `buildah push oci-archive:` write it."""
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "digest": "sha256:m",
                "annotations": {
                    "io.containerd.image.name": "nvcr.io/nvidia/pytorch:25.01-py3",
                    "org.opencontainers.image.ref.name": "25.01-py3",
                    "other": "stays",
                },
            }
        ],
    }
    blob = {"layers": [{"digest": f"sha256:{DIGEST}"}], "config": {"digest": "sha256:c"}}
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
        "blobs/sha256/m": json.dumps(blob).encode(),
        "blobs/sha256/c": CONFIG,
        f"blobs/sha256/{DIGEST}": gzip.compress(LAYER),
    }
    return files | changes


def rewritten(data: bytes, most: int = MIB) -> tuple[dict[str, bytes], Rewriter]:
    sent = io.BytesIO()
    rewriter = Rewriter(sent.write, most)  # type: ignore[arg-type]
    rewriter.rewrite(io.BytesIO(data))
    sent.seek(0)
    with tarfile.open(fileobj=sent) as archive:
        files = {m.name: archive.extractfile(m) for m in archive if m.isreg()}
        return {name: file.read() for name, file in files.items() if file}, rewriter


def test_the_names_of_a_saved_image_are_gone_and_all_else_is_as_it_was() -> None:
    files, rewriter = rewritten(tar(saved()))
    assert b"nvcr.io" not in b"".join(files.values())
    assert json.loads(files["manifest.json"])[0]["RepoTags"] is None
    assert files["1/layer.tar"] == LAYER
    assert files["c.json"] == CONFIG
    assert rewriter.unpacked == len(LAYER)


def test_the_names_of_an_oci_archive_are_gone() -> None:
    files, _ = rewritten(tar(oci()))
    assert b"nvcr.io" not in b"".join(files.values())
    assert b"ref.name" not in files["index.json"]
    assert b"stays" in files["index.json"]
    assert files[f"blobs/sha256/{DIGEST}"] == gzip.compress(LAYER, mtime=0) or files[
        f"blobs/sha256/{DIGEST}"
    ].startswith(b"\x1f\x8b")


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_an_archive_may_be_compressed_as_a_whole(pack: Callable[[bytes], bytes]) -> None:
    assert rewritten(pack(tar(saved())))[0]["1/layer.tar"] == LAYER


def test_a_layer_that_two_images_share_may_be_a_link() -> None:
    data = tar(saved(**{"manifest.json": manifest(Layers=["1/layer.tar", "2/layer.tar"])}),
               link("2/layer.tar", "../1/layer.tar"))  # fmt: skip
    assert rewritten(data)[0]["1/layer.tar"] == LAYER


BOMB = gzip.compress(tar({"zeros": bytes(3 * MIB)}))
TWO = b'{"manifests": [{"digest": "a"}, {"digest": "b"}]}'


def sparse_layer() -> bytes:
    """A layer of a few blocks with a file of 1 TiB: GNU's sparse format 1.0."""
    info = tarfile.TarInfo("GNUSparseFile.0/huge")
    content = b"1\n0\n0\n".ljust(512, b"\0")
    info.size = len(content)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "huge",
        "GNU.sparse.realsize": str(1 << 40),
    }  # fmt: skip
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tar(saved(**{"1/layer.tar": BOMB})), "more than 1 MiB or"),
        (tar(saved(**{"1/layer.tar": sparse_layer()})), "more than 1 MiB or"),
        (tar(oci(**{f"blobs/sha256/{DIGEST}": BOMB})), "more than 1 MiB or"),
        (tar(saved(**{"1/layer.tar": b"\x28\xb5\x2f\xfd" + bytes(100)})), "compressed with zstd"),
        (tar(saved(**{"1/layer.tar": b"not a layer at all"})), "is not JSON and not a layer"),
        (tar(saved(**{"1/layer.tar": None})), "lacks the layer 1/layer.tar"),
        (tar(saved(**{"manifest.json": None})), "use `docker save`"),
        (tar(saved(**{"manifest.json": b"[]"})), "does not have exactly one image"),
        (tar(saved(**{"manifest.json": b"[{}, {}]"})), "does not have exactly one image"),
        (tar(saved(**{"manifest.json": b"{"})), "does not have exactly one image"),
        (tar(saved(), link("manifest.json", "c.json")), "is not a plain file"),
        (tar(saved(), link("x", ".")), "which is not a layer"),
        (tar(saved(), link("x/layer.tar", "..")), "which is not a layer"),
        (tar(saved(), link("y", "manifest.json", tarfile.LNKTYPE)), "is not a plain file"),
        (tar(saved(), link("dev", "", tarfile.CHRTYPE)), "is not a plain file"),
        (tar(saved(**{"../x": b"{}"})), "leads out of the archive"),
        (tar(saved(**{"/etc/x": b"{}"})), "leads out of the archive"),
        (tar(oci(**{"index.json": TWO})), "has 2 images"),
        (tar(saved())[:3000], "cut short"),
        (b"", "not an image archive"),
        (b"MZ" + bytes(5000), "not an image archive"),
        (tar({f"{n}.json": b"{}" for n in range(10_001)}), "more than 10000 files"),
    ],
)  # fmt: skip
def test_what_could_name_an_image_or_fill_the_disk_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ArchiveRefused) as refused:
        rewritten(data)
    assert words in f"{refused.value.message} {refused.value.fix}".replace("Use", "use")


def test_a_second_list_of_names_is_cleaned_like_the_first() -> None:
    twice = tar(saved() | {"./manifest.json": manifest()})
    sent = io.BytesIO()
    Rewriter(sent.write, MIB).rewrite(io.BytesIO(twice))  # type: ignore[arg-type]
    assert b"nvcr.io" not in sent.getvalue()
