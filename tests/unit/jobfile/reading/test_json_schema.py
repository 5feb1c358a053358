from __future__ import annotations

from launcher.jobfile.reading import json_schema
from launcher.jobfile.reading.keys import JOB, SCHEDULE


def test_the_schema_in_the_package_is_the_generated_one() -> None:
    assert json_schema.FILE.read_text() == json_schema.text(), "run: make docs"


def test_every_key_is_described_and_no_other() -> None:
    assert set(json_schema.DESCRIBED) == set(JOB) | set(SCHEDULE)
