"""``${NAME}`` in a job file, where no matrix has the key: it passes as it is, and is mentioned."""

from __future__ import annotations

import re
from collections.abc import Collection

from launcher.interpolation import KEY
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.variables.notices import Notices

_LITERAL = re.compile(rf"\$(?P<escape>\$)?\{{(?P<name>{KEY.pattern})(?=\}}|:?[-?+])", re.ASCII)


def tell_literals(node: Node, keys: Collection[str], notices: Notices) -> None:
    """Note each ``${NAME}`` that looks like a variable, and that nothing replaces."""
    if isinstance(node, Mapping):
        for key, value in node.entries:
            if not key.text.startswith("x-"):
                tell_literals(value, keys, notices)
    elif isinstance(node, Items):
        for item in node.items:
            tell_literals(item, keys, notices)
    elif isinstance(node, Scalar) and "${" in node.text:
        for match in _LITERAL.finditer(node.text):
            if not match["escape"] and match["name"] not in keys:
                notices.add(
                    f"{node.place()}: ${{{match['name']}}} is not a key of a matrix, and passes as"
                    " it is: variables are replaced in Compose files only"
                )
