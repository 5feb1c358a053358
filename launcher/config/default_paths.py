"""Where things are by default: the system's places, and those of a user's own daemon (XDG).

For the client and the daemon both; without ``pathlib``, which every verb would load for this alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SYSTEM_SOCKET = "/run/launcher/launcher.sock"
SYSTEM_STATE = "/var/lib/launcher"
SYSTEM_CONFIG = "/etc/launcher/launcher.toml"
DOCKER_HOST = "unix:///var/run/docker.sock"


def default_socket(env: Mapping[str, str] = os.environ) -> str:
    """Return the socket of the caller's daemon: the system's for root."""
    return SYSTEM_SOCKET if os.getuid() == 0 else own_socket(env)


def own_socket(env: Mapping[str, str] = os.environ) -> str:
    """Return the socket of the user's own daemon: in the runtime directory if there is one."""
    runtime = env.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(runtime):
        return f"{runtime}/launcher/launcher.sock"
    return socket_in_state(env)


def socket_in_state(env: Mapping[str, str] = os.environ) -> str:
    """Return the own socket where there is no runtime directory."""
    return f"{own_state(env)}/launcher.sock"


def own_state(env: Mapping[str, str] = os.environ) -> str:
    """Return the state directory of the user's own daemon."""
    return f"{_base(env, 'XDG_STATE_HOME', '.local/state')}/launcher"


def own_config(env: Mapping[str, str] = os.environ) -> str:
    """Return the configuration file of the user's own daemon."""
    return f"{_base(env, 'XDG_CONFIG_HOME', '.config')}/launcher/launcher.toml"


def _base(env: Mapping[str, str], variable: str, below_home: str) -> str:
    return env.get(variable) or os.path.expanduser(f"~/{below_home}")  # noqa: PTH111


def _is_ours(directory: str) -> bool:
    """Whether the caller owns it: under sudo the variable may still name another user's."""
    try:
        return os.stat(directory).st_uid == os.getuid()  # noqa: PTH116
    except OSError:
        return False
