from __future__ import annotations

import re

import pytest

from launcher.jobfile.values.gpu_spec import describe, parse_spec
from launcher.wire import GpuRequest

MIG = "MIG-11111111-2222-3333-4444-55555555abcd"
GPU = "GPU-11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("none", GpuRequest()),
        ("all", GpuRequest(kind="all")),
        ("full", GpuRequest(kind="full")),
        ("full:2", GpuRequest(kind="full", count=2)),
        ("1g.6gb", GpuRequest(kind="profile", profile="1g.6gb")),
        ("1G.6GB:2", GpuRequest(kind="profile", profile="1g.6gb", count=2)),
        ("1g.24gb+me", GpuRequest(kind="profile", profile="1g.24gb+me")),
        ("1g.24gb+me.all", GpuRequest(kind="profile", profile="1g.24gb+me.all")),
        ("1g.24gb-me", GpuRequest(kind="profile", profile="1g.24gb-me")),
        ("10g", GpuRequest(kind="memory", memory_gb=10)),
        ("10gb:3", GpuRequest(kind="memory", memory_gb=10, count=3)),
        ("10GiB", GpuRequest(kind="memory", memory_mib=10240)),
        ("10240MiB", GpuRequest(kind="memory", memory_mib=10240)),
        ("auto", GpuRequest(kind="memory", memory_auto=True)),
        (MIG, GpuRequest(kind="uuid", uuids=(MIG,))),
        (MIG.lower(), GpuRequest(kind="uuid", uuids=(MIG,))),
        (f"{GPU}, {GPU[:-1]}6", GpuRequest(kind="uuid", uuids=(GPU, f"{GPU[:-1]}6"))),
    ],
)
def test_every_spec_of_the_grammar_is_read(text: str, request_: GpuRequest) -> None:
    assert parse_spec(text) == request_
    assert parse_spec(describe(request_)) == request_


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1", "does not say of what"),
        ("", "is not a valid GPU request"),
        ("big", "is not a valid GPU request"),
        ("device=0", "not named by index"),
        ("all:2", "takes no count"),
        ("none:1", "takes no count"),
        ("auto:2", "auto is for one slice"),
        ("1g.6gb:0", "is not a valid count"),
        ("1g.6gb:", "is not a valid count"),
        ("1g.6gb:1:1", "is not a valid count"),
        ("0g", "is not a valid GPU memory size"),
        ("10m", "is not a valid GPU request"),
        ("1.5g", "is not a valid GPU request"),
        ("MIG-1", "not the UUID of a slice"),
        (f"{MIG},{MIG}", "named twice"),
        (f"{MIG},{GPU}", "cannot be mixed"),
        (f"{MIG},", "not the UUID of a slice"),
        ("1g.6gb" + "+me" * 2000, "too long"),
    ],
)
def test_what_is_no_spec_is_explained(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_spec(text)


MIG_1, MIG_2 = (f"MIG-11111111-2222-3333-4444-55555555555{n}" for n in (1, 2))


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (f"device={MIG_1}", MIG_1),
        (f'"device={MIG_1}"', MIG_1),
        (f'"device={MIG_1},{MIG_2}"', f"{MIG_1},{MIG_2}"),
        (f"device={MIG_1},{MIG_2}", f"{MIG_1},{MIG_2}"),
        (f'"device=GPU{MIG_1[3:]}",capabilities=utility', f"GPU{MIG_1[3:]}"),
        ("all,capabilities=utility", "all"),
        ('all,"capabilities=compute,utility"', "all"),
        ("driver=nvidia,count=all", "all"),
        ("device=1g.6gb:2", "1g.6gb:2"),
    ],
)
def test_what_docker_takes_is_read(text: str, spec: str) -> None:
    assert parse_spec(text) == parse_spec(spec)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("device=0", "not named by index"),
        ('"device=0,1"', "not named by index"),
        ("device=0:0", "not named by index"),
        ("2", "'2' does not say of what: write 1g.6gb:2"),
        ("count=2", "'2' does not say of what: write 1g.6gb:2"),
        ("driver=amd,count=1", "'driver=amd' is not a part of a GPU request"),
        (
            "all,capabilities=x11",
            "'x11' is not a driver capability",
        ),
        ('"', "does not say which or how many"),
        ("device=", "does not say which or how many"),
        ('a\r"=', "is not a valid GPU request"),
    ],
)
def test_what_docker_takes_and_cannot_be_had_is_answered(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_spec(text)
