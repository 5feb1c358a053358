"""SPECs of a layout, and mig-parted's files: what is read, what is refused, and where."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.layouts.layout_file import load
from launcher.jobfile.layouts.layout_spec import format_specs, parse_spec
from launcher.jobfile.layouts.mig_parted import dump
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
    assert load(path, "all-disabled", exact=False) == [
        LayoutEntry(gpus=[], mode=False, matches=True)
    ]
    specs = [LayoutSpec(profile="1g.6gb", count=2), LayoutSpec(profile="1g.6gb+me")]
    assert load(path, "mixed", exact=True) == [
        LayoutEntry(gpus=["0", "2"], models=["0x20B710DE", "0x20B010DE"], specs=specs, exact=True,
                    mode=True, matches=True),
        LayoutEntry(gpus=[], models=["0x2BB510DE"], specs=[], exact=True, mode=True,
                    matches=True),
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
        (ENTRY + "    mig-devices: {1g.6gb: -1}\n", "6:27.*number of instances"),
        (ENTRY + "    mig-devices: {1g.6gb: true}\n", "6:27.*number of instances"),
        (ENTRY + "    mig-devices: {1g.6gb: 2.0}\n", "6:27.*number of instances"),
        (ENTRY + "    mig-devices: {1g.6gb: 100}\n", "from 0 to 99"),
        (ENTRY + "    mig-devices: {1g.6gb: 0, 2g.12gb: 0}\n", "6:18.*all counts are 0"),
        (ENTRY + "    mig-devices: {'14': 1}\n", "6:19.*not a MIG profile"),
        (ENTRY + "    mig-devices: {1G.6gb: 1}\n", "not a MIG profile"),
        (ENTRY + "    mig-devices: null\n", "mig-devices. is missing"),
        (ENTRY + "    mig-devices: {}\n    x-note: 1\n", "7:5.*x-note"),
        (ENTRY + "    mig-devices: {}\nx-note: 1\n", "7:1.*x-note"),
        (ENTRY + "    mig-devices: {}\n  b:\n  - devices: all\n", "8:5.*mig-enabled. is missing"),
        (ENTRY + "    mig-devices: {}\n  b: []\n", "7:6.*at least one entry"),
        ("version: v1\nmig-configs: {}\n", "has no configuration"),
        ("version: v1\nmig-configs:\n  a:\n  - mig-enabled: false\n", "4:5.*devices. is missing"),
        (ENTRY.replace("all", "[]") + "    mig-devices: {}\n", "selects no GPU"),
        (ENTRY.replace("all", "[-1]") + "    mig-devices: {}\n", "4:14.*indexes"),
        (ENTRY.replace("all", "['0']") + "    mig-devices: {}\n", "4:14.*indexes"),
        (ENTRY + "    mig-devices: {}\n    device-filter: '0x1:0x2:0x3'\n", "7:20.*subsystem"),
        (ENTRY + "    mig-devices: {}\n    device-filter: ['']\n", "7:20.*PCI id"),
        (ENTRY + "    mig-devices: {}\n    device-filter: 0x20B710DE\n", "7:20.*in quotes"),
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
        LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="1g.6gb", count=2)], mode=True,
                    matches=True),
        LayoutEntry(gpus=["1"], specs=[], mode=True, matches=True),
        LayoutEntry(gpus=["2"], mode=False, matches=True),
    ]  # fmt: skip


def read(tmp_path: Path, fields: str, more: str = "") -> list[LayoutEntry]:
    text = f"version: v1\nmig-configs: {{a: [{{devices: all, mig-enabled: true, {fields}}}{more}]}}"
    return load(written(tmp_path, text), None, exact=False)


def test_a_count_of_zero_asks_for_none_of_a_profile(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, "mig-devices: {1g.6gb: 0, 2g.12gb: 1}")
    assert entry.specs == [LayoutSpec(profile="2g.12gb")]


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("'0x20B710DE:0x153210DE'", ["0x20B710DE:0x153210DE"]),
        ("['0x20b710de', '0x20B010DE:0x134F10DE']", ["0x20b710de", "0x20B010DE:0x134F10DE"]),
        ("''", []),
        ("[]", []),
        ("null", []),
    ],
)
def test_a_filter_is_a_pci_id_with_or_without_a_subsystem_and_an_empty_one_is_none(
    tmp_path: Path, text: str, models: list[str]
) -> None:
    (entry,) = read(tmp_path, f"mig-devices: {{}}, device-filter: {text}")
    assert entry.models == models


def test_an_entry_without_a_device_is_left_out_beside_others(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, "mig-devices: {}", ", {devices: [], mig-enabled: false}")
    assert entry.mode is True


def test_json_is_read_too_with_tabs_and_from_standard_input(tmp_path: Path) -> None:
    entry = {"devices": [0], "mig-enabled": True, "mig-devices": {"1c.3g.20gb": 3}}
    text = json.dumps({"version": "v1", "mig-configs": {"a": [entry]}}, indent="\t")
    wanted = [
        LayoutEntry(
            gpus=["0"], specs=[LayoutSpec(profile="1c.3g.20gb", count=3)], mode=True, matches=True
        )
    ]
    assert load(written(tmp_path, text), None, exact=False) == wanted
    assert load("-", "a", exact=False, stdin=io.BytesIO(text.encode())) == wanted


def test_standard_input_has_the_bound_of_a_file() -> None:
    with pytest.raises(JobFileError, match="<stdin>: it may have up to 256 KiB"):
        load("-", None, exact=False, stdin=io.BytesIO(b"#" * (256 * 1024 + 1)))


GPU = "GPU-00000000-0000-0000-0000-00000000000a"


def test_an_exported_layout_is_read_with_its_places(tmp_path: Path) -> None:
    places = [LayoutSpec(profile="1c.3g.20gb", count=3, start=4), LayoutSpec(profile="1g.5gb")]
    gpus = [SavedGpu(gpu=GPU, index=0, mode=True, places=places),
            SavedGpu(gpu="GPU-b", index=1, mode=False)]  # fmt: skip
    text = json.dumps([dataclasses.asdict(gpu) for gpu in gpus], indent=2)
    assert load(written(tmp_path, text), None, exact=True) == [
        LayoutEntry(gpus=[GPU], specs=places, exact=True, mode=True),
        LayoutEntry(gpus=["GPU-b"], exact=True, mode=False),
    ]
    with pytest.raises(JobFileError, match="exported layout"):
        load(written(tmp_path, text), "a", exact=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "names no GPU"),
        ("[1]", "1:2.*mapping"),
        ('[{"gpu": "GPU-a"}]', "1:2.*mode. is missing"),
        ('[{"mode": true}]', "1:2.*gpu. is missing"),
        ('[{"gpu": "0", "mode": true}]', "1:10.*UUID"),
        ('[{"gpu": "GPU-a", "mode": "on"}]', "true or false"),
        ('[{"gpu": "GPU-a", "mode": true, "place": []}]', "did you mean .places"),
        ('[{"gpu": "GPU-a", "mode": true, "places": {}}]', "must be a list"),
        ('[{"gpu": "GPU-a", "mode": false, "places": [{"profile": "1g.6gb"}]}]', "mode: true"),
        ('[{"gpu": "GPU-a", "mode": true, "places": [{"count": 1}]}]', "profile. is missing"),
        ('[{"gpu": "GPU-a", "mode": true, "places": [{"profile": "big"}]}]', "layout SPEC"),
        ('[{"gpu": "GPU-a", "mode": true, "places": [{"profile": "1g.6gb", "start": -1}]}]',
         "number from 0"),
        ('[{"gpu": "GPU-a", "mode": true, "places": [{"profile": "1g.6gb", "count": 0}]}]',
         "at least 1"),
        (json.dumps([{"gpu": f"GPU-{i}", "mode": False} for i in range(65)]), "at most 64"),
        (json.dumps([{"gpu": "GPU-a", "mode": True, "places": [{"profile": "1g.6gb"}] * 257}]),
         "up to 256"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_exported_layout_is_told_where_it_stands(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(JobFileError, match=said):
        load(written(tmp_path, text), None, exact=False)
