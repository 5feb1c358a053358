"""launcher.toml, environment and flags, read and checked once, then frozen.

A flag wins over the environment, the environment over the file, the file over the defaults. System
defaults are for uid 0, XDG directories for anyone else. A key is one field of a dataclass.
Its kind, default, variable, flag and, after ``#:``, its meaning are written there alone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from launcher.config import default_paths
from launcher.config.docker_context import docker_host
from launcher.config.history import History, with_jobs
from launcher.config.limits import Limits
from launcher.config.notify import NotifyTable
from launcher.config.web import UsersTable, WebTable
from launcher.core.policy.settings import (
    DEFAULT_RULES,
    FairShare,
    InteractiveTable,
    Policy,
    PolicyProfile,
    PolicyTable,
    PortsTable,
    ProfileName,
    QueueTable,
    Quota,
    Settings,
)
from launcher.errors import ConfigError
from launcher.toml_kinds import Amount, Count, Names, NameSet, PositiveFloat, PositiveInt, ReadBy

SYSTEM_LOCKS = "/run/launcher"


@dataclass(frozen=True, slots=True)
class Also:
    """Where else a key can be set: an environment variable, a flag of ``launch serve``."""

    variable: str | None = None
    flag: str | None = None
    """The help of the flag."""
    metavar: str | None = None


def _place(value: Any) -> Any:
    """Return an absolute path; an empty text means none."""
    if not isinstance(value, str):
        return value
    if "\0" in value:
        raise ValueError("it must be a path")
    return Path(value).absolute() if value else None


@dataclass(frozen=True, slots=True)
class Foreign:
    """The table ``[foreign]``: use of slices by others that is expected."""

    #: processes, containers or image repositories that do not count as use of a slice
    allow: Names = ("nv-hostengine", "dcgm-exporter", "nvidia-persistenced")


@dataclass(frozen=True, slots=True)
class HostTable:
    """The table ``[host]``: host jobs."""

    groups: NameSet = frozenset()  #: their members may use `launch host`


@dataclass(frozen=True, slots=True)
class QuotaTable(Quota):
    """The table ``[quota]``, with ``[quota.users.NAME]`` and ``[quota.groups.NAME]``."""

    users: Mapping[str, Quota] = field(default_factory=dict)  #: instead of [quota]
    groups: Mapping[str, Quota] = field(default_factory=dict)  #: of all members together


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys above the tables, and the tables that the daemon uses as they are."""

    socket: Annotated[
        Path, ReadBy(_place), Also("LAUNCHER_SOCKET", "The socket to listen on.", "PATH")
    ]
    state_dir: Annotated[
        Path,
        ReadBy(_place),
        Also("LAUNCHER_STATE_DIR", "Where the queue and the logs are kept.", "DIR"),
    ]
    docker_host: Annotated[str, Also("DOCKER_HOST", "Docker's socket: unix:///path.", "URL")] = (
        default_paths.DOCKER_HOST
    )
    #: where the claims of GPUs are; empty: device nodes carry them, the default but for root
    lock_dir: Annotated[Path | None, ReadBy(_place)] = None
    #: for jobs without a GPU; default: the cores
    cpu_slots: PositiveInt = field(default_factory=lambda: os.cpu_count() or 1)
    log_limit_mib: PositiveInt = 256  #: of one attempt's log
    disk_reserve_mib: Count = 16  #: with less free space submits are refused
    inventory_seconds: PositiveFloat = 5.0  #: between two looks at NVML
    #: between two looks for containers that are left over, and at the disk space of jobs
    sweep_seconds: PositiveFloat = 10.0
    orphan_grace_seconds: float = 300.0  #: an unknown container is removed after this time
    docker_timeout_seconds: PositiveFloat = 60.0  #: an answer of Docker counts as lost after it
    nvml_seconds: PositiveFloat = 5.0  #: a GPU is left out if a call of NVML takes longer
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Also(flag="How much to say on stderr.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Also(flag="Lines for people, or one JSON object a line.")
    ] = "text"
    admin_group: str | None = None  #: its members are admins
    trusted_group: str | None = None  #: its members may name every policy profile
    #: where users' mounts are held in place; root's alone
    pins_directory: Annotated[str, Also("LAUNCHER_PINS_DIRECTORY")] = "/run/launcher/pins"
    #: where jobs' HOME, /tmp and caches are; root's alone; default: homes in state_dir
    homes_directory: Annotated[str | None, Also("LAUNCHER_HOMES_DIRECTORY")] = None
    #: where the sockets are that lead to ports of jobs; default: ports beside the daemon's socket
    ports_directory: Annotated[str | None, Also("LAUNCHER_PORTS_DIRECTORY")] = None
    #: where the helper for mounts listens; default: a daemon of root starts its own
    pins_socket: Annotated[str | None, Also("LAUNCHER_PINS_SOCKET")] = None
    #: where the output keeper listens; default: the daemon starts its own
    output_socket: Annotated[str | None, Also("LAUNCHER_OUTPUT_SOCKET")] = None
    #: where the forwarder of ports listens; default: the daemon starts its own
    ports_socket: Annotated[str | None, Also("LAUNCHER_PORTS_SOCKET")] = None
    #: where the helper for host jobs listens; default: the daemon starts its own
    host_socket: Annotated[str | None, Also("LAUNCHER_HOST_SOCKET")] = None
    kernel_exit_status: bool = True  #: ask the kernel for exit codes (Linux 6.15 and later)
    foreign: Foreign = field(default_factory=Foreign)
    limits: Limits = field(default_factory=Limits)  #: of each user; admins: connections and times
    history: History = field(default_factory=History)
    users: UsersTable = field(default_factory=UsersTable)
    web: WebTable = field(default_factory=WebTable)  #: of `launch web`
    notify: NotifyTable = field(default_factory=NotifyTable)


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherToml(Keys):
    """Everything that launcher.toml can hold."""

    queue: QueueTable = field(default_factory=QueueTable)
    interactive: InteractiveTable = field(default_factory=InteractiveTable)
    ports: PortsTable = field(default_factory=PortsTable)
    fair_share: FairShare = field(default_factory=FairShare)
    quota: QuotaTable = field(default_factory=QuotaTable)  #: of each user
    policy: PolicyTable = field(default_factory=PolicyTable)
    #: beyond the policy, for jobs that name it
    profiles: Mapping[ProfileName, PolicyProfile] = field(default_factory=dict)
    host: HostTable = field(default_factory=HostTable)

    def rules(self, base: Policy) -> Settings:
        """Return the rules of the queue; ``base`` has what the file cannot say of the policy."""
        groups, profiles = self.host.groups, self.profiles
        policy = _of(PolicyTable, self.policy) | {"host_groups": groups, "profiles": profiles}
        return Settings(
            **_of(QueueTable, self.queue),
            interactive=self.interactive,
            ports=self.ports,
            fair_share=self.fair_share,
            user_quota=Quota(**_of(Quota, self.quota)),
            user_quotas=self.quota.users,
            group_quotas=self.quota.groups,
            policy=dataclasses.replace(base, **policy),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Keys):
    """What a daemon runs with. ``lock_dir`` is None where device nodes carry the GPU claims."""

    fake_gpu: Annotated[str | None, Also(None, "Pretend to have GPUs: A30:1g.6gb*4.", "SPEC")] = (
        None
    )
    idle_exit: Annotated[Amount | None, Also(None, "End when idle.", "SECONDS")] = None
    drain: Annotated[bool, Also(flag="Start nothing new, and end once nothing runs.")] = False
    system: bool
    rules: Settings = DEFAULT_RULES

    @property
    def homes(self) -> str:
        """The directory of jobs' HOME, /tmp and caches."""
        return self.homes_directory or str(self.state_dir / "homes")


