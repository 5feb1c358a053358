"""The keys that leave a terminal, as docker's --detach-keys names them."""

from __future__ import annotations

DEFAULT = "ctrl-p,ctrl-q"


def parse(text: str) -> bytes:
    r"""Return the bytes of keys; raises ``ValueError``.

    >>> parse("ctrl-p,ctrl-q"), parse("ctrl-a,d")
    (b'\x10\x11', b'\x01d')
    """
    result = bytearray()
    for word in text.split(","):
        control = word.removeprefix("ctrl-")
        if len(word) == 1 and word.isascii():
            result += word.encode()
        elif control != word and len(control) == 1 and "@" <= control.upper() <= "_":
            result.append(ord(control.upper()) - 64)
        else:
            raise ValueError(f"{word[:40]!r} is not a key: write a letter, or ctrl-a to ctrl-z")
    return bytes(result)
