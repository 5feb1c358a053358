"""``deploy`` of a service -> ``gpus``, ``mem_limit`` and ``cpus`` of a job."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.jobfile.compose.keys import says_nothing
from launcher.jobfile.compose.project import Entry, Project, cannot, renamed
from launcher.jobfile.values.nodes import Node, Scalar
from launcher.jobfile.values.scalars import entries, items, unknown

_DEPLOY = {
    "mode", "labels", "restart_policy", "update_config", "rollback_config", "placement",
    "endpoint_mode",
}  # fmt: skip
_LIMITS = {"memory": "mem_limit", "cpus": "cpus"}
_RESERVATIONS = {"memory", "cpus"}


def deploy(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Yield the keys of a job for ``deploy``; what says how a service runs on is ignored."""
    for inner, value in entries(node, "`deploy`"):
        if inner.text == "resources":
            yield from _resources(value, project)
        elif inner.text == "replicas":
            if not says_nothing(value, frozenset({"1"})):
                why = "a job runs once: write `array` under `x-launcher` for more"
                raise cannot(inner, why, name="deploy.replicas")
        elif inner.text in _DEPLOY:
            project.ignore(f"deploy.{inner.text}")
        else:
            raise unknown(inner, {*_DEPLOY, "resources", "replicas"}, "`deploy`")


def _resources(node: Node, project: Project) -> Iterator[Entry]:
    for inner, value in entries(node, "`resources`"):
        if inner.text == "limits":
            yield from _limits(value, project)
        elif inner.text == "reservations":
            yield from _reservations(value, project)
        else:
            raise unknown(inner, ("limits", "reservations"), "`resources`")


def _limits(node: Node, project: Project) -> Iterator[Entry]:
    for inner, value in entries(node, "`limits`"):
        if inner.text in _LIMITS:
            yield renamed(inner, _LIMITS[inner.text], value)
        elif inner.text == "pids":
            project.ignore("deploy.resources.limits.pids")
        else:
            raise unknown(inner, (*_LIMITS, "pids"), "`limits`")


def _reservations(node: Node, project: Project) -> Iterator[Entry]:
    for inner, value in entries(node, "`reservations`"):
        if inner.text == "devices":
            if items(value, "`devices`"):
                yield renamed(inner, "gpus", value)
        elif inner.text in _RESERVATIONS:
            project.ignore(f"deploy.resources.reservations.{inner.text}")
        elif inner.text == "generic_resources":
            raise cannot(inner, "ask for GPUs with `devices`")
        else:
            raise unknown(inner, (*_RESERVATIONS, "devices"), "`reservations`")
