"""Each reason for which a slice cannot be used comes with what to do about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.core.messages import events as ev
from launcher.core.messages.changes import Quarantine
from launcher.core.model.slice_state import SliceState
from launcher.daemon.api.views import job_views
from launcher.wire import SliceView
from tests.support.builders import ROOT, Machine, mig

AT = 1_800_000_000.0


def shown(machine: Machine) -> SliceView:
    (view,) = job_views.slice_views(machine.world)
    return view


def set_to(**fields: object) -> Callable[[Machine], None]:
    def put(machine: Machine) -> None:
        state: SliceState = machine.world.slices["MIG-a-0"]
        for name, value in fields.items():
            setattr(state, name, value)

    return put


def quarantine(lasting: bool) -> Callable[[Machine], None]:
    found = Quarantine("XID 94", lasting, AT)
    return lambda machine: machine.world.quarantine("MIG-a-0", found)


@pytest.mark.parametrize(
    ("put", "why", "fix", "since"),
    [
        (set_to(changing=7), "is part of layout change 7", "launch layout changes", False),
        (set_to(silent="it hangs"), "cannot be used now: it hangs", "dmesg", False),
        (set_to(lost=True), "is not reported by NVML", "launch layout show", False),
        (set_to(foreign="is used by process 7"), "process 7", "[foreign] allow", False),
        (quarantine(True), "is quarantined: XID 94", "launch undrain MIG-a-0", True),
        (quarantine(False), "is quarantined: XID 94", "ends by itself", True),
        (
            lambda m: m.tell(ev.DrainAsked(ROOT, "GPU-a", "fan")),
            "is drained: fan",
            "launch undrain GPU-a",
            True,
        ),
        (lambda m: m.tell(ev.InventoryFailed("no driver")), "no driver", "launch doctor", False),
    ],
)
def test_it_is_said_why_since_when_and_what_to_do(
    put: Callable[[Machine], None], why: str, fix: str, since: bool
) -> None:
    machine = Machine(slices=[mig(0)])
    put(machine)
    view = shown(machine)
    assert why in (view.why or "")
    assert fix in (view.fix or "")
    assert (view.since is not None) is since


def test_of_a_slice_that_can_be_used_nothing_is_said() -> None:
    view = shown(Machine(slices=[mig(0)]))
    assert (view.why, view.since, view.fix) == (None, None, None)
