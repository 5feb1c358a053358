"""A Compose file -> the jobs of its services, by name."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from collections.abc import Mapping as Values
from dataclasses import dataclass, field

from launcher.errors import JobFileError, UserError
from launcher.jobfile.compose import keys
from launcher.jobfile.compose.extending import Extending
from launcher.jobfile.compose.interpolation import MOST_PROBLEMS, Interpolation
from launcher.jobfile.compose.project import WHOLE, Entry, Project
from launcher.jobfile.compose.service import job_of
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import entries, unknown
from launcher.jobfile.variables.notices import Notices


def is_compose(root: Node) -> bool:
    """Whether a file is Compose's: it has ``services``."""
    return isinstance(root, Mapping) and any(key.text == "services" for key, _ in root.entries)


MAX_SERVICES = 1_000


@dataclass
class Picked:
    """The services that the caller names, none for all; ``known`` are those of all files read."""

    names: tuple[str, ...] = ()
    known: set[str] = field(default_factory=set)

    def check(self) -> None:
        """Raise ``UserError`` for a name that no file has."""
        for name in self.names:
            if name in self.known:
                continue
            if not self.known:
                raise UserError("--service picks services of a Compose file: none of these is one")
            near = difflib.get_close_matches(name, self.known, n=1)
            hint = (
                f"Did you mean {near[0]}?"
                if near
                else f"There are: {', '.join(sorted(self.known))}"
            )
            raise UserError(f"the Compose file has no service '{name[:63]}'", fix=hint)


def jobs_of(
    root: Node,
    picked: Picked,
    client: Values[str, str],
    notices: Notices,
    problems: list[JobFileError],
) -> list[tuple[Scalar, Node]]:
    """Return the services that become jobs, each as the mapping of a job."""
    top = {key.text: (key, value) for key, value in entries(root, "a Compose file")}
    problems += _wrong_keys(top)
    services = _mapping(top, "services")
    if len(services) > MAX_SERVICES:
        raise top["services"][1].error(f"`services` has more than {MAX_SERVICES} services")
    picked.known.update(services)
    services, wrong = _extended(services, problems)
    taken = _taken(services, picked.names, client, notices)
    interpolation = Interpolation(client, notices)
    secrets = {
        text: interpolation.node(node) for text, (_, node) in _mapping(top, "secrets").items()
    }
    project = Project(services, set(taken), secrets, notices)
    values = {text: interpolation.node(services[text][1]) for text in taken}
    problems += interpolation.problems
    result = []
    for text, node in values.items():
        if len(problems) >= MOST_PROBLEMS:
            break
        job = job_of(services[text][0], node, project, problems)
        if text not in wrong:
            result.append((services[text][0], job))
    if project.ignored:
        notices.add(
            f"{root.file}: ignored, as it changes nothing for a job: {', '.join(project.ignored)}"
        )
    return result


def _wrong_keys(top: Values[str, Entry]) -> Iterator[JobFileError]:
    for key, value in top.values():
        if key.text == "include" and not keys.says_nothing(value):
            yield key.error(
                "`include` is not read: other files are not part of this one", fix=WHOLE
            )
        elif key.text not in keys.TOP:
            yield unknown(key, keys.TOP, "a Compose file")


def _mapping(top: Values[str, Entry], name: str) -> dict[str, Entry]:
    """Return a mapping at the top of the file by its keys; it may be left out."""
    if name not in top or (isinstance(node := top[name][1], Scalar) and node.value is None):
        return {}
    return {key.text: (key, value) for key, value in entries(top[name][1], f"`{name}`")}


def _extended(
    services: dict[str, Entry], problems: list[JobFileError]
) -> tuple[dict[str, Entry], set[str]]:
    """Return the services with what they take over from others, and the names of wrong ones."""
    wrong: set[str] = set()
    extending = Extending(services)
    result = dict(services)
    for name, (key, _) in services.items():
        try:
            result[name] = (key, extending.service(name))
        except JobFileError as error:
            wrong.add(name)
            problems.append(error)
            if len(problems) >= MOST_PROBLEMS:
                break
    return result, wrong


def _taken(
    services: Values[str, Entry],
    picked: Collection[str],
    client: Values[str, str],
    notices: Notices,
) -> list[str]:
    """Return the services that become jobs: the picked ones, or all whose profiles are active."""
    if picked:
        return [name for name in services if name in picked]
    active = {name.strip() for name in client.get("COMPOSE_PROFILES", "").split(",")}
    result = []
    for name, (key, node) in services.items():
        profiles = _profiles(node)
        if not profiles or "*" in active or active & profiles:
            result.append(name)
        else:
            notices.add(
                f"{key.place()}: `{name}` is left out, as it has `profiles`:"
                f" --service {name} takes it"
            )
    return result


def _profiles(node: Node) -> set[str]:
    for key, value in node.entries if isinstance(node, Mapping) else ():
        if key.text == "profiles" and isinstance(value, Items):
            return {item.text for item in value.items if isinstance(item, Scalar)}
    return set()
