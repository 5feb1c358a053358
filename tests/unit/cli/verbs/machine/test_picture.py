"""The picture of a GPU names every instance in full."""

from __future__ import annotations

import pytest

from launcher.cli.verbs.machine.layout.show import picture
from launcher.text.job_format import gpus
from launcher.wire import InstanceView
from tests.support.boards import ALL_MIG_BOARDS, board, profiles
from tests.unit.client.stub_daemon import job_view


def view(profile: str, start: int, size: int, gi: int, job: int | None = None) -> InstanceView:
    return InstanceView(
        gi=gi, profile=profile, profile_id=0, start=start, size=size, ci=0, uuid=f"MIG-{gi}",
        memory_mib=1, state="free", job=job, user=None, why=None, made_by="launcher",
    )  # fmt: skip


@pytest.mark.parametrize("key", ALL_MIG_BOARDS)
def test_no_name_is_cut_on_any_board(key: str) -> None:
    units = max(s.starts[-1] + s.size for s in board(key).shapes)
    for profile in profiles(key):
        places = profile.placements or ()
        instances = [
            view(profile.name, p.start, p.size, number, job=12345)
            for number, p in enumerate(places[: profile.max_instances])
            if not number or p.start >= places[number - 1].start + p.size
        ]
        _, bar = picture(units, instances)
        assert bar.count(profile.name) == len(instances), bar


def test_a_divided_instance_names_its_parts() -> None:
    parts = [view("1c.3g.20gb", 0, 4, 1), view("2c.3g.20gb", 0, 4, 1)]
    assert "1c.3g.20gb 2c.3g.20gb" in picture(8, parts)[1]


def test_a_gang_on_different_slices_names_each() -> None:
    assert gpus(job_view(profile="1g.6gb+me,1g.6gb", count=2)) == "1g.6gb+me,1g.6gb"
    assert gpus(job_view(profile="1g.6gb", count=2)) == "1g.6gb:2"
