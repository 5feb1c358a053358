r"""Words for a shell, quoted so that neither the shell nor the terminal does anything with them.

>>> print(quoted("a b"), quoted("a\nb"), quoted("1g.6gb"))
'a b' $'a\nb' 1g.6gb
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence

from launcher.text.safe_text import UNSEEN

_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f{UNSEEN}\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "'": "\\'", "\\": "\\\\"}


def quoted(word: str) -> str:
    """Return a word for bash, zsh and ksh; one with control characters in ``$'...'``.

    No argument can hold a NUL or a lone surrogate: they become U+FFFD.
    """
    word = re.sub("[\0\ud800-\udfff]", "\ufffd", word)
    if not _UNSAFE.search(word):
        return shlex.quote(word)
    return "$'" + re.sub(rf"['\\]|{_UNSAFE.pattern}", lambda m: _escaped(m.group()), word) + "'"


def _escaped(letter: str) -> str:
    """Return a character as bytes of UTF-8, which a shell reads the same in every locale."""
    return _SHORT.get(letter) or "".join(f"\\x{byte:02x}" for byte in letter.encode())


def print_docker_run(words: Sequence[str]) -> None:
    """Print a ``docker run`` command, a line for each option and one for image and command."""
    begin = next((i for i, word in enumerate(words) if i > 1 and word[:2] != "--"), len(words))
    lines = [words[:2], *([word] for word in words[2:begin]), words[begin:]]
    text = " \\\n  ".join(" ".join(map(quoted, line)) for line in lines if line)
    sys.stdout.write(f"{text}\n")
