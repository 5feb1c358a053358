from __future__ import annotations

from launcher.jobfile import schema
from launcher.jobfile.keys import JOB, SCHEDULE


def test_the_schema_in_the_package_is_the_generated_one() -> None:
    assert schema.FILE.read_text() == schema.text(), "run: python -m launcher.jobfile.schema"


def test_every_key_is_described_and_no_other() -> None:
    assert set(schema.DESCRIBED) == set(JOB) | set(SCHEDULE)
