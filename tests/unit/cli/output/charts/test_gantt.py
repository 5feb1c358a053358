"""The charts of a what-if: letters for a terminal, SVG for a page."""

from __future__ import annotations

import dataclasses
import random
import re
import xml.etree.ElementTree as ET

import pytest

from launcher.cli.output.charts import gantt, svg
from launcher.cli.output.charts.gantt import Bar, Row
from launcher.cli.output.charts.timeline import packed, short, ticks
from launcher.wire import Forecast, LaneView, Run
from tests.unit.cli.queue_views import forecast, lane_uuid, run

HOUR = 3600.0
SVG = "{http://www.w3.org/2000/svg}"


def drawn(bars: list[Bar], total: float, cells: int, *, utf8: bool = False) -> str:
    """The cells of one lane, without its label."""
    (_, line) = gantt.chart([Row("x", bars)], total, cells + 4, utf8=utf8)
    assert line.startswith("x ")
    return line[2:]


def test_a_job_is_drawn_from_its_beginning_with_its_id() -> None:
    assert drawn([Bar(0, 5, "12"), Bar(5, 8, "7")], 10, 10) == "|12==|7=.."


def test_letters_beyond_ascii_are_only_for_a_terminal_that_has_them() -> None:
    assert drawn([Bar(0, 5, "12")], 10, 10, utf8=True) == "│12━━·····"
    assert gantt.speaks_utf8("UTF-8")
    assert not gantt.speaks_utf8("ANSI_X3.4-1968")
    assert not gantt.speaks_utf8(None)


def test_an_id_that_does_not_fit_whole_is_left_out_and_a_name_is_cut() -> None:
    assert drawn([Bar(0, 3, "1234"), Bar(3, 8, "1234")], 10, 10) == "|==|1234.."
    assert drawn([Bar(0, 4, "course")], 10, 10) == "|cou......"
    assert drawn([Bar(0, 9, "日\x1b[é")], 10, 10) == "|??[?====."


def test_jobs_that_follow_each_other_share_no_cell() -> None:
    bars = [Bar(i * 1.25, (i + 1) * 1.25, str(i)) for i in range(8)]
    assert "#" not in drawn(bars, 10, 20)


def test_several_jobs_in_one_cell_are_marked_as_that() -> None:
    tiny = [Bar(i / 10, (i + 1) / 10, str(i)) for i in range(10)]
    assert drawn([*tiny, Bar(1, 9, "77")], 10, 10)[0] == "#"
    assert drawn([Bar(0, 8, "1"), Bar(2, 6, "2")], 10, 10) == "|1####==.."
    assert drawn([Bar(5, 5, "1")], 10, 10) == ".....|...."


def test_what_began_before_the_axis_and_ends_behind_it_is_cut() -> None:
    assert drawn([Bar(-5, 20, "9")], 10, 10) == "|9========"


def test_the_axis_has_round_moments_where_jobs_begin() -> None:
    axis, line = gantt.chart([Row("x", [Bar(HOUR, 2 * HOUR, "5")])], 4 * HOUR, 83, utf8=False)
    assert axis.split() == ["|0", "|1h", "|2h", "|3h"]
    assert axis.index("|1h") == line.index("|5")


@pytest.mark.parametrize("total", [0.0, 0.4, 1, 59, 3600, 90000, 1e7, 4e9])
def test_there_are_never_too_many_ticks(total: float) -> None:
    found = list(ticks(total, 8))
    assert found[0] == 0
    assert len(found) <= 8
    assert found[-1] <= total


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (90, "1m30s"), (3600, "1h"), (5400, "1h30m"), (129600, "1d12h")]
)
def test_a_moment_of_the_axis_is_short(seconds: int, text: str) -> None:
    assert short(seconds) == text


def test_all_layouts_are_on_one_scale_and_the_best_is_marked() -> None:
    slow = forecast("present", 1, [run(1, ["MIG-0"], 0, 4 * HOUR)])
    fast = forecast("1g.6gb:4", 1, [run(1, ["MIG-0"], 0, HOUR)], best=True)
    lines = gantt.lines([slow, fast], 55, utf8=False)
    assert lines[0] == "present"
    assert lines[4] == "1g.6gb:4 (best)"
    assert lines[2].count("=") > 3 * lines[6].count("=")
    assert lines[1] == lines[5]
    assert lines[-1] == "| a job begins  # several jobs  . idle"


def test_a_gang_is_on_all_of_its_lanes() -> None:
    lines = gantt.lines(
        [forecast("present", 3, [run(8, ["MIG-0", "MIG-2"], 0, 60)])], 60, utf8=False
    )
    assert [("|8" in line) for line in lines[2:5]] == [True, False, True]


def test_without_jobs_there_is_nothing_to_draw() -> None:
    assert gantt.lines([], 80, utf8=False) == []
    assert gantt.lines([forecast("present", 4, [])], 80, utf8=False) == [
        "present", "  nothing runs",
    ]  # fmt: skip
    both = [forecast("present", 4, []), forecast("a", 1, [run(1, ["MIG-0"], 0, 1)])]
    assert "  nothing runs" in gantt.lines(both, 80, utf8=False)


