"""SPECs of a layout, and mig-parted's files: what is read, what is refused, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.layouts.layout_spec import format_specs, parse_spec
from launcher.jobfile.layouts.mig_parted import dump, load
from launcher.wire import LayoutEntry, LayoutSpec, SavedGpu


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("1g.6gb", LayoutSpec(profile="1g.6gb")),
        ("1G.6GB:2", LayoutSpec(profile="1g.6gb", count=2)),
        ("2g.12gb@2", LayoutSpec(profile="2g.12gb", start=2)),
        ("1g.24gb+me.all", LayoutSpec(profile="1g.24gb+me.all")),
        ("1g.24gb-me:3", LayoutSpec(profile="1g.24gb-me", count=3)),
        ("14:4", LayoutSpec(profile="14", count=4)),
        ("0@0", LayoutSpec(profile="0", start=0)),
        ("1c.3g.20gb:3@4", LayoutSpec(profile="1c.3g.20gb", count=3, start=4)),
        ("2c.2g.24gb+me", LayoutSpec(profile="2c.2g.24gb+me")),
    ],
)
def test_a_spec_is_profile_count_and_place(text: str, spec: LayoutSpec) -> None:
    assert parse_spec(text) == spec
    assert format_specs([parse_spec(text)]) == text.lower()


@pytest.mark.parametrize(
    "text", ["", "1g", "1g.6", "1g.6gb:0", "1g.6gb:2@1", "1g.6gb@", "x:1", "1g.6gb:-1", "c.1g.6gb"]
)
def test_what_is_no_spec_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_spec(text)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return str(path)


CONFIG = """\
version: v1
mig-configs:
  all-disabled:
  - devices: all
    mig-enabled: false
  mixed:
  - device-filter: ["0x20B710DE", "0x20B010DE"]
    devices: [0, 2]
    mig-enabled: true
    mig-devices: {"1g.6gb": 2, "1g.6gb+me": 1}
  - device-filter: "0x2BB510DE"
    devices: all
    mig-enabled: true
    mig-devices: {}
"""


def test_a_files_configuration_is_read_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG)
    assert load(path, "all-disabled", exact=False) == [LayoutEntry(gpus=[], mode=False)]
    specs = [LayoutSpec(profile="1g.6gb", count=2), LayoutSpec(profile="1g.6gb+me")]
    assert load(path, "mixed", exact=True) == [
        LayoutEntry(gpus=["0", "2"], models=["0x20B710DE", "0x20B010DE"], specs=specs, exact=True,
                    mode=True),
        LayoutEntry(gpus=[], models=["0x2BB510DE"], specs=[], exact=True, mode=True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [(None, "several configurations"), ("none", "no configuration 'none'")],
)
def test_a_configuration_must_be_named_where_there_are_several(
    tmp_path: Path, name: str | None, said: str
) -> None:
    with pytest.raises(JobFileError, match=said) as caught:
        load(written(tmp_path, CONFIG), name, exact=False)
    assert "all-disabled, mixed" in (caught.value.fix or "")


ENTRY = "version: v1\nmig-configs:\n  a:\n  - devices: all\n    mig-enabled: true\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: v2\nmig-configs: {}\n", "1:10.*version: v1"),
        ("version: v1\n", "mig-configs. is missing"),
        ("version: v1\nmig-configs:\n  a: all\n", "3:6.*list of entries"),
        (ENTRY, "4:5.*mig-devices. is missing"),
        (ENTRY + "    mig-devices: {1g.6gb: two}\n", "6:27.*number of instances"),
        (ENTRY + "    mig-device: {}\n", "6:5.*mig-device"),
        (ENTRY.replace("true", "false") + "    mig-devices: {1g.6gb: 1}\n", "mig-enabled: true"),
        (ENTRY.replace("true", "yes"), "5:18.*true or false"),
        (ENTRY.replace("all", "some") + "    mig-devices: {}\n", "4:14.*indexes"),
        (ENTRY + "    mig-devices: {}\n    device-filter: A30\n", "7:20.*PCI id"),
        ("version: v1\nversion: v1\n", "twice"),
        ("", "mig-parted file"),
    ],
)
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(JobFileError, match=said):
        load(written(tmp_path, text), None, exact=False)


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(JobFileError, match="/no/such: cannot read it"):
        load("/no/such", None, exact=False)


def test_what_is_written_is_read_as_the_same(tmp_path: Path) -> None:
    places = [LayoutSpec(profile="1g.6gb", start=0), LayoutSpec(profile="1g.6gb", start=1)]
    gpus = [
        SavedGpu(gpu="GPU-a", index=0, mode=True, places=places),
        SavedGpu(gpu="GPU-b", index=1, mode=True),
        SavedGpu(gpu="GPU-c", index=2, mode=False),
    ]
    assert load(written(tmp_path, dump(gpus, "x")), "x", exact=False) == [
        LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="1g.6gb", count=2)], mode=True),
        LayoutEntry(gpus=["1"], specs=[], mode=True),
        LayoutEntry(gpus=["2"], mode=False),
    ]
