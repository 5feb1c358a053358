"""The tables ``[web]`` and ``[users]`` of launcher.toml: the web service, and its rights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from launcher.config import default_paths
from launcher.toml_kinds import Names, PositiveFloat, PositiveInt, ReadBy

WEB_USER = "launcher-web"
"""The user of the unit launcher-web.service."""
MOST_PORT = 65535


def parse_listen(value: Any) -> tuple[str, int]:
    """Return the address and port of ``127.0.0.1:8080``, ``[::1]:8080`` or ``:8080``.

    An empty address means all. Raises ``ValueError`` for another text.
    """
    host, colon, port = str(value).rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port[:6]) > MOST_PORT:
        raise ValueError("it must be an address and a port, such as '127.0.0.1:8080'")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("write an IPv6 address in brackets, such as '[::1]:8080'")
    return host, int(port)


def _listen(value: Any) -> Any:
    if isinstance(value, str):
        parse_listen(value)
    return value


def _file(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value and (not value.startswith("/") or "\0" in value):
        raise ValueError("it must be an absolute path")
    return Path(value) if value else None


@dataclass(frozen=True, slots=True)
class WebTable:
    """The table ``[web]``: what `launch web` serves."""

    listen: Annotated[str, ReadBy(_listen)] = "127.0.0.1:8080"  #: address and port
    #: more names of this machine that browsers may use; the address it listens on and localhost
    #: always work
    allowed_hosts: Names = ()
    guests: bool = True  #: whether its pages can be read without a login
    #: where metrics are written for node_exporter, such as
    #: /var/lib/node_exporter/launcher.prom; default: nowhere
    textfile: Annotated[Path | None, ReadBy(_file)] = None


@dataclass(frozen=True, slots=True)
class UsersTable:
    """The table ``[users]``: users with a role of their own."""

    #: may read what every user sees and do nothing else: the user of `launch web`
    observer: str = WEB_USER
    observer_requests_per_second: PositiveFloat = 500.0  #: instead of those in [limits]
    observer_streams: PositiveInt = 256  #: instead of those in [limits]


def web_config_file(named: str | None, env: Mapping[str, str] = os.environ) -> str | None:
    """Return the configuration of `launch web`: the named one, the user's own, or the system's.

    None if there is none. A service user has none of its own.
    """
    named = named or env.get("LAUNCHER_CONFIG")
    if named:
        return named
    candidates = (default_paths.own_config(env), default_paths.SYSTEM_CONFIG)
    return next((each for each in candidates if Path(each).exists()), None)
