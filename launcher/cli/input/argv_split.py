"""Where the options of ``run`` end and the job's command begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def split_words(
    args: Sequence[str], takes_value: Mapping[str, bool]
) -> tuple[list[str], list[str], list[str]]:
    """Return (options, image, command): image is empty or one word.

    Options stand before the image, or between it and the first word that is not an option. That
    word, or ``--``, begins the command, and nothing after it is ours. The user's shell has split
    the words already: there is nothing for ``shlex`` to do.

    >>> split_words(["--name", "a", "busybox", "-d", "--", "sh", "-c", "x"], {"--name": True})
    (['--name', 'a', '-d'], ['busybox'], ['sh', '-c', 'x'])
    """
    options: list[str] = []
    rest = list(args)
    image: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            if not image:
                image, rest = rest[:1], rest[1:]
            return options, image, rest
        if word.startswith("-") and word != "-":
            options.append(word)
            if rest and _wants_next(word, takes_value):
                options.append(rest.pop(0))
        elif not image:
            image = [word]
        else:
            return options, image, [word, *rest]
    return options, image, []


def _wants_next(word: str, takes_value: Mapping[str, bool]) -> bool:
    """Whether the word's option takes its value from the next word."""
    if word.startswith("--"):
        return "=" not in word and takes_value.get(word, False)
    if is_terminal(word):
        return False
    for at, letter in enumerate(word[1:], start=1):
        if takes_value.get(f"-{letter}", False):
            return at == len(word) - 1
    return False


def is_terminal(word: str) -> bool:
    """Whether a word is docker's -it, alone or with -d and -q: no -t with its time.

    >>> is_terminal("-dit"), is_terminal("-t")
    (True, False)
    """
    letters = word[1:]
    return word[:1] == "-" and {"i", "t"} <= set(letters) <= set("itdq")
