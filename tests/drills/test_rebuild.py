"""Random histories, random damage: what a rebuild must never do, it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.drills.rebuilding import drill


def test_no_damage_books_a_slice_twice_begins_a_job_again_or_gives_an_id_twice(
    tell: Callable[[object], None],
) -> None:
    tried: Counter[str] = Counter()
    running = 0
    failures = []
    for seed in range(42):
        figures = drill(seed)
        tried[figures.damage] += 1
        running += figures.running
        failures += [f"seed {seed}, {figures.damage}: {what}" for what in figures.failures]
    tell(f"{tried.total()} rebuilds with {running} running containers: {dict(tried)}")
    assert failures == []
    assert len(tried) == 7, "every kind of damage was tried"
    assert running > 42
