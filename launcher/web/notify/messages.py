"""What notifications say: the JSON document of webhooks, and the text of mails.

The document is that of ``launch events``. Its ``text`` is what Slack, Mattermost and bridges to
Matrix show of an incoming webhook; ntfy (2.10 and later) makes title and message of ``title`` and
``text``, because the headers name them as a template. Header values are constant: nothing of a job
is in them.
"""

from __future__ import annotations

import dataclasses
import json

from launcher import __version__, wire
from launcher.web.notify.bounds import MOST_SLICES
from launcher.web.notify.deliveries import Delivery, Document

HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"launcher/{__version__}",
    "X-Template": "yes",
    "X-Title": "{{.title}}",
    "X-Message": "{{.text}}",
}
DELIVERY_HEADER = "Launcher-Delivery"
"""The same at a repetition of a delivery."""
VERSION = 1


def document_of(event: wire.EventLine) -> Document:
    """Return the document of an event."""
    document = dataclasses.asdict(event)
    job = document["job"]
    if job is not None:
        job["slices"] = job["slices"][:MOST_SLICES]
    return {**document, "title": _title(event)}


def document(delivery: Delivery) -> Document:
    """Return what is sent; a sum of several has the number and the text of the last event."""
    last = delivery.document
    if delivery.more <= 1:
        return last
    text = f"{delivery.more} more notifications for {delivery.user}; the last: {last['text']}"
    nothing = dict.fromkeys(("at", "job", "array", "subject", "detail"))
    return {
        "version": VERSION,
        "seq": last.get("seq"),
        "type": "notify.more",
        "user": delivery.user,
        **nothing,
        "more": delivery.more,
        "text": text,
        "title": f"launcher: {delivery.more} more notifications",
    }


def body(delivery: Delivery) -> bytes:
    """Return the body of a webhook's request."""
    return json.dumps(document(delivery)).encode()


def _title(event: wire.EventLine) -> str:
    """Return the title: "job 12 (train): FAILED"."""
    if event.job is not None:
        array = event.job.array
        ref = f"{array['id']}[{array['index']}]" if array else str(event.job.id)
        name = f" ({event.job.name})" if event.job.name else ""
        return f"job {ref}{name}: {event.job.outcome or event.type.partition('.')[2]}"
    if event.array is not None:
        name = f" ({event.array.name})" if event.array.name else ""
        return f"array {event.array.id}{name}: {event.array.outcome or 'ended'}"
    return f"launcher: {event.type}"
