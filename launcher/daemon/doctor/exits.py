"""Whether the kernel reports how jobs ended."""

from __future__ import annotations

from launcher import pidfd
from launcher.daemon.doctor.finding import Finding, ok


def check(enabled: bool) -> list[Finding]:
    """Report the source of exit codes; ``enabled``: ``kernel_exit_status``."""
    if not enabled:
        return [ok("exits", "exit codes are Docker's: kernel_exit_status is off")]
    if pidfd.kernel_tells():
        return [ok("exits", "the kernel reports how jobs end, even while Docker is down")]
    text = "exit codes are Docker's: this kernel does not report them (Linux 6.15 does)"
    return [ok("exits", text)]
