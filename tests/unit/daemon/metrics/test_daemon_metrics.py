"""All counters of a daemon: what feeds them."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Changes, Quarantine
from launcher.core.model.gpu import Inventory, Xid
from launcher.daemon.metrics.daemon_metrics import GRAVE_XIDS, DaemonMetrics
from tests.support.builders import IMAGE, Machine, profile
from tests.unit.store.worlds import changes


def seen(metrics: DaemonMetrics, *events: ev.Event, changes: Changes | None = None) -> None:
    """Let it count a decision."""
    for _ in metrics.decided(changes or Changes(), events):
        pass


def test_pulls_are_counted_and_images_that_were_here_are_not() -> None:
    metrics = DaemonMetrics()
    seen(
        metrics,
        ev.ImageResolved(IMAGE, "sha256:1", pulled=True),
        ev.ImageResolved(IMAGE, "sha256:1"),
        ev.ImageFailed(IMAGE, "no such image"),
    )
    assert metrics.pulls.by_label == {"pulled": 1, "failed": 1}


def test_an_outage_of_nvml_is_counted_once_however_often_it_is_seen() -> None:
    metrics = DaemonMetrics()
    read = ev.InventoryRead(Inventory("580.95.05", (), ()))
    failed = ev.InventoryFailed("NVML does not answer")
    seen(metrics, failed, failed, read, failed, ev.EngineDown("away"), ev.Tick())
    assert metrics.outages.by_label == {"docker": 1, "nvml": 2}


def test_an_outage_of_docker_is_counted_once_however_often_it_is_seen() -> None:
    metrics = DaemonMetrics()
    down, up = ev.EngineDown("away"), ev.EngineUp()
    seen(metrics, down, down)
    seen(metrics, down)
    assert metrics.outages.by_label["docker"] == 1
    seen(metrics, up, up, down, ev.InventoryFailed("NVML does not answer"), down)
    assert metrics.outages.by_label == {"docker": 2, "nvml": 1}


def test_errors_of_the_driver_are_counted_by_their_number() -> None:
    metrics = DaemonMetrics()
    numbers = (79, 79, 13)
    seen(metrics, *(ev.XidSeen(Xid("GPU-a", number, None, None)) for number in numbers))
    assert metrics.xids.by_label == dict.fromkeys(GRAVE_XIDS, 0) | {"79": 2, "13": 1}


def test_a_quarantine_is_counted_and_its_end_is_not() -> None:
    metrics = DaemonMetrics()
    seen(metrics, changes=changes(quarantines={"MIG-1": Quarantine("why"), "MIG-2": None}))
    seen(metrics)
    assert metrics.quarantines == 1


def test_a_commit_is_counted_with_its_time() -> None:
    metrics = DaemonMetrics()
    metrics.committed(0.004, False)
    metrics.committed(0.5, True)
    assert (sum(metrics.commits.counts), metrics.commits_failed) == (2, 1)


def test_a_daemon_goes_on_with_the_leases_of_its_store() -> None:
    machine = Machine()
    (job,) = machine.submit(profile())
    machine.run(job)
    metrics = DaemonMetrics()
    metrics.resume(machine.world)
    assert job.owner.name in metrics.hours.totals(metrics.started_at.boot + 10)
    assert metrics.phases.keys() == {"records"}
