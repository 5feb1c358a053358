"""``launch whatif``: the request, the table, the chart, the picture, the recommendation."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from launcher.cli.output import terminal
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.queue_views import forecast, run
from tests.unit.client.stub_daemon import Json, StubDaemon

HOUR = 3600.0
PRESENT = forecast(
    "present", 2, [run(1, ["MIG-0"], 0, HOUR), run(2, ["MIG-1"], 0, 4 * HOUR)], never=[7]
)
OTHER = forecast("1g.6gb:4", 4, [run(1, ["MIG-0"], 0, HOUR)], best=True)


@pytest.fixture
def replayed(stub: StubDaemon) -> StubDaemon:
    """A daemon that has replayed two layouts."""
    stub.on("POST", "/v1/whatif", Json([PRESENT, OTHER]))
    return stub


def test_each_layout_is_a_line_and_the_one_that_ends_first_is_said(
    replayed: StubDaemon, launch: Launch
) -> None:
    result = launch("whatif", "--layout", "1g.6gb:4")
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines()[:3]]
    assert rows[0] == ["LAYOUT", "MAKESPAN", "MEAN-WAIT", "WORST-WAIT", "USE", "JOBS", "NEVER"]
    assert rows[1] == ["present", "4h", "1m", "1h", "83%", "2", "1"]
    assert rows[2] == ["1g.6gb:4", "*", "1h", "1m", "1h", "83%", "1", "0"]
    assert result.err == (
        "present: 1 job never starts: 7\n1g.6gb:4 ends first: after 1h, the present one after 4h\n"
    )


def test_below_the_table_is_a_chart_of_each_layout_80_columns_wide(
    replayed: StubDaemon, launch: Launch
) -> None:
    chart = launch("whatif", "--layout", "1g.6gb:4").out.split("\n\n", 1)[1].splitlines()
    assert chart[0] == "present"
    assert "1g.6gb:4 (best)" in chart
    assert {len(line) for line in chart if "0:1g.6gb@" in line} == {80}


def test_the_chart_has_the_width_of_the_terminal(
    replayed: StubDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 120)
    lines = launch("whatif").out.splitlines()
    assert {len(line) for line in lines if "0:1g.6gb@" in line} == {120}


def test_one_layout_alone_is_not_recommended(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/whatif", Json([dataclasses.replace(PRESENT, best=True, never=[])]))
    result = launch("whatif")
    assert (result.code, result.err) == (0, "")
    assert "best" not in result.out
    assert "*" not in result.out


def test_the_present_layout_may_be_the_best(stub: StubDaemon, launch: Launch) -> None:
    best = dataclasses.replace(PRESENT, best=True, never=list(range(20)))
    stub.on("POST", "/v1/whatif", Json([best, dataclasses.replace(OTHER, best=False)]))
    assert launch("whatif", "--layout", "1g.6gb:4").err == (
        "present: 20 never start: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and more\n"
        "the present layout is as good as any: it ends after 4h\n"
    )


@pytest.mark.parametrize(
    ("present", "best", "said"),
    [
        ({"makespan": 53940.0}, {"makespan": 53940.0},
         "the present layout is as good as any: it ends after 14h59m"),
        ({"makespan": 53999.0}, {"makespan": 53940.0},
         "the present layout is as good as any: it ends after 14h59m"),
        ({"makespan": 36000.0, "never": [7]}, {"makespan": 36000.0},
         "1g.6gb:4 has a place for 1 more job: it ends after 10h, the present one after 10h"),
        ({"makespan": 36000.0, "never": [7, 8]}, {"makespan": 54000.0},
         "1g.6gb:4 has a place for 2 more jobs: it ends after 15h, the present one after 10h"),
        ({"makespan": 54000.0}, {"makespan": 36000.0},
         "1g.6gb:4 ends first: after 10h, the present one after 15h"),
    ],
)  # fmt: skip
def test_what_another_layout_would_gain_is_said(
    stub: StubDaemon, launch: Launch, present: dict[str, Any], best: dict[str, Any], said: str
) -> None:
    found = [
        dataclasses.replace(PRESENT, **{"never": [], **present}),
        dataclasses.replace(OTHER, **best),
    ]
    stub.on("POST", "/v1/whatif", Json(found))
    assert launch("whatif", "--layout", "1g.6gb:4").err.splitlines()[-1] == said


def test_what_is_replayed_is_the_queue_on_the_present_layout_unless_said(
    replayed: StubDaemon, launch: Launch
) -> None:
    launch("whatif")
    assert replayed.asked[0].body == {"jobs": None, "layouts": [], "runtime": "limit"}


def test_files_and_layouts_are_read_here(
    replayed: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("jobs: {one: {image: x}, two: {image: x}}")
    args = ["--jobs", str(tmp_path / "a.yaml"), "--runtime", "history"]
    result = launch("whatif", *args, "--layout", "2g.12gb@0,1g.6gb:2", "--layout", "4g.24gb")
    assert result.code == 0
    body = replayed.asked[0].body
    assert [job["name"] for job in body["jobs"]] == ["one", "two"]
    assert body["runtime"] == "history"
    assert body["layouts"] == [
        {
            "text": "2g.12gb@0,1g.6gb:2",
            "specs": [
                {"profile": "2g.12gb", "count": 1, "start": 0},
                {"profile": "1g.6gb", "count": 2, "start": None},
            ],
        },
        {"text": "4g.24gb", "specs": [{"profile": "4g.24gb", "count": 1, "start": None}]},
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--layout", "huge"], "'huge' is not a valid layout SPEC"),
        (["--layout", "1g.6gb,"], "'' is not a valid layout SPEC"),
        (["-o", "svg"], "'svg' is none of table, json, name and svg=FILE"),
        (["-o", "svg="], "is none of"),
        (["--runtime", "guess"], "guess"),
    ],
)
def test_a_word_that_means_nothing_is_wrong_usage(
    replayed: StubDaemon, launch: Launch, args: list[str], said: str
) -> None:
    result = launch("whatif", *args)
    assert (result.code, result.out, replayed.did()) == (2, "", [])
    assert said in result.err


def test_json_is_the_forecasts_and_name_the_recommended_layout(
    replayed: StubDaemon, launch: Launch
) -> None:
    result = launch("whatif", "-o", "json")
    assert json.loads(result.out) == [dataclasses.asdict(PRESENT), dataclasses.asdict(OTHER)]
    assert launch("whatif", "-o", "name").out == "1g.6gb:4\n"


def test_a_picture_is_written_and_stdout_stays_clean(
    replayed: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    file = tmp_path / "queue.svg"
    result = launch("whatif", "-o", f"svg={file}")
    assert (result.code, result.out) == (0, "")
    assert "1g.6gb:4 ends first" in result.err
    assert ET.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_picture_that_cannot_be_written_is_said(
    replayed: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    file = tmp_path / "none" / "queue.svg"
    result = launch("whatif", "-o", f"svg={file}")
    assert (result.code, result.out) == (1, "")
    assert result.err == f"launch: cannot write {file}: No such file or directory\n"


def test_an_empty_queue_is_no_trouble(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/whatif", Json([forecast("present", 4, [], use=0.0)]))
    result = launch("whatif")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("present\n  nothing runs\n")


def test_a_layout_that_cannot_stand_is_wrong_usage(stub: StubDaemon, launch: Launch) -> None:
    no = {"kind": "impossible-layout", "message": "4g.24gb:2 does not fit on GPU 0"}
    stub.on("POST", "/v1/whatif", Json(no, 400))
    result = launch("whatif", "--layout", "4g.24gb:2")
    assert (result.code, result.err) == (2, "launch: 4g.24gb:2 does not fit on GPU 0\n")
