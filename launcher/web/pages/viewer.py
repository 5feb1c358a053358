"""Who looks at a page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Viewer:
    """A user who logged in, or a guest: then ``user`` and ``session`` are None.

    ``form`` is the session's token for forms; a page of another site cannot know it.
    """

    user: str | None = None
    uid: int | None = None
    admin: bool = False
    session: str | None = field(default=None, repr=False)
    form: str = field(default="", repr=False)


GUEST = Viewer()
