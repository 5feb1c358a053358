"""The commands that free a GPU are said in order."""

from __future__ import annotations

import pytest

from launcher.gpu.carve import _way_out
from launcher.gpu.holders import Holder

PERSISTENCED, DCGM = Holder(10, "root", "nvidia-persiste"), Holder(11, "root", "nv-hostengine")
JOB = Holder(12, "alice", "python")


@pytest.mark.parametrize(
    ("holders", "fix"),
    [
        ([PERSISTENCED, DCGM, PERSISTENCED],
         ("In this order: `systemctl stop nvidia-persistenced nvidia-dcgm`; the same request "
          "again; `systemctl start nvidia-dcgm nvidia-persistenced`.")),
        ([JOB, PERSISTENCED],
         ("End process 12. In this order: `systemctl stop nvidia-persistenced`; the same request "
         "again; `systemctl start nvidia-persistenced`.")),
        ([JOB], "End it, then try again."),
    ],
)  # fmt: skip
def test_services_in_the_way_are_stopped_and_started_again(holders: list[Holder], fix: str) -> None:
    assert _way_out(holders) == fix


def test_where_nothing_is_seen_the_usual_services_are_named() -> None:
    assert "systemctl stop nvidia-persistenced nvidia-dcgm" in _way_out([])
