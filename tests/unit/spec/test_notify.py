"""Targets of notifications: what can be one, and what people read of them."""

from __future__ import annotations

import pytest

from launcher.spec import notify
from launcher.spec.notify import NotifyTarget

URL = "https://ntfy.example.org/mine"


@pytest.mark.parametrize(
    "url", [URL, "http://[::1]:8080/x?y=1#z", "https://a.b-c_d.org:443/T0/B%20", "https://10.0.0.1"]
)
def test_a_url_of_http_can_be_a_webhook(url: str) -> None:
    assert notify.check_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "0 characters"),
        ("https://x/" + "a" * notify.MOST_URL, "characters, 1 to 2048"),
        ("ftp://example.org", "must begin with"),
        ("example.org", "must begin with"),
        ("https://", "no valid host"),
        ("https://[::1", "no valid host or port"),
        ("https://example.org:99999", "no valid host or port"),
        ("https://example.org:0/", "port"),
        ("https://me:secret@example.org/", "password"),
        ("https://me@example.org/", "password"),
        ("https://example.org/a b", "written with %"),
        ("https://example.org/\r\nHost: x", "written with %"),
        ("https://exämple.org/", "written with %"),
        ("https://example.org/${key}", "written with %"),
        ("https://%31%32%37.0.0.1/", "no valid host"),
    ],
)
def test_another_url_is_refused_without_being_quoted(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        notify.check_url(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", ["me", "alice@example.org", "a.b+c-d_e@localhost"])
def test_a_plain_address_can_get_mail(address: str) -> None:
    assert notify.check_mail(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "alice", "@example.org", "a@b@c", "-f@example.org", "|sh@example.org", "/x@example.org",
     "a b@example.org", "a@example.org,b@example.org", "a@-x.org", "a@exa mple.org",
     "a@example.org\nBcc: b@c.org", "a" * 300 + "@example.org", '"a"@example.org'],
)  # fmt: skip
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not a mail address"):
        notify.check_mail(address)


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("mail", NotifyTarget(mail="me")),
        ("mail=a@example.org,on=failure", NotifyTarget(mail="a@example.org", on=("failure",))),
        (URL, NotifyTarget(webhook=URL)),
        (
            f"webhook={URL}?a=1,2,on=start+end+start",
            NotifyTarget(webhook=f"{URL}?a=1,2", on=("start", "end")),
        ),
    ],
)
def test_a_word_is_a_target(word: str, target: NotifyTarget) -> None:
    assert notify.parse_target(word) == target
    assert notify.parse_flag(word) == target


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("post", "is not a target"),
        ("", "is not a target"),
        ("none", "is not a target"),
        ("mail,on=", "'' is not known"),
        ("mail,on=sometimes", "'sometimes' is not known"),
        ("mail,on=elements", "does not say when"),
        ("webhook=", "0 characters"),
    ],
)
def test_another_word_is_refused_with_what_to_write(word: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        notify.parse_target(word)


def test_targets_have_bounds_and_are_of_one_kind() -> None:
    notify.check_targets([NotifyTarget(mail="me")] * notify.MOST_TARGETS)
    for wrong in (
        [NotifyTarget(mail="me")] * (notify.MOST_TARGETS + 1),
        [NotifyTarget()],
        [NotifyTarget(webhook=URL, mail="me")],
        [NotifyTarget(webhook="file:///etc/passwd")],
        [NotifyTarget(mail="x")],
        [NotifyTarget(mail="me", on=())],
    ):
        with pytest.raises(ValueError, match=r"\w"):
            notify.check_targets(wrong)


def test_people_read_no_secret_of_a_url() -> None:
    target = NotifyTarget(webhook="https://me:pw@hooks.example.org:8443/secret?key=secret#secret")
    for text in (target.label, repr(target), notify.notify_text([target]) or ""):
        assert "secret" not in text
        assert "pw" not in text
    assert target.label == "https://hooks.example.org:8443/…"
    assert notify.shown_url("https://host?secret") == "https://host/…"
    assert notify.notify_text([NotifyTarget(mail="me")]) == "mail to me (end)"
    assert (notify.notify_text(()), notify.notify_text(None)) == ("none", None)


def test_a_user_s_mailbox_is_on_this_machine() -> None:
    assert notify.mailbox_of("alice") == "alice@localhost"
    with pytest.raises(ValueError, match="cannot be a mail address"):
        notify.mailbox_of("DOMAIN\\alice")
