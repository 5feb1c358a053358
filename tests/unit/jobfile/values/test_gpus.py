"""``gpus:`` in all its forms: a SPEC, the short mapping, Compose's long form."""

from __future__ import annotations

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.values.gpus import read_gpus
from launcher.jobfile.values.nodes import read_node
from launcher.spec.gpus import GpuRequest

ID = "MIG-11111111-2222-3333-4444-555555555555"
OTHER = "MIG-11111111-2222-3333-4444-666666666666"


def read(text: str) -> GpuRequest:
    return read_gpus(read_node(text, "f.yaml"))


def refused(text: str) -> str:
    with pytest.raises(JobFileError) as error:
        read(text)
    return error.value.message


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1g.6gb", GpuRequest("profile", profile="1g.6gb")),
        ("{profile: 1g.6gb, count: 2}", GpuRequest("profile", profile="1g.6gb", count=2)),
        ("{memory: 10g}", GpuRequest("memory", memory_gb=10)),
        ("{memory: auto}", GpuRequest("memory", memory_auto=True)),
        ("{driver: nvidia, options: {memory: 10g}}", GpuRequest("memory", memory_gb=10)),
        ("[{profile: 1g.6gb}]", GpuRequest("profile", profile="1g.6gb")),
        ("[{count: -1}]", GpuRequest("all")),
        ("[{count: all, driver: nvidia}]", GpuRequest("all")),
        ("{capabilities: [gpu]}", GpuRequest("all")),
        ("{driver: nvidia, count: 2}", GpuRequest("full", count=2)),
        ("{capabilities: [gpu, compute], profile: 1g.6gb}",
         GpuRequest("profile", profile="1g.6gb")),
        ("{x-why: because, profile: 1g.6gb}", GpuRequest("profile", profile="1g.6gb")),
        (f"{{device_ids: [{ID}, {OTHER}]}}", GpuRequest("uuid", count=1, uuids=(ID, OTHER))),
    ],
)  # fmt: skip
def test_each_form_is_read(text: str, result: GpuRequest) -> None:
    assert read(text).kind == result.kind
    assert read(text).uuids == result.uuids
    if result.kind != "uuid":
        assert read(text) == result


@pytest.mark.parametrize("text", ["[]", "[1g.6gb]", "[{profile: 1g.6gb}, {profile: 1g.6gb}]"])
def test_a_list_holds_exactly_one_mapping(text: str) -> None:
    assert "takes one mapping" in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{count: 2}",
        "{profile: 1g.6gb, memory: 10g}",
        "{profile: 1g.6gb, options: {memory: 10g}}",
        "{profile: 1g.6gb, options: {profile: 1g.6gb}}",
    ],
)
def test_a_mapping_asks_for_one_thing(text: str) -> None:
    assert "exactly one of `profile` and `memory`" in refused(text)


@pytest.mark.parametrize("extra", ["count: 2", "profile: 1g.6gb", "options: {memory: 10g}"])
def test_named_slices_take_nothing_beside_them(extra: str) -> None:
    assert "leave the other keys out" in refused(f"{{device_ids: [{ID}], {extra}}}")


@pytest.mark.parametrize("what", ["profile: 1g.6gb", f"device_ids: [{ID}]"])
def test_another_driver_or_capability_is_refused_whatever_is_asked_for(what: str) -> None:
    assert "driver 'amd' is not known" in refused(f"{{driver: amd, {what}}}")
    told = refused(f"{{capabilities: [x11], {what}}}")
    assert "'x11' is not a driver capability: compute, utility, video" in told


@pytest.mark.parametrize(
    ("words", "capabilities"),
    [
        ("[gpu]", ()),
        ("[gpu, utility, compute]", ()),
        ("[video, gpu]", ("video",)),
        ("[all]", ("video", "graphics")),
        ("[display, video, display]", ("video", "display")),
    ],
)
def test_what_is_beyond_compute_and_utility_is_asked_of_the_driver(
    words: str, capabilities: tuple[str, ...]
) -> None:
    assert read(f"{{profile: 1g.6gb, capabilities: {words}}}").capabilities == capabilities


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{profil: 1g.6gb}", "did you mean `profile`?"),
        ("{options: {profil: 1g.6gb}}", "did you mean `profile`?"),
        ("{profile: 1g.6gb, count: 0}", "`count`: "),
        ("{profile: 1x}", "`profile`: "),
        ("{memory: much}", "`memory`: "),
        ("{device_ids: []}", "`device_ids` is empty"),
        ("{device_ids: [0]}", "`device_ids`: "),
        ("{profile: [1g.6gb]}", "`profile` must be text"),
    ],
)
def test_a_mistake_is_told_with_the_key_that_has_it(text: str, words: str) -> None:
    assert words in refused(text)