def crowd(jobs: int, lanes: int) -> Forecast:
    """So many jobs, one after the other on so many slices."""
    chance = random.Random(7)
    ends = [0.0] * lanes
    runs = []
    for job in range(jobs):
        lane = job % lanes
        start, ends[lane] = ends[lane], ends[lane] + chance.expovariate(1 / 600)
        runs.append(run(job, [lane_uuid(lane)], start, ends[lane], user=f"user{job % 12}"))
    return forecast("present", lanes, runs)


@pytest.mark.parametrize("width", [20, 80, 200])
def test_ten_thousand_jobs_on_56_lanes_fit(width: int) -> None:
    lines = gantt.lines([crowd(10_000, 56)], width, utf8=False)
    rows = lines[2:58]
    assert len(rows) == 56
    assert max(len(line) for line in lines[:58]) == max(len(row) for row in rows) <= max(width, 24)
    assert all("#" in row for row in rows)


def read(forecasts: list[Forecast]) -> ET.Element:
    return ET.fromstring(svg.picture(forecasts))


def bars(picture: ET.Element) -> list[ET.Element]:
    return [each for each in picture.iter(f"{SVG}rect") if each.get("class") == "job"]


def test_the_picture_has_a_bar_with_a_tooltip_for_each_job() -> None:
    runs = [run(12, ["MIG-0", "MIG-1"], 0, HOUR), run(13, ["MIG-0"], HOUR, HOUR + 90, name=None)]
    found = bars(read([forecast("present", 2, runs)]))
    assert [each.findtext(f"{SVG}title") for each in found] == [
        "job 12 job-12 of alice, 0 to 1h, on 0:1g.6gb@0",
        "job 13 of alice, 1h to 1h1m30s, on 0:1g.6gb@0",
        "job 12 job-12 of alice, 0 to 1h, on 0:1g.6gb@1",
    ]


def test_the_legend_names_every_user_once_by_his_colour() -> None:
    runs = [run(n, ["MIG-0"], n, n + 1, user=f"user{n % 3}") for n in range(9)]
    picture = read([forecast("present", 1, runs), forecast("other", 1, runs)])
    texts = [each.text for each in picture.iter(f"{SVG}text")]
    assert [texts.count(f"user{n}") for n in range(3)] == [1, 1, 1]
    assert len({each.get("fill") for each in bars(picture)}) == 3
    assert {each.get("fill") for each in bars(picture)} <= {
        each.get("fill") for each in picture.iter(f"{SVG}rect") if each.get("class") is None
    }


def test_a_long_legend_stays_within_the_picture() -> None:
    runs = [run(n, ["MIG-0"], n, n + 1, user=f"somebody-{n}") for n in range(60)]
    picture = read([forecast("present", 1, runs)])
    keys = [each for each in picture.iter(f"{SVG}rect") if each.get("width") == "12"]
    assert len(keys) == 60
    assert all(float(each.get("x", "0")) < svg.WIDTH for each in keys)
    assert len({each.get("y") for each in keys}) > 1


def test_nothing_that_people_wrote_is_markup() -> None:
    evil = "</text><script>alert('&')</script>\"\x00\x1b\ufffe\ud800"
    runs = [run(1, ["MIG-0"], 0, 60, name=evil, user=evil)]
    picture = read([dataclasses.replace(forecast("present", 1, runs), layout=evil)])
    assert not list(picture.iter(f"{SVG}script"))
    assert "<script>alert('&')</script>" in "".join(picture.itertext())


def test_the_picture_is_for_light_and_dark_pages() -> None:
    text = svg.picture([forecast("present", 1, [])])
    assert "prefers-color-scheme: dark" in text
    assert re.search(r'<rect class="page"', text)


def test_cpu_jobs_that_run_at_once_lie_below_each_other() -> None:
    runs = [run(n, ["cpu"], n, n + 3) for n in range(6)]
    one = forecast("present", 0, runs)
    lane = LaneView(uuid="cpu", label="CPU", memory_mib=0)
    found = bars(read([dataclasses.replace(one, lanes=[lane])]))
    assert len({each.get("y") for each in found}) == 3
    assert [row for _, row in packed(runs)[0]] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("runs", [[], [run(1, ["MIG-0"], 0, 0)]])
def test_a_picture_of_nothing_is_a_picture(runs: list[Run]) -> None:
    assert len(bars(read([forecast("present", 2, runs)]))) == len(runs)
    assert not bars(read([]))


def test_a_picture_of_ten_thousand_jobs_is_whole() -> None:
    picture = read([crowd(10_000, 56)])
    assert len(bars(picture)) == 10_000
    right = max(float(e.get("x", "0")) + float(e.get("width", "0")) for e in bars(picture))
    assert right <= svg.WIDTH
