"""The C side's refusals against the Python side's rules, over random histories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pynvml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.fakegpu.boards import BoardData, boards
from launcher.fakegpu.layout import Stands, fits, gi_id
from tests.support.machines import MakeMachine, build_directory, make_machine  # noqa: F401
from tests.support.nvidia import create, gi_info, gpu, remaining

BOARDS = sorted(key for key, board in boards().items() if board.profiles)
steps = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=16)


def play(board: BoardData, history: list[tuple[int, int]]) -> None:
    """Create or destroy at random; every answer must be the one the rules give."""
    standing: list[tuple[Stands, Any]] = []
    for first, second in history:
        if standing and first % 4 == 0:
            pynvml.nvmlGpuInstanceDestroy(standing.pop(second % len(standing))[1])
            continue
        profile = board.profiles[first % len(board.profiles)]
        new = Stands(profile, profile.starts[second % len(profile.starts)])
        expected = fits(board, [stands for stands, _ in standing], new)
        try:
            instance = create(gpu(), profile.name, new.start)
        except pynvml.NVMLError_InsufficientResources:
            assert not expected
            continue
        assert expected
        assert gi_info(instance) == (gi_id(board, new), new.start, profile.size)
        standing.append((new, instance))
        room = remaining(gpu(), profile.name)
        assert (room > 0) == any(
            fits(board, [stands for stands, _ in standing], Stands(profile, start))
            for start in profile.starts
        )
    for _, instance in standing:
        pynvml.nvmlGpuInstanceDestroy(instance)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(key=st.sampled_from(BOARDS), history=steps)
def test_the_library_and_the_layout_rules_agree_on_every_history(
    key: str,
    history: list[tuple[int, int]],
    make_machine: MakeMachine,  # noqa: F811
    tmp_path: Path,
) -> None:
    make_machine(f"{key}:")
    pynvml.nvmlInit()
    play(boards()[key], history)
