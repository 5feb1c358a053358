"""Variables in the values of a Compose file, from the caller's and those of ``.env`` beside it."""

from __future__ import annotations

from collections.abc import Mapping as Values
from itertools import islice
from pathlib import Path

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import UNUSABLE, Items, Mapping, Node, Scalar, scalar_value
from launcher.jobfile.variables import dotenv, env_files
from launcher.jobfile.variables.notices import Notices
from launcher.jobfile.variables.substitution import Variables

DOTENV = ".env"
MOST_PROBLEMS = 50


def client_variables(base: Path, client: Values[str, str], notices: Notices) -> dict[str, str]:
    """Return the caller's variables, and for those that the caller lacks the ones of ``.env``."""
    path = base / DOTENV
    if not path.is_file():
        return dict(client)
    result: dict[str, str] = {}
    variables = Variables(lambda name: client.get(name, result.get(name)))
    try:
        for line in dotenv.read(env_files.read_text(path), variables):
            result[line.name] = line.value
            for name in variables.unset:
                notices.add(env_files.unset_notice(str(path), line.number, name))
            variables.unset.clear()
    except dotenv.EnvFileError as error:
        raise JobFileError(str(error), file=str(path), line=error.line, column=1) from error
    except ValueError as error:
        raise JobFileError(str(error), file=str(path)) from error
    return {**result, **client}


class Interpolation:
    """Puts values in place of variables in the nodes of one file, and notes what is wrong."""

    def __init__(self, client: Values[str, str], notices: Notices) -> None:
        self._variables = Variables(client.get)
        self._notices = notices
        self.problems: list[JobFileError] = []

    def node(self, node: Node) -> Node:
        """Return a node with the variables of all its values replaced; keys stay as they are."""
        if isinstance(node, Scalar):
            return self._scalar(node) if "$" in node.text else node
        if isinstance(node, Mapping):
            entries = tuple([(key, self.node(value)) for key, value in node.entries])
            return Mapping(*node.where(), entries)
        if isinstance(node, Items):
            return Items(*node.where(), tuple([self.node(item) for item in node.items]))
        return node

    def _scalar(self, node: Scalar) -> Scalar:
        if len(self.problems) >= MOST_PROBLEMS:
            return node
        known = len(self._variables.unset)
        try:
            text = self._variables.substitute(node.text)
            if UNUSABLE.search(text):
                raise ValueError("the value of a variable here is not text")
        except ValueError as error:
            self.problems.append(node.error(str(error)))
            return node
        if len(self._variables.unset) > known:
            self._tell_unset(node, len(self._variables.unset) - known)
        value = scalar_value(text)
        where = node.where()
        return Scalar(*where, text if value is None else value, text)

    def _tell_unset(self, node: Scalar, count: int) -> None:
        """Note the ``count`` names that were found unset last; each is told once for a file."""
        for name in reversed([*islice(reversed(self._variables.unset), count)]):
            self._notices.add("" if self._notices.full else f"{node.place()}: {_unset(name)}")


def _unset(name: str) -> str:
    return (
        f"the variable {name} is not set, and becomes nothing"
        " (write $$ for a $ of the program's own)"
    )
