"""The container calls: one method per Docker call, results as values."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.core.model.ids import LABEL_ATTEMPT, LABEL_JOB, LABEL_STORE, LABEL_UID
from launcher.crashpoints import around
from launcher.engine.attach import Streams
from launcher.engine.connection import DockerConnection
from launcher.engine.dockerd_identity import DockerdIdentity, incarnation
from launcher.engine.networks import Networks
from launcher.engine.outcome import Refusal, Refused, mapped

PING_SECONDS = 10.0
"""Docker counts as unreachable if GET /version takes longer than this many seconds."""
_ZERO_TIME = "0001-01-01T00:00:00Z"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


def six_decimals(docker_time: str | None) -> str | None:
    """Return Docker's RFC 3339 time with exactly six decimals; None for its zero time."""
    match = _TIME.fullmatch(docker_time or "")
    if not match or docker_time == _ZERO_TIME:
        return None
    return f"{match[1]}.{(match[2] or '').ljust(6, '0')[:6]}Z"


@dataclass(frozen=True, slots=True)
class Container:
    """The inspected state of one container; times have six decimals, None if unset."""

    id: str
    name: str
    status: str
    running: bool
    pid: int
    exit_code: int
    error: str
    oom: bool
    started_at: str | None
    finished_at: str | None
    labels: dict[str, str]
    info: dict[str, Any]

    @property
    def stop_signal(self) -> str:
        """The signal that stops it: the image's STOPSIGNAL, else TERM (as docker stop)."""
        return str(self.info["Config"].get("StopSignal") or "SIGTERM")

    @property
    def streams(self) -> Streams:
        """Its terminal and its standard input."""
        config = self.info["Config"]
        uid = self.labels.get(LABEL_UID, "")
        return Streams(
            bool(config.get("Tty")),
            bool(config.get("OpenStdin")),
            int(uid) if uid.isdecimal() else 0,
        )

    @property
    def ever_started(self) -> bool:
        """Whether its process ever ran."""
        return self.started_at is not None

    def belongs_to(self, store: str, job: int, attempt: int) -> bool:
        """Whether its labels name this attempt."""
        return (
            self.labels.get(LABEL_STORE) == store
            and self.labels.get(LABEL_JOB) == str(job)
            and self.labels.get(LABEL_ATTEMPT) == str(attempt)
        )


