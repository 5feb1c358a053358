"""``launch submit`` of what cannot be: one clear message, exit 2, and nothing is queued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.shell import Ended, Shell
from tests.support.daemon import BUSYBOX

GOOD = f"image: {BUSYBOX}\ncommand: ['true']\n"
MIB = 2**20

WRONG: dict[str, tuple[str, str, str]] = {
    "an unknown key": (GOOD + "colour: red\n", "3:1", "`colour` is not a key of a job"),
    "a misspelt key": (
        GOOD + "enviroment: {A: b}\n",
        "3:1",
        "`enviroment` is not a key of a job (did you mean `environment`?)",
    ),
    "a misspelt key of schedule": (
        GOOD + "schedule:\n  time_limt: 4h\n",
        "4:3",
        "(did you mean `time_limit`?)",
    ),
    "a key of Compose that is not ours": (GOOD + "privileged: true\n", "3:1", "`privileged`"),
    "a wrong type": (
        f"image: {BUSYBOX}\ncommand: {{run: me}}\n",
        "2:10",
        "`command` must be text, not a mapping",
    ),
    "a list in place of text": ("image: [a]\n", "1:8", "`image` must be text, not a list"),
    "no image": ("name: nameless\n", "1:1", "the job has no `image`"),
    "a bad unit": (GOOD + "mem_limit: 4q\n", "3:12", "'4q' is not a valid size: write 8g, 64m"),
    "a time without a unit": (GOOD + "schedule: {time_limit: 30}\n", "3:24", "write 30s"),
    "a key that is there twice": (
        GOOD + "image: other\n",
        "3:1",
        "the key `image` is there twice (first in line 1)",
    ),
    "an alias of itself": (
        f"image: {BUSYBOX}\ncommand: &it [*it]\n",
        "2:15",
        "the alias *it stands inside what it names",
    ),
    "an alias": (GOOD + "name: *it\n", "3:7", "the alias *it has no anchor before it"),
    "not YAML": (GOOD + "name: [open\n", "4:1", "not valid YAML"),
    "a variable that is ours": (
        GOOD + "environment: {NVIDIA_VISIBLE_DEVICES: all}\n",
        "3:15",
        "NVIDIA_VISIBLE_DEVICES cannot be set by a job",
    ),
    "one bad job of three": (
        f"jobs:\n  a: {{image: {BUSYBOX}}}\n  b: {{imag: x}}\n  c: {{image: {BUSYBOX}}}\n",
        "3:7",
        "`imag` is not a key of a job (did you mean `image`?)",
    ),
}

IMPOSSIBLE: dict[str, tuple[str, list[str]]] = {
    "no such profile": ("9g.99gb", ["9g.99gb", "1g.6gb", "2g.12gb", "4g.24gb"]),
    "more than there can be": ("1g.6gb:5", ["5 x 1g.6gb", "at most 4 at once"]),
    "more memory than any has": ("{memory: 200g}", ["4g.24gb"]),
    "a slice that does not exist": (
        "MIG-00000000-0000-0000-0000-000000000000",
        ["MIG-00000000-0000-0000-0000-000000000000", "`launch slices`"],
    ),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "job.yaml"


@pytest.fixture(autouse=True)
def nothing_is_queued(launch: Shell) -> Iterator[None]:
    """What ``ps -a`` prints is the same before and after."""
    before = launch("ps", "-a", "-o", "json").ok().json
    yield
    assert launch("ps", "-a", "-o", "json").ok().json == before


def refused(done: Ended) -> str:
    """What is said; short, and nothing is on stdout."""
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("launch: ")
    assert len(done.err.splitlines()) <= 3
    return done.err


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_named_with_its_place(launch: Shell, file: Path, what: str) -> None:
    text, place, said = WRONG[what]
    file.write_text(text)
    error = refused(launch("submit", str(file)))
    assert error.startswith(f"launch: {file}:{place}: "), error
    assert said in error
    assert f"launch: <stdin>:{place}: " in refused(launch("submit", "-", stdin=text.encode()))


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_no_gpu_here_could_give_is_said_with_what_there_is(
    launch: Shell, file: Path, what: str
) -> None:
    gpus, said = IMPOSSIBLE[what]
    file.write_text(f"{GOOD}gpus: {gpus}\n")
    error = refused(launch("submit", str(file)))
    assert all(text in error for text in said), error
    refused(launch("submit", "--dry-run", str(file)))


def test_of_several_jobs_the_one_that_cannot_be_is_named(launch: Shell, file: Path) -> None:
    job = f"{{image: {BUSYBOX}, command: ['true']"
    file.write_text(f"jobs:\n  good: {job}}}\n  greedy: {job}, gpus: 1g.6gb:9}}\n")
    assert "greedy" in refused(launch("submit", str(file)))


@pytest.mark.parametrize("size", [10 * MIB, 256 * 1024 + 1])
def test_a_file_that_is_too_large_is_refused_unread(launch: Shell, file: Path, size: int) -> None:
    data = (GOOD + "#").encode().ljust(size, b"x")
    file.write_bytes(data)
    assert f"{file}: a job file may have up to 256 KiB" in refused(launch("submit", str(file)))
    assert "up to 256 KiB" in refused(launch("submit", "-", stdin=data))


def test_a_bad_file_among_good_ones_queues_none_and_every_mistake_is_said(
    launch: Shell, file: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text("image: Upper\n")
    file.write_text(GOOD + "cpus: many\n")
    error = refused(launch("submit", str(good), str(bad), str(file)))
    assert f"{bad}:1:8: " in error
    assert f"{file}:3:7: " in error


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(launch: Shell, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert f"launch: {path}: " in refused(launch("submit", str(path)))


def test_bytes_that_are_no_text_are_refused(launch: Shell, file: Path) -> None:
    file.write_bytes(GOOD.encode() + b"name: \xff\xfe\n")
    assert f"{file}:3:7: the file is not UTF-8 text" in refused(launch("submit", str(file)))
