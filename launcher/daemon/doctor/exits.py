"""Whether the kernel tells how jobs ended."""

from __future__ import annotations

from launcher import pidfd
from launcher.daemon.doctor.finding import Finding, ok


def check(asked: bool) -> list[Finding]:
    """Say whose word about exit codes counts; ``asked``: ``kernel_exit_status``."""
    if not asked:
        return [ok("exits", "exit codes are Docker's: kernel_exit_status is off")]
    if pidfd.kernel_tells():
        return [ok("exits", "the kernel tells how jobs end, also while Docker is away")]
    text = "exit codes are Docker's: this kernel does not tell them (Linux 6.15 does)"
    return [ok("exits", text)]
