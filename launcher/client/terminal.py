"""The terminal part of the client: attaching to jobs, and further commands in them."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher import wire
from launcher.client.base import job_path
from launcher.client.decode import decode, decode_list
from launcher.client.http import Transport, query
from launcher.wire.terminal import COMMAND_HEADER, RAW_TYPE, ROLE_HEADER, WRITES


@dataclass(frozen=True, slots=True)
class Attached:
    """A connection to a terminal: sends input, and ends with the command.

    It carries the terminal's bytes if it is ``raw``, else Docker's frames
    (``wire.docker_stream``). ``early`` is what has come already. Only who ``writes`` is heard.
    ``command`` is the id of a further command.
    """

    connection: socket.socket
    raw: bool
    writes: bool
    command: str | None
    early: bytes


class Terminal:
    """Requests for one daemon; each raises ``LauncherError``."""

    def __init__(self, transport: Transport, timeout: float) -> None:
        self._transport, self._timeout = transport, timeout

    def attach(self, ref: int | str, *, take: bool = False, watch: bool = False) -> Attached:
        """Attach to a job: to write if nobody else does, or else to watch.

        With ``take`` another client that writes is parted from it. Raises ``StaleRequest`` if the
        job has not started or has ended.
        """
        flags = [("take", "1")] * take + [("watch", "1")] * watch
        return self._attached(f"{job_path(ref)}/attach?{query(flags)}".rstrip("?"), None)

    def execute(
        self,
        ref: int | str,
        command: Sequence[str],
        *,
        tty: bool = False,
        stdin: bool = False,
        environment: Mapping[str, str] | None = None,
        working_dir: str | None = None,
    ) -> Attached:
        """Run a further command in a running job's container, as the job's user."""
        request = wire.ExecRequest(
            command=tuple(command),
            tty=tty,
            stdin=stdin,
            environment=dict(environment or {}),
            working_dir=working_dir,
        )
        return self._attached(f"{job_path(ref)}/exec", dataclasses.asdict(request))

    def command(self, ref: int | str, command: str) -> wire.CommandView:
        """Return whether a further command runs, and its exit code."""
        path = f"{job_path(ref)}/exec?{query([('command', command)])}"
        reply = self._transport.json("GET", path, timeout=self._timeout)
        return decode(wire.CommandView, reply)

    def ports(self, ref: int | str) -> list[wire.PortView]:
        """Return where the ports of a running job are."""
        path = f"{job_path(ref)}/ports"
        return decode_list(wire.PortView, self._transport.json("GET", path, timeout=self._timeout))

    def resize(
        self, ref: int | str, rows: int, columns: int, *, command: str | None = None
    ) -> None:
        """Set the size of a job's terminal, or of that of a further command."""
        size = wire.TerminalSize(rows=rows, columns=columns, command=command)
        body = dataclasses.asdict(size)
        self._transport.json("PUT", f"{job_path(ref)}/size", body, timeout=self._timeout)

    def _attached(self, path: str, body: object) -> Attached:
        exchange = self._transport.exchange("POST", path, body, timeout=self._timeout)
        headers = exchange.response.headers
        connection, early = exchange.detach()
        return Attached(
            connection,
            headers.get("content-type") == RAW_TYPE,
            headers.get(ROLE_HEADER.lower()) == WRITES,
            headers.get(COMMAND_HEADER.lower()),
            early,
        )
