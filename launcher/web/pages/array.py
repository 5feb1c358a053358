"""The page of an array: how its elements are, and some of them, failures first."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from launcher import wire
from launcher.text.job_format import matrix
from launcher.web.pages.templates import render
from launcher.web.pages.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which elements a page shows: those of one part, or of all, after an element's id."""

    part: str | None = None
    after: int | None = None

    @property
    def query(self) -> str:
        """The choice as the query of an address, with its question mark."""
        if self.part is None:
            return ""
        return f"?part={self.part}" + ("" if self.after is None else f"&after={self.after}")


def chosen(part: str | None, after: str | None) -> Chosen:
    """Return the choice of a query; unknown values are ignored.

    >>> chosen("failed", "12").query, chosen("nonsense", "12").query, chosen("failed", "-1").query
    ('?part=failed&after=12', '', '?part=failed')
    """
    if part not in wire.ARRAY_PARTS:
        return Chosen()
    is_id = after is not None and after.isascii() and after.isdecimal() and len(after) < 16
    return Chosen(part, int(after or 0) if is_id else None)


def title(page: wire.ArrayPage) -> str:
    """Return the title of an array's page."""
    name = f" {page.array.name}" if page.array.name else ""
    return f"Array {page.array.id}{name}"


def parts(page: wire.ArrayPage, viewer: Viewer, which: Chosen) -> dict[str, Markup]:
    """Return the fragments of an array's page."""
    values = {job.id: matrix(job.array or {}) for job in page.elements}
    last = page.elements[-1].id if page.elements else None
    return {
        "array-state": render(
            "fragments/array_state.html",
            array=page.array,
            numbers=numbers(page.array),
            which=which,
            not_sent=page.not_sent,
        ),
        "array-actions": render(
            "fragments/job_actions.html",
            id="array-actions",
            ref=str(page.array.id),
            path=page.array.id,
            what="array",
            actions=possible(page.array, viewer),
            limit=None,
            form=viewer.form,
        ),
        "array-elements": render(
            "fragments/array_elements.html",
            array=page.array,
            elements=page.elements,
            values=values if any(values.values()) else {},
            which=which,
            more=page.more,
            last=last,
        ),
    }


def numbers(array: wire.ArrayView) -> dict[str, int]:
    """Return the number of elements of each part, and of all of them."""
    result = dict.fromkeys(wire.ARRAY_PARTS, 0)
    for word, count in array.counts.items():
        result[_part_of_word(word)] += count
    return result


def _part_of_word(word: str) -> str:
    """Return the part of the elements with this state or outcome."""
    if word in ("STARTING", "RUNNING", "COMPLETING"):
        return "running"
    return {"PENDING": "waiting", "COMPLETED": "completed"}.get(word, "failed")


def possible(array: wire.ArrayView, viewer: Viewer) -> list[str]:
    """Return the actions that the viewer may take now."""
    if viewer.user is None or not (viewer.admin or viewer.user == array.user):
        return []
    found = numbers(array)
    actions = ["cancel"] if found["waiting"] or found["running"] else []
    actions += ["hold", "release"] if found["waiting"] else []
    return actions + (["retry-failed"] if found["failed"] else [])
