"""One service of a Compose file -> the mapping of a job, or every reason why it cannot be one."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import JobFileError
from launcher.jobfile.compose import keys
from launcher.jobfile.compose.changed import CHANGED
from launcher.jobfile.compose.project import Entry, Project, cannot, renamed
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import SeveralErrors, entries, unknown

X_LAUNCHER = "x-launcher"
"""A mapping of a job's own keys, for what Compose has no word for."""
GPU_VARIABLES = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES")
"""Variables that say which GPUs a container sees; of a job with GPUs the launcher sets them."""


def job_of(name: Scalar, node: Node, project: Project, problems: list[JobFileError]) -> Node:
    """Return the mapping of a job, with what is right of the service; the rest is a problem."""
    service = _Service(project)
    service.read(name, node)
    problems += service.problems
    return Mapping(*node.where(), tuple(service.job.values()))


class _Service:
    """One service while it is read: the keys of the job so far, and what is wrong."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.job: dict[str, Entry] = {}
        self.problems: list[JobFileError] = []

    def read(self, name: Scalar, node: Node) -> None:
        label = f"the service `{name.text[:63]}`"
        try:
            found = {key.text: (key, value) for key, value in entries(node, label)}
            own = dict(_own_keys(node))
        except JobFileError as error:
            self.problems.append(error)
            return
        for key, value in found.values():
            try:
                for entry in self._key(key, value):
                    self._put(entry)
            except JobFileError as error:
                self.problems += error.errors if isinstance(error, SeveralErrors) else [error]
        self.job |= own
        self._check_image(found)
        self._check_gpus(found)

    def _key(self, key: Scalar, value: Node) -> Iterator[Entry]:
        if isinstance(value, Scalar) and value.value is None:
            return
        if key.text in keys.SAME:
            yield key, value
        elif key.text in CHANGED:
            yield from CHANGED[key.text](key, value, self.project)
        elif key.text in keys.IGNORED:
            if not keys.says_nothing(value, frozenset({"no"})):
                self.project.ignore(key.text)
        elif key.text in keys.REFUSED:
            why, harmless = keys.REFUSED[key.text]
            if not keys.says_nothing(value, harmless):
                raise cannot(key, why)
        elif key.text not in keys.ELSEWHERE:
            known = (*keys.SAME, *CHANGED, *keys.IGNORED, *keys.REFUSED, *keys.ELSEWHERE)
            raise unknown(key, known, "a service")

    def _put(self, entry: Entry) -> None:
        key, value = entry
        first = self.job.setdefault(key.text, entry)
        if first is entry or (_text(first[1]) is not None and _text(first[1]) == _text(value)):
            return
        raise key.error(
            f"`{key.text}` is said twice, also in line {first[0].line}: leave one of them out"
        )

    def _check_image(self, found: dict[str, Entry]) -> None:
        if "build" not in found or keys.says_nothing(found["build"][1]):
            return
        if "image" in self.job:
            self.project.ignore("build")
        else:
            why = "build the image first, then name it under `image`"
            key = found["build"][0]
            self.problems.append(cannot(key, why))
            self.job["image"] = renamed(key, "image", Scalar(*key.where(), "built", "built"))

    def _check_gpus(self, found: dict[str, Entry]) -> None:
        """Of a job with GPUs the launcher says which; another one must say that it wants some."""
        if "gpus" not in self.job:
            if "runtime" in found and _text(found["runtime"][1]) == "nvidia":
                why = "it does not say which GPUs: add `gpus: all`, or `deploy` with `devices`"
                self.problems.append(cannot(found["runtime"][0], why, name="runtime: nvidia"))
            return
        if "environment" in self.job:
            key, value = self.job["environment"]
            self.job["environment"] = renamed(key, key.text, self._without_gpu_variables(value))

    def _without_gpu_variables(self, node: Node) -> Node:
        where = node.where()
        if isinstance(node, Mapping):
            kept = tuple(entry for entry in node.entries if not self._is_gpu_variable(entry[0]))
            return Mapping(*where, kept)
        if isinstance(node, Items):
            return Items(*where, tuple(i for i in node.items if not self._is_gpu_variable(i)))
        return node

    def _is_gpu_variable(self, node: Node) -> bool:
        name = (_text(node) or "").partition("=")[0]
        if name in GPU_VARIABLES:
            self.project.ignore(name)
        return name in GPU_VARIABLES


def _own_keys(node: Node) -> Iterator[tuple[str, Entry]]:
    for key, value in node.entries if isinstance(node, Mapping) else ():
        if key.text == X_LAUNCHER:
            for entry in entries(value, f"`{X_LAUNCHER}`"):
                yield entry[0].text, entry


def _text(node: Node) -> str | None:
    return node.text if isinstance(node, Scalar) else None
