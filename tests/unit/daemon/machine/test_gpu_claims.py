"""GPUs are claimed one by one; those of another daemon are asked for again."""

from __future__ import annotations

from pathlib import Path

from launcher.core.model.gpu import Inventory
from launcher.daemon.machine.gpu_claims import GpuClaims
from tests.support.builders import a30

BOTH = Inventory("580", (a30("GPU-a"), a30("GPU-b")), ())


def claims(directory: Path, store: str) -> GpuClaims:
    return GpuClaims(directory, store, lambda uuid: None)


def test_a_gpu_that_another_daemon_has_is_named_and_the_others_are_claimed(tmp_path: Path) -> None:
    mine, other = claims(tmp_path, "one"), claims(tmp_path, "two")
    assert mine.refused(Inventory("580", (a30("GPU-a"),), ())) == {}
    (reason,) = other.refused(BOTH).values()
    assert "store one" in reason
    assert set(mine.refused(BOTH)) == {"GPU-b"}
    mine.release()
    assert other.refused(BOTH) == {}
    other.release()


def test_a_claim_is_kept_while_its_gpu_is_not_seen(tmp_path: Path) -> None:
    mine, other = claims(tmp_path, "one"), claims(tmp_path, "two")
    assert mine.refused(BOTH) == {}
    assert mine.refused(Inventory("580", (), ())) == {}
    assert set(other.refused(BOTH)) == {"GPU-a", "GPU-b"}
    mine.release()


def test_without_a_lock_directory_the_device_node_carries_the_claim(tmp_path: Path) -> None:
    node = tmp_path / "nvidia0"
    node.touch()
    mine, other = (GpuClaims(None, store, lambda uuid: node) for store in ("one", "two"))
    one = Inventory("580", (a30("GPU-a"),), ())
    assert mine.refused(one) == {}
    assert "claimed by another" in other.refused(one)["GPU-a"]
    mine.release()


def test_a_gpu_whose_node_is_unknown_is_not_used() -> None:
    refused = GpuClaims(None, "one", lambda uuid: None).refused(BOTH)
    assert set(refused) == {"GPU-a", "GPU-b"}
    assert "device node is unknown" in refused["GPU-a"]
