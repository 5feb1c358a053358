"""What a submit says: arrays in one line, and what a dry run would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli.output.submitted import images
from launcher.wire import ArrayRequest, JobSpec
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon, job_view


@pytest.fixture
def file(tmp_path: Path) -> str:
    found = tmp_path / "job.yaml"
    found.write_text("image: busybox\narray: 0-2\n")
    return str(found)


def elements(first: int, array: int = 12, count: int = 3, **fields: object) -> list[object]:
    return [
        job_view(id=first + i, array={"id": array, "index": i, "matrix": {}}, **fields)
        for i in range(count)
    ]


def test_an_array_is_one_line_with_its_id(stub: StubDaemon, launch: Launch, file: str) -> None:
    stub.on("POST", "/v1/jobs", Json([*elements(13), job_view(id=16)], 201))
    lines = launch("submit", file).out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "12[0-2]", "16"]


def test_the_names_are_all_of_its_jobs(stub: StubDaemon, launch: Launch, file: str) -> None:
    stub.on("POST", "/v1/jobs", Json(elements(13), 201))
    assert launch("submit", "-o", "name", file).out.split() == ["12[0]", "12[1]", "12[2]"]


def test_a_dry_run_says_how_many_jobs_with_what(
    stub: StubDaemon, launch: Launch, file: str
) -> None:
    planned = elements(0, 0, command=["sh", "-c", "a b"], image="busybox", priority=7)
    stub.on("POST", "/v1/jobs", Json(planned))
    text = launch("submit", "--dry-run", file).out
    assert text.splitlines()[0].split() == [
        "NAME", "JOBS", "GPUS", "PRIORITY", "IMAGE", "COMMAND",
    ]  # fmt: skip
    row = text.splitlines()[1]
    assert " 3 " in row
    assert "sh -c 'a b'" in row
    assert len(text.splitlines()) == 2


def test_a_sweep_over_images_asks_for_the_credentials_of_each() -> None:
    matrix = [{"r": "a.example"}, {"r": "b.example"}]
    array = ArrayRequest(indices=[0, 1], matrix=matrix)
    assert images(JobSpec(name="x", image="${r}/x:1", array=array)) == {
        "a.example/x:1",
        "b.example/x:1",
    }
    assert images(JobSpec(name="x", image="y:${r}")) == {"y:${r}"}


COMPOSE = """\
services:
  prepare: {image: busybox, restart: always}
  train: {image: busybox, depends_on: [prepare], command: "run ${EPOCHS}"}
"""


def test_a_compose_file_is_submitted_with_its_notes_on_stderr(
    stub: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    stub.on("POST", "/v1/jobs", Json([job_view(id=13), job_view(id=14)], 201))
    done = launch("submit", str(file))
    jobs = stub.asked[0].body["jobs"]
    assert [(job["name"], job["depends_on"]) for job in jobs] == [
        ("prepare", {}), ("train", {"prepare": "afterok"}),
    ]  # fmt: skip
    assert f"{file}: ignored, as it changes nothing for a job: restart" in done.err
    assert f"{file}:3:59: the variable EPOCHS is not set" in done.err
    assert done.err.count("\n") == 3


def test_only_the_services_that_are_named_are_submitted(
    stub: StubDaemon, launch: Launch, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    stub.on("POST", "/v1/jobs", Json([job_view(id=13)], 201))
    launch("submit", "--service", "prepare", str(file))
    assert [job["name"] for job in stub.asked[0].body["jobs"]] == ["prepare"]
    wrong = launch("submit", "--service", "prepar", str(file))
    assert wrong.code == 2
    assert "the Compose file has no service 'prepar'" in wrong.err
    assert "Did you mean prepare?" in wrong.err
