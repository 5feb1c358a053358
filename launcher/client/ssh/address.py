"""Addresses of daemons: ``ssh://[USER@]HOST[:PORT][/SOCKET]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.errors import UserError

SCHEME = "ssh://"
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^\s@/:]+)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^\s@/:\[\]]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^\s:]*)?"
)
_USED = "Write ssh://USER@HOST, ssh://USER@HOST:PORT or ssh://USER@HOST/PATH/OF/THE/SOCKET."


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where ssh connects; ``path`` is the daemon's socket there, None to look for it."""

    url: str
    host: str
    user: str | None
    port: int | None
    path: str | None

    @property
    def words(self) -> list[str]:
        """The destination as words of an ssh command, the last ones before a remote command."""
        port = [] if self.port is None else ["-p", str(self.port)]
        user = [] if self.user is None else ["-l", self.user]
        return [*port, *user, "--", self.host]

    @property
    def by_hand(self) -> str:
        """The ssh command with which a user tries the same connection."""
        import shlex  # takes a millisecond that every other command would feel

        port = "" if self.port is None else f"-p {self.port} "
        user = "" if self.user is None else f"{self.user}@"
        return f"ssh {port}{shlex.quote(user + self.host)}"


def parse_ssh(url: str) -> SshAddress:
    """Return the parts of an address; raises ``UserError``."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        password = re.match(r"ssh://[^@/]*:[^@/]*@", url)
        raise UserError(
            "an ssh address has no password: ssh asks for it"
            if password
            else f"'{url[:200]}' is not a valid ssh address",
            fix=_USED,
        )
    host, port = found["v6"] or found["host"], found["port"]
    is_option = host.startswith("-") or (found["user"] or "").startswith("-")
    if is_option or "${" in (found["path"] or ""):  # ssh would put a variable there
        raise UserError(f"'{url[:200]}' is not a valid ssh address", fix=_USED)
    if port is not None and not 0 < int(port) < 65536:
        raise UserError(f"'{port}' is not a valid port", fix=_USED)
    path = (found["path"] or "").rstrip("/") or None
    return SshAddress(url, host, found["user"], None if port is None else int(port), path)
