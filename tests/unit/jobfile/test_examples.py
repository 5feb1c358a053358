"""Every file in jobs/ is valid and listed; the demo's say what must come of them."""

from __future__ import annotations

import pytest
import yaml

from launcher.jobfile import load
from tests.support.project import PROJECT

JOBS = PROJECT / "jobs"
FILES = sorted(path.relative_to(JOBS).as_posix() for path in JOBS.rglob("*.yaml"))
DEMO = [name for name in FILES if name.startswith("demo/")]
OUTCOMES = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "LOST"}


@pytest.mark.parametrize("name", FILES)
def test_the_example_is_valid_and_the_readme_lists_it(name: str) -> None:
    notices: list[str] = []
    assert load([str(JOBS / name)], notice=notices.append)
    assert not notices
    assert f"[{name}]({name})" in (JOBS / "README.md").read_text()


@pytest.mark.parametrize("name", DEMO)
def test_the_demo_job_says_what_must_come_of_it(name: str) -> None:
    tree = yaml.safe_load((JOBS / name).read_text())
    for job in tree.get("jobs", {"": tree}).values():
        assert job["x-expect"]["outcome"] in OUTCOMES
        assert job["image"] == "launcher/busybox:latest"


def test_the_demo_is_what_it_should_be() -> None:
    jobs = load([str(JOBS / name) for name in DEMO])
    assert sum(job.gpus.count for job in jobs if job.gpus.kind == "memory") > 4
    assert [job.name for job in jobs if job.gpus.count == 2] == ["two-slices"]
    assert [job.name for job in jobs if job.gpus.kind == "none"] == ["cpu-only"]
    assert len({job.name for job in jobs}) == len(jobs)
