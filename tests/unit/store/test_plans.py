"""A short question is answered by an index, however many jobs there were."""

from __future__ import annotations

import re

import pytest

from launcher.store import Store, accounting
from launcher.store.sql import queries

SHORT = (
    "job", "jobs_after", "jobs_between", "jobs_between_of_user", "last_of_user", "jobs_of",
    "jobs_named", "jobs_named_of_user", "elements", "elements_between", "array", "array_ends",
    "spec", "commands", "commands_of_templates", "attempts_of", "history_of",
    "specs_with_secrets", "templates_with_secrets", "made_of_template", "pruned_before",
    "submitted_from", "elements_after", "usage_of_day", "usage_waits",
    "past_runs_of_name", "gpu_peaks", "slice_memory_of",
    "elements_first", "element_counts", "elements_page",
)  # fmt: skip


def values(query: str) -> dict[str, str] | tuple[str, ...]:
    named = dict.fromkeys(re.findall(r":(\w+)", query), "1")
    return named or ("1",) * query.count("?")


@pytest.mark.parametrize("name", SHORT)
def test_no_table_is_read_from_end_to_end(store: Store, name: str) -> None:
    query = queries()[name]
    plan = store._db.execute(f"EXPLAIN QUERY PLAN {query}", values(query)).fetchall()
    scans = [row["detail"] for row in plan if row["detail"].startswith("SCAN")]
    allowed = ("json_each", "USING COVERING INDEX", "CONSTANT ROW")
    assert [scan for scan in scans if not any(each in scan for each in allowed)] == []


@pytest.mark.parametrize("name", ["element_counts", "elements_page"])
def test_the_elements_of_an_array_are_counted_and_chosen_in_one_index(
    store: Store, name: str
) -> None:
    query = queries()[name]
    plan = store._db.execute(f"EXPLAIN QUERY PLAN {query}", values(query)).fetchall()
    assert any("COVERING INDEX jobs_by_array (array_id=?" in row["detail"] for row in plan)


@pytest.mark.parametrize("key", ["j.name", "j.user"])
def test_running_jobs_are_counted_among_the_live_ones(store: Store, key: str) -> None:
    query = accounting._RUNNING.format(key=key)
    plan = store._db.execute(f"EXPLAIN QUERY PLAN {query}", values(query)).fetchall()
    assert any("jobs_live" in row["detail"] for row in plan)
