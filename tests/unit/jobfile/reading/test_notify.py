"""The key ``notify`` in its short and long forms, and its errors at their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.jobfile.reading.files import load_text
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import NotifyTarget

URL = "https://ntfy.example.org/mine"


def read(text: str) -> tuple[list[JobSpec], list[str]]:
    jobs, errors = load_text(f"image: busybox\n{text}\n".encode(), "f.yaml", Path("/"), client={})
    return jobs, [str(error) for error in errors]


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("", None),
        ("notify: none", ()),
        ("notify: mail", (NotifyTarget(mail="me"),)),
        ("notify: {mail: true}", (NotifyTarget(mail="me"),)),
        (f"notify: {URL}", (NotifyTarget(webhook=URL),)),
        (f"notify: webhook={URL},on=failure", (NotifyTarget(webhook=URL, on=("failure",)),)),
        (
            (
                "notify: [{on: [end, failure], webhook: 'https://ntfy.example.org/mine'},"
                " {mail: a@example.org, on: start}, mail]"
            ),
            (
                NotifyTarget(webhook=URL, on=("end", "failure")),
                NotifyTarget(mail="a@example.org", on=("start",)),
                NotifyTarget(mail="me"),
            ),
        ),
    ],
)
def test_each_form_is_read(text: str, targets: tuple[NotifyTarget, ...] | None) -> None:
    (job,), errors = read(text)
    assert (job.notify, errors) == (targets, [])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("notify: post", "f.yaml:2:9: `notify`: 'post' is not a target"),
        ("notify: {mail: false}", "f.yaml:2:16: `mail`: 'false' is not a mail address"),
        ("notify: {on: end}", "f.yaml:2:9: a target of `notify` has either `webhook` or `mail`"),
        ("notify: {mail: me, on: []}", "f.yaml:2:24: `on`: it does not say when"),
        ("notify: {mail: me, on: never}", "f.yaml:2:24: `on`: 'never' is not known"),
        (
            "notify: {mial: me}",
            "f.yaml:2:10: `mial` is not a key of `notify` (did you mean `mail`?)",
        ),
        ("notify: {webhook: ftp://x}", "f.yaml:2:19: `webhook`: the URL must begin with"),
        ("notify: [mail, mail, mail, mail, mail]", "f.yaml:2:9: `notify`: 5 targets are more"),
    ],
)
def test_an_error_is_told_at_its_place(text: str, error: str) -> None:
    _, errors = read(text)
    assert len(errors) == 1
    assert error in errors[0]