def kinds() -> dict[str, tuple[Any, Also]]:
    """Return the annotated type of each field of ``Config``, and where else it can be set."""
    hints = get_type_hints(Config, include_extras=True)
    return {
        name: (kind, next((mark for mark in get_args(kind) if isinstance(mark, Also)), Also()))
        for name, kind in hints.items()
    }


def load(flags: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration; raises ``ConfigError`` that names the file, key and value.

    ``flags`` has the keys of ``Config``, ``config`` for the file, and None where not given.
    """
    from launcher.config.reading import file_text, parse, read, read_word

    system = os.getuid() == 0
    named = flags.get("config") or env.get("LAUNCHER_CONFIG")
    file = Path(named or (default_paths.SYSTEM_CONFIG if system else default_paths.own_config(env)))
    text = file_text(file, required=bool(named))
    settings: dict[str, Any] = {
        "docker_host": default_paths.DOCKER_HOST if system else docker_host(env),
        "socket": default_paths.default_socket(env),
        "state_dir": default_paths.SYSTEM_STATE if system else default_paths.own_state(env),
        "lock_dir": SYSTEM_LOCKS if system else None,
        **parse(text, file),
    }
    toml: LauncherToml = read(LauncherToml, settings, file, text)
    values = _of(Keys, toml)
    values["history"] = with_jobs(toml.history, settings.get("history", {}), file)
    for name, (kind, also) in kinds().items():
        variable = also.variable or ""
        if env.get(variable):
            values[name] = read_word(kind, env[variable], variable)
        if flags.get(name) is not None:
            values[name] = read_word(kind, flags[name], f"--{name.replace('_', '-')}")
    config = Config(**values, system=system, rules=toml.rules(_own_policy()))
    if len(str(config.socket).encode()) > 107:
        raise ConfigError(
            f"the socket path {config.socket} is longer than the 107 bytes that Linux allows",
            fix="Choose a shorter one with --socket or LAUNCHER_SOCKET.",
        )
    return config


def _own_policy() -> Policy:
    """Return the default policy on this machine, for a daemon of this user."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Policy(host_memory=memory, unbound=frozenset({0, os.getuid()}))


def _of(cls: Any, value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, as another value has them."""
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(cls)}
