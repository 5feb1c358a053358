"""The job file's units as click's parameter types: one way to write a time or a size everywhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from launcher.jobfile.values import gpu_spec, names, units

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType


class Parsed(_Type):
    """A parameter read by a function that raises ``ValueError`` with a sentence."""

    def __init__(self, name: str, parse: Callable[[str], Any], completes: str = "") -> None:
        """``completes``: a kind of ``completion.values``; empty if nothing completes it."""
        self.name = name
        self._parse, self._completes = parse, completes

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Return what completes a word in the shell, as the daemon knows it."""
        from click.shell_completion import CompletionItem

        from launcher.cli.completion.values import values

        daemon = ctx.find_root().params.get("host")
        pairs = values(self._completes, incomplete, daemon) if self._completes else []
        return [CompletionItem(value, help=text or None) for value, text in pairs]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value, or fail with the parser's own words."""
        if not isinstance(value, str):
            return value
        try:
            value.encode()
            return self._parse(value)
        except UnicodeEncodeError:
            self.fail("this is not UTF-8 text", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _positive(parse: Callable[[str], float]) -> Callable[[str], float]:
    def checked(text: str) -> float:
        value = parse(text)
        if value <= 0:
            raise ValueError(f"'{text}' must be more than nothing")
        return value

    return checked


def _later(module: str, function: str) -> Callable[[str], Any]:
    """Return a parser of the job file's that is imported when its flag is used."""

    def parse(text: str) -> Any:
        return getattr(import_module(module), function)(text)

    return parse


TEXT = Parsed("text", str)
JOB = Parsed("job", str, "job")
LIVE_JOB = Parsed("job", str, "live job")
SLICE = Parsed("slice", str, "slice")
SLICE_OR_GPU = Parsed("slice", str, "slice or GPU")
GPU = Parsed("gpu", str, "GPU")
ANY_PROFILE = Parsed("profile", str, "profile")
OWNER = Parsed("text", str, "user")
"""A user by the name that the daemon knows, or ``me``."""
RESERVATION = Parsed("text", str, "reservation")
EVENT_TYPE = Parsed("text", str, "event type")
TOPIC = Parsed("topic", str, "topic")
JOB_FILE_KEY = Parsed("key", str, "key")
OWN_IMAGE = Parsed("image", str, "own image")
DURATION = Parsed("time", units.parse_duration)
AGE = Parsed("time", lambda text: units.parse_duration(text, 100 * units.MAX_SECONDS))
TIME_LIMIT = Parsed("time", _positive(units.parse_duration))
SIZE = Parsed("size", _positive(units.parse_size))
CPUS = Parsed("number", units.parse_cpus)
COUNT = Parsed("n", units.parse_count)
PRIORITY = Parsed("n", units.parse_priority)
MOMENT = Parsed("time", _later("launcher.jobfile.values.waiting", "parse_moment"))
BEGIN = Parsed("time", _later("launcher.jobfile.values.waiting", "parse_begin"))
DEPENDENCY = Parsed("dependency", _later("launcher.jobfile.values.waiting", "parse_dependency"))
SPEC = Parsed("spec", gpu_spec.parse_spec, "profile")
PROFILE = Parsed("profile", gpu_spec.parse_profile, "profile")
NAME = Parsed("name", names.check_name)
IMAGE = Parsed("image", names.check_image, "image")
NETWORK = Parsed("network", names.check_network)
POLICY_PROFILE = Parsed("name", names.check_profile)
HOME = Parsed("home", _later("launcher.jobfile.values.volumes", "parse_home"))
ULIMIT = Parsed("limit", units.parse_ulimit)
CAPABILITIES = Parsed("names", gpu_spec.parse_capabilities)
USER = Parsed("user", names.check_user)
CONTAINER_PATH = Parsed("path", names.check_container_path)
ARRAY = Parsed("indices", _later("launcher.jobfile.values.array_spec", "parse_array"))
RETRIES = Parsed("n", _later("launcher.jobfile.values.retry_spec", "parse_retries"))
PORT = Parsed("port", units.parse_port)
DETACH_KEYS = Parsed("keys", _later("launcher.cli.input.detach_keys", "parse"))
RETRY_ON = Parsed("words", _later("launcher.jobfile.values.retry_spec", "parse_retry_on"))
NOTIFY_TARGET = Parsed("target", _later("launcher.spec.notify", "parse_target"))
NOTIFY = Parsed("target", _later("launcher.spec.notify", "parse_flag"))
SIGNAL = Parsed("name@time", _later("launcher.jobfile.values.signals", "parse_signal"))
