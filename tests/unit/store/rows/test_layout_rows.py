"""A change of the layout is read as it was written, with all of its steps."""

from __future__ import annotations

import sqlite3

import pytest

from launcher.core.model.gpu import Placement
from launcher.core.model.layout_change import (
    Busy,
    LayoutOp,
    LayoutTarget,
    OpResult,
    OpState,
    Step,
    StepKind,
    Want,
)
from launcher.core.model.packing import Place
from launcher.store import Store
from launcher.store.rows import layout_rows
from tests.support.builders import ALICE
from tests.unit.store.worlds import changes

WISH = LayoutTarget("GPU-a", (Want("1g.6gb", 2), Want("1c.2g.12gb", 2, 2)), exact=True, mode=True)
DROP = LayoutTarget("GPU-b", None, drop=frozenset({(5, Place(14, 2))}))
MADE = Step(StepKind.CREATE, "GPU-a", 0, "2g.12gb", 5, Placement(2, 2), 7, (1, 1))
ON = Step(StepKind.MODE_ON, "GPU-a")


def row_of(store: Store, op: LayoutOp) -> sqlite3.Row:
    store.commit(changes(layouts={op.id: op}))
    row: sqlite3.Row = store._db.execute("SELECT * FROM layouts").fetchone()
    return row


@pytest.mark.parametrize(
    "op",
    [
        LayoutOp(1, "create", "as asked", ALICE, 5.0, (WISH,)),
        LayoutOp(2, "destroy", "", ALICE, 5.0, (WISH, DROP), Busy.CANCEL_AND_WAIT,
                 steps=[MADE], done=[ON], undo=[ON], pending=("GPU-a",), changing=("MIG-0",),
                 state=OpState.ROLLING_BACK, message="no room"),
        LayoutOp(3, "clear", "", ALICE, 5.0, state=OpState.DONE, result=OpResult.FAILED,
                 message="because", ended_at=9.0),
    ],
)  # fmt: skip
def test_each_state_of_a_change_is_read_as_it_was(store: Store, op: LayoutOp) -> None:
    assert layout_rows.from_row(row_of(store, op)) == op
