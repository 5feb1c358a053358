"""``launch usage``: the same report as a table, as CSV, as JSON and as a picture."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from launcher.cli.output import terminal
from launcher.cli.output.charts import bars
from launcher.wire import UsageReport, UsageView
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon

VIEW = UsageView(
    key="alice", slice_hours=2.5, gib_hours=15.25, slot_hours=0.0, share=0.25, jobs=4, running=1,
    failed=1, ends={"COMPLETED": 3, "FAILED ImagePullFailed": 1}, wait_p50=4, wait_p90=120,
    wait_p99=None,
)  # fmt: skip
REPORT = UsageReport(
    since="2026-11-01T00:00:00.000000Z", until="2026-11-08T00:00:00.000000Z", by="user",
    groups=[VIEW, dataclasses.replace(VIEW, key="=cmd|'x'!A1 <b>&")],
    total=dataclasses.replace(VIEW, key=None), capacity_gib_hours=61.0, idle_share=0.75,
    own=False, whole_days=True,
)  # fmt: skip


@pytest.fixture
def asked(stub: StubDaemon) -> StubDaemon:
    stub.on("GET", "/v1/usage", Json(dataclasses.asdict(REPORT)))
    return stub


def test_the_table_ends_with_the_sum_and_says_how_much_was_idle(
    asked: StubDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 160)
    result = launch("usage", "--by", "user", "--since", "2026-11-01T00:00:00Z")
    heading, alice, _, total = result.out.splitlines()
    assert heading.split()[:5] == ["USER", "SLICE-H", "GIB-H", "SHARE", "JOBS"]
    assert alice.split()[:7] == ["alice", "2.50", "15.25", "25.0%", "4", "1", "1"]
    assert alice.split()[7:10] == ["4s", "2m", "-"]
    assert alice.endswith("COMPLETED 3, FAILED ImagePullFailed 1")
    assert total.split()[0] == "all"
    assert "75.0% of 61.0 slice-GiB-hours were idle." in result.err
    assert "the period is 2026-11-01T00:00:00Z to 2026-11-08T00:00:00Z." in result.err
    assert asked.asked[0].query == "by=user&since=1793491200"


def test_a_csv_file_holds_no_formula(asked: StubDaemon, launch: Launch) -> None:
    heading, alice, hostile = csv.reader(io.StringIO(launch("usage", "-o", "csv").out))
    assert heading[:4] == ["user", "slice_hours", "gib_hours", "slot_hours"]
    assert dict(zip(heading, alice, strict=True))["ends"] == "COMPLETED=3;FAILED ImagePullFailed=1"
    assert hostile[0] == "'=cmd|'x'!A1 <b>&"


def test_json_is_the_report(asked: StubDaemon, launch: Launch) -> None:
    found = json.loads(launch("usage", "-o", "json").out)
    assert found == json.loads(json.dumps(dataclasses.asdict(REPORT)))


def test_the_picture_has_a_bar_for_each_group_as_svg_and_png(
    asked: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    root = ElementTree.fromstring(launch("usage", "-o", "svg").out)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 2, "the page and two bars"
    texts = [each.text for each in root.findall(f"{space}text")]
    assert texts[1:3] == ["alice", "15.2  25.0%"]
    assert "=cmd|'x'!A1 <b>&" in texts
    with (tmp_path / "usage.png").open("wb") as file:
        assert launch("usage", "-o", "png", stdout=file.fileno()).code == 0
    with Image.open(tmp_path / "usage.png") as picture:
        chart = bars.usage_chart(REPORT)
        assert picture.size == (bars.WIDTH, chart.height)
        bar = next(shape for shape in chart.shapes if isinstance(shape, bars.Rectangle))
        assert picture.getpixel((int(bar.x) + 1, int(bar.y) + 1)) == (0x2F, 0x6F, 0xEB)


def test_very_many_groups_are_a_picture_of_bounded_height() -> None:
    many = [dataclasses.replace(VIEW, key=f"user{n}") for n in range(500)]
    chart = bars.usage_chart(dataclasses.replace(REPORT, groups=many))
    drawn = [shape for shape in chart.shapes if isinstance(shape, bars.Rectangle)]
    assert len(drawn) == bars.MOST_BARS
    assert chart.height < 2000


def test_of_very_many_days_the_picture_has_the_last_ones() -> None:
    days = [dataclasses.replace(VIEW, key=f"day{n:03}") for n in range(100)]
    texts = bars.labels(bars.usage_chart(dataclasses.replace(REPORT, by="day", groups=days)))
    assert [text for text in texts if text.startswith(("day", "("))] == [
        "(rest)", *(f"day{n:03}" for n in range(41, 100))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--disk", "--by", "user"], "leave the options of a period out"),
        (["--disk", "-o", "csv"], "not as csv"),
        (["--jobs", "--by", "user"], "leave --by out"),
        (["--jobs", "-o", "png"], "not as png"),
        (["--user", "alice"], "--user goes with --jobs"),
        (["--by", "colour"], "'colour' is not one of"),
        (["--since", "yesterday"], "is not a valid time"),
        (["--since", "1969-12-31T00:00:00Z"], "is before 1970"),
    ],
)
def test_what_means_nothing_is_refused(
    words: list[str], text: str, stub: StubDaemon, launch: Launch
) -> None:
    result = launch("usage", *words)
    assert (result.code, stub.asked) == (2, [])
    assert text in result.err
