"""Elements of arrays are stored as their array's template and their values."""

from __future__ import annotations

import json

from launcher.core.messages.changes import Changes
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Element
from launcher.store import Reader, Store, Stored
from tests.support.builders import ALICE
from tests.unit.store.worlds import changes, done, job

ARRAY, FIRST, SECOND, PLAIN = 1, 2, 3, 4
DOCUMENT = json.dumps({"command": ["${lr}"], "secrets": {"t": "kept:ab"}}, separators=(",", ":"))


def sweep(document: str = DOCUMENT) -> Changes:
    """An array of two, of which the first has ended, and a plain job."""
    made = changes()
    made.arrays[ARRAY] = (Array(ARRAY, ALICE, "sweep", 2), ArrayTemplate(document, ("lr", "seed")))
    first = done(FIRST, element=Element(ARRAY, 0, (("lr", "0.10"),)))
    made.new_jobs = [
        (first, ""),
        (job(SECOND, element=Element(ARRAY, 1)), ""),
        (job(PLAIN), '{"command":["true"],"secrets":{"t":"kept:cd"}}'),
    ]
    return made


def test_an_element_is_read_as_its_template_and_its_values(store: Store, reader: Reader) -> None:
    store.commit(sweep())
    assert reader.spec(FIRST) == Stored(DOCUMENT, ("lr", "seed"), {"lr": "0.10"})
    assert reader.spec(SECOND) == Stored(DOCUMENT, ("lr", "seed"), {})
    assert reader.spec(ARRAY) is None


def test_elements_of_one_array_share_the_command_they_are_read_with(
    store: Store, reader: Reader
) -> None:
    store.commit(sweep())
    found = reader.commands([FIRST, SECOND, PLAIN])
    assert found[FIRST] == Stored('["${lr}"]', ("lr", "seed"), {"lr": "0.10"})
    assert found[FIRST].document is found[SECOND].document
    assert found[PLAIN] == Stored('["true"]')


def test_the_secrets_of_elements_are_found_by_their_template(store: Store, reader: Reader) -> None:
    store.commit(sweep())
    uid = ALICE.uid
    assert reader.secrets_of_live() == [(PLAIN, uid, "kept:cd"), (SECOND, uid, "kept:ab")]
    assert reader.secrets_of([FIRST, PLAIN]) == {FIRST: "kept:ab", PLAIN: "kept:cd"}


def test_an_element_that_an_older_version_stored_whole_is_read_as_it_is(
    store: Store, reader: Reader
) -> None:
    made = sweep()
    whole = '{"command":["${lr}"],"secrets":{"t":"kept:ef"}}'
    made.new_jobs[1] = (job(SECOND, element=Element(ARRAY, 1, (("lr", "2"),))), whole)
    store.commit(made)
    store._db.execute("UPDATE arrays SET template = NULL, keys = NULL")
    assert reader.spec(SECOND) == Stored(whole)
    assert reader.commands([SECOND]) == {SECOND: Stored('["${lr}"]')}
    assert (SECOND, ALICE.uid, "kept:ef") in reader.secrets_of_live()


def test_of_an_element_whose_template_is_lost_nothing_is_stored(
    store: Store, reader: Reader
) -> None:
    store.commit(sweep())
    store._db.execute("UPDATE arrays SET template = NULL, keys = NULL")
    assert reader.spec(SECOND) is None
    assert reader.commands([SECOND]) == {SECOND: Stored("null")}
    assert reader.secrets_of([SECOND]) == {}
    assert set(store.load(1).jobs) == {SECOND, PLAIN}


def test_what_the_world_is_made_of_does_not_hold_templates(store: Store, reader: Reader) -> None:
    store.commit(sweep(json.dumps({"command": ["x" * 1_000_000]})))
    read: list[str] = []
    store._db.set_trace_callback(read.append)
    store.load(1)
    store._db.set_trace_callback(None)
    assert not [query for query in read if "template" in query or "* FROM arrays" in query]
