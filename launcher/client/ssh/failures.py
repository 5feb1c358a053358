"""What ssh says when it fails, as errors with what to do next."""

from __future__ import annotations

from launcher.client.ssh.address import SshAddress
from launcher.client.ssh.remote_account import AccountReport
from launcher.errors import DaemonUnreachable, LauncherError, Unavailable

_MOST_TEXT = 2000
_FINAL = (
    (
        ("host key verification failed", "identification has changed"),
        "Run `{ssh}` and check the key that it shows; the VM's admin knows the right one.",
    ),
    (
        ("permission denied", "too many authentication failures"),
        "`{ssh}` must work first: check the user's name, the key on the VM and `ssh-add -l`.",
    ),
    (
        ("could not resolve hostname",),
        "Check the name, or describe the host in ~/.ssh/config.",
    ),
    (
        ("bad configuration option", "bad owner or permissions", "terminating, "),
        "Correct your ssh configuration until `{ssh}` works.",
    ),
)
"""What another attempt would not change."""
_AGAIN = "A lost connection is renewed only if ssh need not ask you anything."
_TRY = "Check that the VM runs and that `{ssh}` connects to it."


class SshLost(DaemonUnreachable):
    """The ssh connection to the daemon's machine is lost."""

    kind = "ssh-lost"


class SshRefused(Unavailable):
    """Ssh cannot connect to the daemon's machine."""

    kind = "ssh-refused"


def no_program() -> LauncherError:
    """Return the error of a machine without ssh."""
    return SshRefused(
        "there is no `ssh` program in your PATH",
        fix="Install OpenSSH's client (Debian, Ubuntu: `apt install openssh-client`).",
    )


def failed(address: SshAddress, text: str, *, again: bool) -> LauncherError:
    """Return the error that ssh's messages mean; ``again``: an earlier connection was lost."""
    lines = [line.strip() for line in text[-_MOST_TEXT:].splitlines() if line.strip()]
    reason = lines[-1] if lines else "ssh ended without a message"
    message = f"cannot connect to {address.url}: {reason}"
    if again:
        message = (
            f"the connection to {address.url} was lost, and ssh cannot connect again: {reason}"
        )
    for signs, fix in _FINAL:
        if any(sign in text.lower() for sign in signs):
            next_step = f"{fix} {_AGAIN}" if again else fix
            return SshRefused(message, fix=next_step.format(ssh=address.by_hand))
    return SshLost(message, fix=_TRY.format(ssh=address.by_hand))


def no_socket(address: SshAddress, report: AccountReport) -> LauncherError:
    """Return the error of a machine that has no socket of a daemon for this user."""
    if report.denied:
        return DaemonUnreachable(
            f"{report.user} may not use the daemon's socket {report.denied[0]} on {address.url}",
            fix="Ask the VM's admin who may use it; groups count from the next login on.",
        )
    return DaemonUnreachable(
        f"no launcher daemon is running on {address.url} (there is no {', '.join(report.absent)})",
        fix="Start it there, or give the path of its socket: ssh://HOST/PATH/OF/THE/SOCKET.",
    )


def no_reply(address: SshAddress, socket: str) -> LauncherError:
    """Return the error of a socket that sshd could not, or may not, connect to."""
    return DaemonUnreachable(
        f"no launcher daemon is running on {address.url}: {socket} is there, but no process"
        " answers on it",
        fix="Start it there (`systemctl start launcher`). If it runs, the VM's sshd_config must"
        " have `AllowStreamLocalForwarding yes`.",
    )
