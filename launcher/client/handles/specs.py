"""Makes the specification of a job of the arguments of ``Client.run`` and ``Client.map``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.client.handles.values import Command, literal, matrix_of
from launcher.errors import UserError
from launcher.spec.command_line import split_command
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_names import default_name
from launcher.spec.job_spec import ArrayRequest, JobSpec

if TYPE_CHECKING:
    from launcher.client.handles.job_fields import JobFields

V = TypeVar("V")


def job_spec(
    image: str, command: str | Sequence[str] | None, profile: str | None, fields: JobFields
) -> JobSpec:
    """Return the specification of a job; raises ``UserError``.

    A command that is one text is split as a shell would, with nothing expanded.
    """
    chosen: dict[str, Any] = {"name": default_name(image), **fields}
    if profile is not None:
        if "gpus" in chosen:
            raise UserError("profile and gpus both say which slices", fix="Give one of them.")
        chosen["gpus"] = GpuRequest(kind="profile", profile=profile)
    return JobSpec(image=image, command=_words(command), **chosen)


def map_values(values: Iterable[V]) -> list[V]:
    """Return the values of a map; raises ``UserError`` for too many, also for an endless iterator.

    >>> map_values(range(3))
    [0, 1, 2]
    """
    most = ArrayRequest.MAX_ELEMENTS
    chosen = list(islice(values, most + 1))
    if len(chosen) > most:
        raise UserError(
            f"map: more than {most} values; an array has {most} elements at most",
            fix="Split the values over several calls of map.",
        )
    return chosen


def map_spec(
    image: str,
    command: Command[V],
    values: Sequence[V],
    profile: str | None,
    max_parallel: int | None,
    fields: JobFields,
) -> JobSpec:
    """Return the specification of an array with an element for each value; raises ``UserError``.

    ``${key}`` in the other fields is escaped: only the command gets values.
    """
    if fields.get("array") is not None:
        raise UserError("map makes an array of its values: omit `array`")
    template = _words(command) if isinstance(command, str) else command
    words, matrix = matrix_of(template or (), values)
    spec = _escaped(job_spec(image, None, profile, fields), matrix[0])
    array = ArrayRequest(indices=list(range(len(values))), matrix=matrix, max_parallel=max_parallel)
    return replace(spec, command=words, array=array)


def _escaped(spec: JobSpec, keys: Sequence[str] | dict[str, str]) -> JobSpec:
    """Return the specification with each text that a matrix changes kept as it is."""

    def kept(text: str) -> str:
        return literal(text, keys)

    return replace(
        spec,
        image=kept(spec.image),
        entrypoint=None if spec.entrypoint is None else tuple(map(kept, spec.entrypoint)),
        environment={name: kept(value) for name, value in spec.environment.items()},
        working_dir=None if spec.working_dir is None else kept(spec.working_dir),
        volumes=tuple(
            replace(volume, source=kept(volume.source), target=kept(volume.target))
            for volume in spec.volumes
        ),
    )


def _words(command: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(command, str):
        try:
            return tuple(split_command(command))
        except ValueError as error:
            raise UserError(str(error)) from None
    return None if command is None else tuple(command)
