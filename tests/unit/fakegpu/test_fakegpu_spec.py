from __future__ import annotations

import pytest

from launcher.errors import UserError
from launcher.fakegpu import parse_spec
from launcher.fakegpu.boards import boards, find_board
from launcher.fakegpu.layout import Stands, fits, gi_id, solve
from launcher.fakegpu.spec import format_spec

MIG_BOARDS = [key for key, board in boards().items() if board.profiles]


def names(spec: str) -> list[list[str]]:
    return [[stands.profile.name for stands in gpu.instances] for gpu in parse_spec(spec)]


def test_a_spec_names_gpus_and_what_stands_on_them() -> None:
    assert names("A30:1g.6gb*4,H100-80GB:3g.40gb/1g.10gb*2,T4") == [
        ["1g.6gb"] * 4,
        ["3g.40gb", "1g.10gb", "1g.10gb"],
        [],
    ]


def test_a_plus_belongs_to_the_name_of_a_profile() -> None:
    assert names("A30:1g.6gb+me/1g.6gb*3") == [["1g.6gb+me", "1g.6gb", "1g.6gb", "1g.6gb"]]


def test_a_part_of_a_profile_stands_in_a_gpu_instance_with_others() -> None:
    spec = "A100-40GB:1c.3g.20gb*4/2c.3g.20gb/1g.5gb"
    with pytest.raises(UserError, match="does not fit"):
        parse_spec(spec)
    (gpu,) = parse_spec("A100-40GB:1c.3g.20gb*4/2c.3g.20gb")
    assert [stands.profile.name for stands in gpu.instances] == ["3g.20gb", "3g.20gb"]
    assert gpu.cuts == ((2, 1), (1, 1, 1))
    assert parse_spec(format_spec([gpu])) == [gpu]


def test_a_bare_board_has_mig_off_and_a_bare_colon_has_it_on_and_empty() -> None:
    assert [(gpu.mig, gpu.instances) for gpu in parse_spec("A30,A30:")] == [
        (False, ()),
        (True, ()),
    ]


@pytest.mark.parametrize("word", ["h100 nvl", "H100-NVL", "h100_nvl"])
def test_a_board_is_found_however_its_name_is_written(word: str) -> None:
    assert find_board(word).key == "H100-NVL"


def test_every_board_asked_for_is_there() -> None:
    assert set(boards()) == {
        "A30", "A100-40GB", "A100-80GB", "H100-80GB", "H100-NVL", "H20-96GB", "H200-141GB",
        "GH200-96GB", "GH200-144GB", "B200-180GB", "GB200-186GB", "B300-269GB", "GB300-278GB",
        "RTX-PRO-6000", "RTX-PRO-6000-WS", "RTX-PRO-6000-MAX-Q", "RTX-PRO-5000", "RTX-PRO-4500",
        "T4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "said", "fix"),
    [
        ("V100", "unknown board 'V100'", "Known: A30 "),
        ("A30:1g.5gb", "no profile '1g.5gb'", "It has: 1g.6gb 1g.6gb+me 2g.12gb"),
        ("A30:1g.6gb*5", "does not fit", "fewer or smaller"),
        ("A30:3c.4g.24gb", "has no room for a compute instance of 3", "4g.24gb"),
        ("A30:xc.4g.24gb", "no profile 'xc.4g.24gb'", "It has: 1g.6gb"),
        ("A30:1g.6gb+me*2", "does not fit", "fewer or smaller"),
        ("A30:1g.6gb*0", "not a profile and a count", "1g.6gb*2"),
        ("A30:1g.6gb*x", "not a profile and a count", "1g.6gb*2"),
        ("A30,,T4", "an empty entry", "separated by commas"),
        ("", "an empty entry", "separated by commas"),
        ("T4:1g.6gb", "does not support MIG", "Write T4 alone"),
        ("T4:", "does not support MIG", "Write T4 alone"),
        (",".join(["T4"] * 17), "17 GPUs", "At most 16"),
        # Two 24gb+me.all would need twice the media engines there are.
        ("RTX-PRO-6000:1g.24gb+me.all/1g.24gb", "does not fit", "fewer or smaller"),
    ],
)
def test_a_wrong_spec_says_what_there_is(spec: str, said: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_spec(spec)
    assert said in caught.value.message
    assert fix in str(caught.value)


def test_a_huge_count_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="does not fit"):
        parse_spec("A30:1g.6gb*1000000000")


def test_the_order_and_the_counts_of_a_spec_do_not_make_another_machine() -> None:
    one = format_spec(parse_spec("h100-80gb:1g.10gb*2/3g.40gb"))
    assert one == format_spec(parse_spec("H100-80GB:3g.40gb/1g.10gb/1g.10gb"))
    assert format_spec(parse_spec("A30")) != format_spec(parse_spec("A30:"))


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_every_profile_stands_as_often_as_its_board_says_and_no_more(key: str) -> None:
    board = boards()[key]
    for profile in board.profiles:
        assert len(solve(board, [profile.name] * profile.max_instances)) == profile.max_instances
        with pytest.raises(UserError):
            solve(board, [profile.name] * (profile.max_instances + 1))


@pytest.mark.parametrize("key", MIG_BOARDS)
def test_a_profile_id_is_not_the_enum(key: str) -> None:
    profiles = boards()[key].profiles
    assert any(profile.id != profile.shape for profile in profiles)
    assert len({profile.id for profile in profiles}) == len(profiles)
    assert len({profile.shape for profile in profiles}) == len(profiles)


@pytest.mark.parametrize(
    ("key", "layout"),
    [
        ("A30", [("1g.6gb", 0, 3), ("1g.6gb", 1, 4), ("2g.12gb", 2, 2)]),
        ("RTX-PRO-6000", [("2g.48gb", 0, 1), ("1g.24gb", 6, 5), ("1g.24gb", 9, 6)]),
        ("H100-NVL", [("3g.47gb", 0, 1), ("1g.24gb", 4, 5), ("1g.12gb", 6, 13)]),
        ("A100-40GB", [("3g.20gb", 4, 1), ("3g.20gb", 0, 2)]),
        ("A100-40GB", [("1g.5gb", 4, 7), ("1g.5gb", 6, 9), ("1g.5gb", 0, 11)]),
    ],
)
def test_gpu_instances_get_the_ids_seen_on_silicon(
    key: str, layout: list[tuple[str, int, int]]
) -> None:
    board = boards()[key]
    for name, start, seen in layout:
        assert gi_id(board, Stands(board.profile(name), start)) == seen


def test_room_is_a_matter_of_placements_not_of_slices() -> None:
    board = boards()["A100-40GB"]
    small, big = board.profile("1g.5gb"), board.profile("3g.20gb")
    two_small = [Stands(small, 0), Stands(small, 4)]
    assert not any(fits(board, two_small, Stands(big, start)) for start in big.starts)
    assert fits(board, [Stands(small, 0), Stands(small, 1)], Stands(big, 4))