def parse(info: dict[str, Any]) -> Container:
    """Return the container in a GET /containers/{id}/json response."""
    state = info["State"]
    started = six_decimals(state.get("StartedAt"))
    finished = six_decimals(state.get("FinishedAt"))
    if started is not None and finished is not None:
        # Docker sets StartedAt after the process starts: a short container may have ended by then.
        started = min(started, finished)
    return Container(
        id=info["Id"],
        name=info["Name"].lstrip("/"),
        status=state["Status"],
        running=bool(state.get("Running")),
        pid=int(state.get("Pid") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        error=state.get("Error") or "",
        oom=bool(state.get("OOMKilled")),
        started_at=started,
        finished_at=finished,
        labels=info["Config"].get("Labels") or {},
        info=info,
    )


class Containers:
    """The container calls. Each raises EngineUnavailable, Refused or Unknown (``outcome``)."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection
        self._known: DockerdIdentity | None = None
        self.networks = Networks(connection)
        self._pinger = DockerConnection(connection.host, min(PING_SECONDS, connection.timeout))

    def engine_version(self) -> str:
        """Return Docker's version; the cheapest check that it responds."""
        return str(self.version()["Version"])

    def architecture(self) -> str:
        """Return the machine's architecture by Go's name (GOARCH)."""
        return str(self.version().get("Arch") or "")

    def version(self) -> dict[str, Any]:
        """Return the versions of Docker and its components: GET /version."""
        return self._pinger.version()

    def incarnation(self) -> DockerdIdentity | None:
        """Return the identity of the responding dockerd, None if the kernel does not reveal it."""
        with mapped(self._connection.host):
            dockerd_identity = incarnation(self._connection.host, self._connection.timeout)
        if dockerd_identity is not None and dockerd_identity != self._known:
            self._connection.drop_idle()
            live = bool(self._connection.info().get("LiveRestoreEnabled"))
            self._known = replace(dockerd_identity, live_restore=live)
        return self._known if dockerd_identity is not None else None

    def has_label(self, label: str) -> bool:
        """Return whether dockerd has this label (``dockerd --label``, GET /info)."""
        return label in (self._connection.info().get("Labels") or [])

    def firewall_backend(self) -> str | None:
        """Return how dockerd makes its rules, such as "nftables"; None before Docker 28."""
        backend = self._connection.info().get("FirewallBackend") or {}
        return backend.get("Driver")

    def create(self, name: str, body: dict[str, Any]) -> str:
        """Create a container under this attempt's unique name; return its id."""
        with around("create"), self._connection.borrow() as api:
            reply = api.create_container_from_config(body, name)
        return str(reply["Id"])

    def start(self, name: str) -> None:
        """Start the container; no effect if it runs."""
        with around("start"), self._connection.borrow() as api:
            api.start(name)

    def inspect(self, name: str) -> Container | None:
        """Return the container's state, None if Docker does not have it."""
        try:
            with self._connection.borrow() as api:
                return parse(api.inspect_container(name))
        except Refused as refused:
            if refused.refusal is Refusal.MISSING:
                return None
            raise

    def layer_size(self, name: str) -> int:
        """Return the bytes of a container's writable layer: SizeRw; 0 if it is gone.

        Docker walks through the layer for it.
        """
        with self._connection.borrow() as api:
            url = self._connection.url(api, f"/containers/{name}/json")
            response = api.get(url, params={"size": "1"}, timeout=api.timeout)
        return int(response.json().get("SizeRw") or 0) if response.status_code == 200 else 0

    def path_header(self, name: str, path: str, header: str) -> str | None:
        """Return a header of HEAD /containers/{id}/archive; None if the path is missing."""
        with self._connection.borrow() as api:
            url = self._connection.url(api, f"/containers/{name}/archive")
            response = api.head(url, params={"path": path}, timeout=api.timeout)
        return response.headers.get(header) if response.status_code == 200 else None

    def unpack(self, name: str, archive: bytes) -> None:
        """Unpack a tar archive into a container; no directory is replaced by something else."""
        with self._connection.borrow() as api:
            url = self._connection.url(api, f"/containers/{name}/archive")
            options = {"path": "/", "noOverwriteDirNonDir": "true"}
            response = api.put(url, params=options, data=archive, timeout=api.timeout)
            api._raise_for_status(response)

    def find(self, name: str, container_id: str | None) -> Container | None:
        """As ``inspect``, falling back to the id if the container was renamed."""
        container = self.inspect(name)
        return container if container or not container_id else self.inspect(container_id)

    def wait(self, name: str) -> None:
        """Block until Docker reports that it is not running; only inspect proves the end (I4).

        A silent Docker may have hung: after a time-out ``Unknown`` lets the caller inspect.
        """
        with self._connection.borrow() as api:
            api.wait(name, timeout=self._connection.timeout)

    def stop(self, name: str, grace: float) -> None:
        """TERM, ``grace`` seconds, KILL; no effect if it does not run."""
        self._tolerant("stop", "stop", name, timeout=max(0, round(grace)))

    def kill(self, name: str, signal: str) -> None:
        """Send a signal; no effect if it does not run."""
        self._tolerant("kill", "kill", name, signal=signal)

    def remove(self, name: str) -> None:
        """Remove the container, running or not; no effect if it is gone."""
        self._tolerant("remove", "remove_container", name, force=True, v=True)

    def _tolerant(self, step: str, method: str, name: str, **arguments: Any) -> None:
        try:
            with around(step), self._connection.borrow() as api:
                getattr(api, method)(name, **arguments)
        except Refused as refused:
            if refused.refusal not in (Refusal.MISSING, Refusal.CONFLICT):
                raise

    def is_ghost(self, container: Container, proc: Path = Path("/proc")) -> bool:
        """Whether Docker reports a container as running but it has no process on this machine.

        Checks its main process and its cgroup. Valid only in a process that sees the processes of
        dockerd's machine.
        """
        sees_all = (proc / "1").exists()  # False with hidepid
        gone = container.running and not (proc / str(container.pid)).exists()
        return sees_all and gone and cgroup_is_empty(container.id, proc)

    def is_empty(self, container_id: str) -> bool:
        """Whether no process of this machine is in the container's cgroup."""
        return cgroup_is_empty(container_id)

    def saw_end(self, container_id: str) -> bool:
        """Whether this run of dockerd has an event of the container's end.

        dockerd keeps its last 256 events (moby daemon/events). An end invented after a restart
        is not among them.
        """
        only = {"container": container_id, "event": "die"}
        with self._connection.borrow() as api:
            events = api.events(since="1", until=f"{time.time():.9f}", filters=only, decode=True)
            return bool(list(events))

    def ours(self, store: str) -> list[dict[str, Any]]:
        """List this store's containers in every state: Id, Names, Labels, State, Created."""
        with self._connection.borrow() as api:
            result: list[dict[str, Any]] = api.containers(
                all=True, filters={"label": f"{LABEL_STORE}={store}"}
            )
        return result

    def of_any_store(self) -> list[dict[str, Any]]:
        """List the containers of all launcher stores, in every state, as ``ours`` does."""
        with self._connection.borrow() as api:
            result: list[dict[str, Any]] = api.containers(all=True, filters={"label": LABEL_STORE})
        return result

    def running(self) -> list[dict[str, Any]]:
        """List every running container."""
        with self._connection.borrow() as api:
            result: list[dict[str, Any]] = api.containers()
        return result


def gpu_ids(info: dict[str, Any]) -> set[str]:
    """Return the device names that an inspected container received, as they were requested:
    UUIDs, ``0``, ``0:1``, ``all`` (also for a count), ``gpu0``, ``mig0:1``, or a path in /dev.

    Device requests, NVIDIA's CDI names and device nodes always count. NVIDIA_VISIBLE_DEVICES counts
    only with NVIDIA's runtime, because CUDA images set it to ``all``. Docker reports the default
    runtime by name too.
    """
    host = info.get("HostConfig") or {}
    result: set[str] = set()
    for request in host.get("DeviceRequests") or []:
        ids = request.get("DeviceIDs") or []
        result |= {name for i in ids if (name := _device_name(i)) is not None}
        if not ids and request.get("Count"):
            result.add("all")
    for device in host.get("Devices") or []:
        path = device.get("PathOnHost") or ""
        name = _device_name(path)
        if name is not None and (name != path or _GPU_NODE.fullmatch(path)):
            result.add(name)
    if str(host.get("Runtime") or "").startswith("nvidia"):
        result |= _visible(info)
    return result


_GPU_NODE = re.compile(r"/dev/nvidia\d+")
_VISIBLE_MOUNTS = "/var/run/nvidia-container-devices/"


def _device_name(device_id: str) -> str | None:
    """Return a device id without NVIDIA's CDI kind, None for another vendor's CDI name."""
    kind, is_cdi, name = device_id.rpartition("=")
    if is_cdi and not kind.endswith("nvidia.com/gpu"):
        return None
    return name


def _visible(info: dict[str, Any]) -> set[str]:
    """Return the devices requested from NVIDIA's runtime; the last of several values counts."""
    value = ""
    for entry in info["Config"].get("Env") or []:
        name, _, text = entry.partition("=")
        value = text if name == "NVIDIA_VISIBLE_DEVICES" else value
    names = [] if value in ("", "void", "none") else value.split(",")
    mounts = [mount.get("Destination") or "" for mount in info.get("Mounts") or []]
    names += [m.removeprefix(_VISIBLE_MOUNTS) for m in mounts if m.startswith(_VISIBLE_MOUNTS)]
    return {name for n in names if (name := _device_name(n.strip())) is not None}


def cgroup_is_empty(container_id: str, proc: Path = Path("/proc")) -> bool:
    """Whether no process of this machine is in the container's cgroup.

    Proves that a slice is idle if NVML refuses to list processes.
    """
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                if container_id in (entry / "cgroup").read_text():
                    return False
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            except OSError:
                return False  # an unreadable process may be in it
    return True
