"""Completion in bash, whose readline splits words at more characters than the shell.

Click's own script passes bash's words, in which ``busybox:1.36`` is three, and leaves values open
to the names of files (``12[3]``).
"""

from __future__ import annotations

import os
import re
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, split_arg_string

BREAKS = ":=@"
"""Of COMP_WORDBREAKS what may be inside a value."""
_SCRIPT = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completes the command line up to the cursor."""

    source_template = _SCRIPT
    _replaced = 0

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words before the cursor, and the beginning of the one at it."""
        # With a letter more, a new word and an open quote need no rule of their own.
        words = split_arg_string(os.environ["COMP_LINE"] + "x")
        while len(words) > 1 and re.match(r"[A-Za-z_]\w*\+?=", words[0]):
            del words[0]
        incomplete = words[-1][:-1]
        breaks = [each for each in BREAKS if each in os.environ.get("COMP_WORDBREAKS", BREAKS)]
        value = incomplete.partition("=")[2] if incomplete[:2] == "--" else incomplete
        self._replaced = max((value.rfind(each) + 1 for each in breaks), default=0)
        return words[1:-1], incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line for the script: readline replaces only what follows the last break."""
        return f"{item.type},{item.value[self._replaced :]}"
