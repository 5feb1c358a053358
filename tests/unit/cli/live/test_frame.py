"""What a frame of `launch top` shows, at every size, and of every machine."""

from __future__ import annotations

import pytest

from launcher.cli.live.frame import Look, draw
from launcher.cli.live.spans import CHOSEN
from launcher.wire import ArrayView, ProcessView
from tests.unit.cli.live.views import (
    NOW,
    STARTED,
    WIDE,
    drawn,
    gpu,
    leased,
    machine,
    quarter,
    running,
)
from tests.unit.client.stub_daemon import job_view, slice_view

PROCESS = ProcessView(pid=7, user="alice", memory_mib=2900)
HALF = {"profile": "2g.12gb", "memory_mib": 11968, "placement": {"start": 2, "size": 2}}
A30 = machine(
    leased(0, 12, memory_used_mib=2976, processes=[PROCESS]),
    quarter(1, memory_used_mib=0, processes=[]),
    slice_view(uuid="MIG-2", **HALF),
    jobs=[running(12, time_limit=3600.0), job_view(id=13, reason="Resources")],
)


def test_the_bar_has_each_slice_at_its_place_and_as_long_as_it_is() -> None:
    profiles, who, memory = drawn(A30)[2:5]
    assert profiles == "│" + "1g.6gb".ljust(19) + "│" + "1g.6gb".ljust(19) + "│" + (
        "2g.12gb".ljust(38) + "│"
    )
    assert who.split("│")[1].strip() == "12 alice"
    assert who.split("│")[2].strip() == "free"
    assert memory.split("│")[1] == "█" * 10 + "░" * 9
    assert memory.split("│")[2] == "░" * 19
    assert memory.split("│")[3].strip() == "?", "unknown is not empty"


def test_a_slice_has_its_memory_its_time_left_and_its_processes() -> None:
    text = "\n".join(drawn(A30, 200, 50))
    assert "2976/5952MiB" in text
    assert "7 alice 2900MiB" in text
    row = next(line for line in text.splitlines() if "2976/5952MiB" in line)
    assert "30m" in row


def test_running_jobs_have_time_used_and_left_and_waiting_ones_a_reason_and_a_start() -> None:
    lines = drawn(A30, starts={13: NOW.timestamp() + 1800.5})
    run = next(line for line in lines if line.startswith("12"))
    wait = next(line for line in lines if line.startswith("13"))
    assert run.split()[3:7] == ["RUNNING", "1g.6gb", "30m", "30m"]
    assert "in 30m" in wait
    assert wait.endswith("Resources")


def test_columns_without_a_value_are_left_out() -> None:
    heading = next(line for line in drawn(A30) if line.startswith("ID"))
    assert "START" not in heading
    assert "RUNTIME" not in heading


def test_a_host_job_says_that_it_runs_on_the_host() -> None:
    lines = drawn(machine(leased(0, 12), jobs=[running(12, runtime="host", image=None)]))
    assert "RUNTIME" in next(line for line in lines if line.startswith("ID"))
    assert " host " in next(line for line in lines if line.startswith("12"))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 10), (20, 5), (1, 1)])
def test_a_frame_is_exactly_as_large_as_the_terminal(width: int, height: int) -> None:
    drawn(A30, width, height)
    drawn(machine(), width, height)


@pytest.mark.parametrize("name", ["x" * 300, WIDE * 20, "[bold]x[/]", "a\x1b[31m\u202eb", "é́́"])
def test_long_wide_and_evil_names_stay_in_their_columns(name: str) -> None:
    slices = [leased(0, 12, user=name), quarter(1, state="foreign", why=name)]
    snapshot = machine(*slices, gpus=[gpu(name=name)], jobs=[running(12, name=name, user=name)])
    for width, height in ((80, 24), (200, 50), (20, 8)):
        text = "\n".join(drawn(snapshot, width, height, trouble=name[:50]))
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_markup_in_names_is_shown_as_it_is() -> None:
    assert "[bold]x[/]" in "\n".join(drawn(machine(jobs=[running(12, name="[bold]x[/]")])))


def test_without_gpus_it_says_what_to_do() -> None:
    assert any("launch status" in line for line in drawn(machine(gpus=[])))


def test_a_gpu_without_slices_says_so() -> None:
    lines = drawn(machine(gpus=[gpu()]))
    assert lines[1].endswith("no slices")


def test_a_board_without_mig_is_one_slice() -> None:
    t4 = gpu(name="Tesla T4", mig_current=None, mig_pending=None, units=None, memory_mib=15360)
    whole = slice_view(profile="full", memory_mib=15360, placement=None, gi=None, ci=None)
    lines = drawn(machine(whole, gpus=[t4]))
    assert lines[1] == "GPU 0  Tesla T4  15360MiB  1 free"
    assert lines[2] == "│" + "full".ljust(78) + "│"


