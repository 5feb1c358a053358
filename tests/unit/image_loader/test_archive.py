"""Image archives are passed on without names, and bounded."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from launcher.image_loader.archive import FIRST, Rewriter
from launcher.image_loader.refused import ArchiveRefused

MIB = 2**20


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
PACKED = gzip.compress(LAYER, mtime=0)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(*layers: bytes, **more: Any) -> bytes:
    ids = [f"sha256:{sha256(layer)}" for layer in layers]
    one = {"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}}
    return json.dumps(one | more).encode()


CONFIG = config(LAYER)
DIGEST = sha256(PACKED)


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


def descriptor(data: bytes, **more: Any) -> dict[str, Any]:
    return {"digest": f"sha256:{sha256(data)}", "size": len(data)} | more


def blobs(*contents: bytes) -> dict[str, bytes]:
    return {f"blobs/sha256/{sha256(content)}": content for content in contents}


NAMES = {
    "io.containerd.image.name": "nvcr.io/nvidia/pytorch:25.01-py3",
    "org.opencontainers.image.ref.name": "25.01-py3",
}


def oci(
    layer: bytes = PACKED, config: bytes = CONFIG, index: Any = None, **more: Any
) -> dict[str, bytes]:
    """An archive as `docker save` of Docker 25 and `buildah push oci-archive:` write it."""
    blob = {"layers": [descriptor(layer)], "config": descriptor(config)} | more
    manifest = json.dumps(blob).encode()
    entry = descriptor(manifest, annotations=NAMES)
    index = index or {"schemaVersion": 2, "manifests": [entry], "annotations": NAMES}
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **blobs(manifest, config, layer),
    }


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
    assert files[f"blobs/sha256/{DIGEST}"] == PACKED


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_an_archive_may_be_compressed_as_a_whole(pack: Callable[[bytes], bytes]) -> None:
    assert rewritten(pack(tar(saved())))[0]["1/layer.tar"] == LAYER


def test_a_layer_that_two_images_share_may_be_a_link() -> None:
    both = manifest(Layers=["1/layer.tar", "2/layer.tar"])
    data = tar(saved(**{"manifest.json": both, "c.json": config(LAYER, LAYER)}),
               link("2/layer.tar", "../1/layer.tar"))  # fmt: skip
    assert rewritten(data)[0]["1/layer.tar"] == LAYER


BOMB = gzip.compress(tar({"zeros": bytes(3 * MIB)}))
TWO = {"manifests": [{"digest": "a"}, {"digest": "b"}]}


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
        (tar(oci(BOMB)), "more than 1 MiB or"),
        (tar(saved(**{"1/layer.tar": b"\x28\xb5\x2f\xfd" + bytes(100)})), "compressed with zstd"),
        (tar(saved(**{"1/layer.tar": b"not a layer at all"})), "is not JSON and not a layer"),
        (tar(saved(**{"1/layer.tar": None})), "lacks the layer 1/layer.tar"),
        (tar(saved(**{"manifest.json": None})), "use `docker save`"),
        (tar(saved(**{"manifest.json": b"[]"})), "does not have exactly one image"),
        (tar(saved(**{"manifest.json": b"[{}, {}]"})), "does not have exactly one image"),
        (tar(saved(**{"manifest.json": b"{"})), "does not have exactly one image"),
        (tar(saved(), link("manifest.json", "c.json")), "in the archive twice"),
        (tar(oci(), link("manifest.json", "c.json")), "is not a plain file"),
        (tar(saved(), link("x", ".")), "which is not a layer"),
        (tar(saved(), link("x/layer.tar", "..")), "which is not a layer"),
        (tar(saved(), link("y", "manifest.json", tarfile.LNKTYPE)), "is not a plain file"),
        (tar(saved(), link("dev", "", tarfile.CHRTYPE)), "is not a plain file"),
        (tar(saved(**{"../x": b"{}"})), "leads out of the archive"),
        (tar(saved(**{"/etc/x": b"{}"})), "leads out of the archive"),
        (tar(oci(index=TWO)), "has 2 images"),
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


def error_of(data: bytes) -> str:
    with pytest.raises(ArchiveRefused) as refused:
        rewritten(data)
    return refused.value.message


def spelled(text: bytes, key: str, other: str, value: Any) -> bytes:
    """JSON with another spelling of a key after it: Go takes the last one, in any case."""
    return text.replace(
        json.dumps(key).encode(), f'{json.dumps(other)}: {json.dumps(value)}, "{key}"'.encode(), 1
    )


EVIL = ["nvcr.io/nvidia/evil:1"]


@pytest.mark.parametrize("other", ["repotags", "RepoTag\u017f", "RepoTags"])
def test_names_under_another_spelling_do_not_reach_docker(other: str) -> None:
    plain = manifest(RepoTags=None)
    document = plain.replace(b"}]", f", {json.dumps(other)}: {json.dumps(EVIL)}}}]".encode())
    data = tar(saved(**{"manifest.json": document}))
    if other == "RepoTags":
        assert "a key twice" in error_of(data)
    else:
        assert json.loads(rewritten(data)[0]["manifest.json"])[0].keys() == {
            "Config", "RepoTags", "Layers",
        }  # fmt: skip


@pytest.mark.parametrize("key", ["Layers", "Config"])
def test_a_second_spelling_of_what_an_archive_names_is_refused(key: str) -> None:
    data = tar(saved(**{"manifest.json": spelled(manifest(), key, key.upper(), "x")}))
    assert f"for '{key}'" in error_of(data)


@pytest.mark.parametrize(
    "index",
    [
        {"Manifests": [{"digest": "sha256:x", "annotations": NAMES}]},
        {"Annotations": NAMES},
        {"annotationS": NAMES},
    ],
)
def test_an_index_has_no_names_under_another_spelling(index: dict[str, Any]) -> None:
    whole = oci()
    document = json.loads(whole["index.json"])
    document["manifests"][0] |= index
    whole["index.json"] = json.dumps(document | index).encode()
    try:
        files, _ = rewritten(tar(whole))
    except ArchiveRefused:
        return
    assert b"nvcr.io" not in files["index.json"]


def test_docker_sees_no_index_where_there_is_a_manifest_of_its_own() -> None:
    layers = manifest(Config=f"blobs/sha256/{sha256(CONFIG)}", Layers=[f"blobs/sha256/{DIGEST}"])
    files, _ = rewritten(tar(oci() | {"manifest.json": layers}))
    assert "manifest.json" in files
    assert not {"index.json", "oci-layout"} & files.keys()


def test_attestations_are_passed_on() -> None:
    statement = b'{"_type": "https://in-toto.io/Statement/v0.1"}'
    proof = config(statement)
    layer = descriptor(statement, mediaType="application/vnd.in-toto+json")
    attestation = json.dumps({"layers": [layer], "config": descriptor(proof)}).encode()
    image = json.dumps({"layers": [descriptor(PACKED)], "config": descriptor(CONFIG)}).encode()
    both = json.dumps({"manifests": [descriptor(image), descriptor(attestation)]}).encode()
    whole = oci(index={"manifests": [descriptor(both)]})
    files, _ = rewritten(tar(whole | blobs(both, attestation, proof, statement)))
    assert files[f"blobs/sha256/{sha256(statement)}"] == statement


OTHERS = tar({"secret": b"of another user"})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tar(saved(**{"c.json": config(OTHERS)})), "the layers are not those"),
        (tar(saved(**{"c.json": config(LAYER, OTHERS)})), "the layers are not those"),
        (tar(saved(**{"c.json": b'{"architecture": "amd64"}'})), "lacks the configuration"),
        (tar(saved(**{"c.json": None})), "lacks the configuration"),
        (tar(oci(config=config(OTHERS))), "the layers are not those"),
        (tar(oci(layers=[])), "the layers are not those"),
        (tar(oci(layers=[descriptor(OTHERS)])), "lacks blobs/sha256"),
        (tar(oci(config=CONFIG, layers=[descriptor(PACKED), descriptor(OTHERS)])), "lacks blobs"),
        (tar(oci(index={"manifests": [descriptor(OTHERS)]})), "lacks blobs/sha256"),
        (tar(oci() | {f"blobs/sha256/{'a' * 64}": LAYER}), "not what its name says"),
        (tar(oci() | {f"blobs/sha256/{'a' * 64}": CONFIG}), "not what its name says"),
        (tar(oci(config=CONFIG) | blobs(spelled(b'{"layers": []}', "layers", "Layers", []))),
         "for 'layers'"),
    ],
)  # fmt: skip
def test_an_archive_has_whatever_it_names(data: bytes, words: str) -> None:
    assert words in error_of(data)


def test_json_counts_as_a_layer_of_an_attestation_alone() -> None:
    note = b'{"any": "JSON"}'
    assert "lacks the layer" in error_of(tar(oci(note, config(note))))
    assert "lacks the layer" in error_of(
        tar(saved(**{"1/layer.tar": note, "c.json": config(note)}))
    )


def test_what_docker_sees_first_is_not_the_users() -> None:
    sent = io.BytesIO()
    frame = "P*M\x18\1\1\1\1"  # zstd skips it
    with pytest.raises(ArchiveRefused, match="not plain text"):
        Rewriter(sent.write, MIB).rewrite(io.BytesIO(tar({frame: b"{}"})))  # type: ignore[arg-type]
    assert sent.getvalue().startswith(FIRST.encode())
    assert "compressed with zstd" in error_of(tar(saved(**{"1/layer.tar": tar({frame: b""})})))
    rewritten(tar({"BZh9": b"{}"} | saved()))


def binary(header: bytes) -> bytes:
    """A header whose device number is in the binary form that Python does not read."""
    changed = bytearray(header)
    changed[329:337] = b"\x81" + bytes(7)
    changed[148:156] = b" " * 8
    changed[148:156] = f"{sum(changed):06o}\0 ".encode()
    return bytes(changed)


def test_a_layer_is_read_to_its_end_whatever_python_stops_at() -> None:
    huge = tar({"zeros": bytes(3 * MIB)})
    odd = tar({"a": b""})[:512] + binary(tar({"b": b""})[:512]) + huge
    assert "not a layer" in error_of(tar(saved(**{"1/layer.tar": gzip.compress(odd)})))
    after_the_end = gzip.compress(tar({"a": b""}) + huge)
    assert "more than 1 MiB" in error_of(tar(saved(**{"1/layer.tar": after_the_end})))


def old_sparse(size: bytes) -> bytes:
    header = bytearray(tar({"huge": b""})[:512])
    header[156:157], header[257:265], header[483:495] = b"S", b"ustar  \0", size
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


@pytest.mark.parametrize("size", [b"00010000000\0", b"\x80" + (1 << 40).to_bytes(11, "big")])
@pytest.mark.parametrize("before", [0, 511 * 512, (1 << 18) - 512])
def test_sparse_files_count_wherever_their_header_is(size: bytes, before: int) -> None:
    hidden = tar({"x": bytes(before) + old_sparse(size)})
    assert "more than 1 MiB" in error_of(tar(saved(**{"1/layer.tar": gzip.compress(hidden)})))


@pytest.mark.parametrize("before", [0, *range(523700, 523800, 9)])
@pytest.mark.parametrize("record", [b"size=9999999", b"realsize=" + b"0" * 200 + b"9999999"])
def test_sparse_files_count_whatever_record_has_their_size(before: int, record: bytes) -> None:
    hidden = tar({"x": bytes(before) + b"29 GNU.sparse." + record + b"\n"})
    assert "more than 1 MiB" in error_of(tar(saved(**{"1/layer.tar": hidden})))


def test_a_file_is_in_an_archive_once() -> None:
    assert "twice" in error_of(tar(saved() | {"./manifest.json": manifest()}))
    assert "twice" in error_of(tar(saved() | {"./1/layer.tar": LAYER}))


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_does_not_claim_the_memory(kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 4 * MIB
    huge = info.tobuf(tarfile.USTAR_FORMAT) + bytes(4 * MIB)
    assert "a header of 4194304 bytes" in error_of(huge + tar(saved()))
    assert "a header of 4194304 bytes" in error_of(
        tar(saved(**{"1/layer.tar": gzip.compress(huge + LAYER)}))
    )


@pytest.mark.parametrize("flags", [0, 4, 8, 16, 31])
def test_an_archive_that_is_cut_short_anywhere_is_refused(flags: int) -> None:
    packed = bytearray(gzip.compress(tar(saved())))
    packed[3] = flags
    for length in range(1, 30):
        assert "cut short" in error_of(bytes(packed[:length]))