def test_seven_slices_of_an_h100_leave_the_place_that_none_of_them_has() -> None:
    slices = [quarter(n, profile="1g.10gb", memory_mib=9984) for n in range(7)]
    board = gpu(name="NVIDIA H100", units=8, memory_mib=81559)
    row = drawn(machine(*slices, gpus=[board]))[2]
    assert row.count("1g.10gb") == 7
    assert len(row) == 70, "the eighth unit is empty"
    assert "1g.10gb" in drawn(machine(*slices, gpus=[board]), 200, 50)[2]


def test_slices_that_cannot_be_used_say_why() -> None:
    states = ("drained", "quarantined", "foreign", "silent")
    slices = [quarter(n, state=word, why=f"why {word}") for n, word in enumerate(states)]
    text = "\n".join(drawn(machine(*slices), 200, 50))
    assert all(f"why {word}" in text for word in states)
    assert all(word in drawn(machine(*slices))[3] for word in states), "on the bar too"


def test_slices_without_known_placements_stand_one_after_another() -> None:
    slices = [quarter(0, placement=None), quarter(1, placement=None, memory_mib=11904)]
    row = drawn(machine(*slices, gpus=[gpu(memory_mib=17856)]))[2]
    assert [len(part) for part in row.split("│")[1:3]] == [25, 52]


def test_compute_instances_in_one_place_share_it() -> None:
    both = {"placement": {"start": 0, "size": 4}, "memory_shared": True}
    row = drawn(machine(quarter(0, **both), quarter(1, **both)))[2]
    assert [len(part) for part in row.split("│")[1:3]] == [39, 38]


def test_a_gpu_that_was_never_read_has_its_slices_nevertheless() -> None:
    lines = drawn(machine(quarter(0, state="silent"), gpus=[]))
    assert lines[1].startswith("GPU 0  unknown")


def test_a_change_of_mig_mode_that_waits_is_named() -> None:
    assert "MIG, off after a reset" in drawn(machine(gpus=[gpu(mig_pending=False)]))[1]


def test_many_gpus_leave_room_for_the_queue() -> None:
    gpus = [gpu(index=n, uuid=f"GPU-{n}") for n in range(8)]
    slices = [leased(m, 12, gpu=f"GPU-{n}", gpu_index=n, uuid=f"MIG-{n}{m}")
              for n in range(8) for m in range(4)]  # fmt: skip
    jobs = [running(n) for n in range(12, 40)]
    lines = drawn(machine(*slices, gpus=gpus, jobs=jobs))
    assert sum(line.startswith("GPU ") for line in lines) == 8
    assert sum("RUNNING" in line for line in lines) >= 5
    assert any(line.startswith("and ") for line in drawn(machine(*slices, gpus=gpus), 80, 8))


def test_the_chosen_job_is_seen_in_a_long_queue_and_on_its_slice() -> None:
    snapshot = machine(leased(0, 90), jobs=[running(n) for n in range(10, 100)])
    frame = draw(snapshot, Look(80, 24, chosen="90"), NOW)
    chosen = [span.text for line in frame.lines for span in line if span.style == CHOSEN]
    assert any(text.startswith("90") for text in chosen)
    assert any("1g.6gb" in text for text in chosen)
    assert len(frame.rows) == 90


def test_only_jobs_of_a_user_and_only_those_with_a_text() -> None:
    snapshot = machine(jobs=[running(12), running(13, user="bob", name="Eval")])
    assert not any(line.startswith("13") for line in drawn(snapshot, user="alice"))
    assert not any(line.startswith("12") for line in drawn(snapshot, text="eval"))
    assert any("filter" in line for line in drawn(snapshot, text="nothing like it"))


def test_an_array_is_one_row_and_its_elements_on_slices_are_rows() -> None:
    array = ArrayView(id=42, name="sweep", user="alice", profile="1g.6gb", count=1, indices="0-9",
                      counts={"PENDING": 9, "RUNNING": 1}, submitted_at=STARTED, image="busybox",
                      reason="Resources")  # fmt: skip
    place = {"id": 42, "index": 3, "matrix": None}
    element = running(45, name="sweep", array=place, time_limit=3600.0)
    snapshot = machine(leased(0, 45, array=place), arrays=[array], elements=[element])
    text = "\n".join(drawn(snapshot))
    assert "42[0-9]" in text
    assert "9 pending, 1 running; Resources" in text
    assert text.count("42[3]") == 3, "on the bar, in the table and in the queue"
    assert "30m" in text


def test_a_frame_without_a_height_has_everything_and_no_keys() -> None:
    lines = drawn(machine(jobs=[running(n) for n in range(10, 100)]), height=None)
    assert sum("RUNNING" in line for line in lines) == 90
    assert not any("quit" in line for line in lines)


def test_in_ascii_every_letter_is_ascii() -> None:
    assert "\n".join(drawn(A30, ascii_only=True)).isascii()


def test_a_notice_stands_in_place_of_the_keys_and_trouble_in_place_of_the_title() -> None:
    lines = drawn(A30, notice="12: cancelled", trouble="the daemon does not answer")
    assert lines[-1] == "12: cancelled"
    assert "the daemon does not answer" in lines[0]
