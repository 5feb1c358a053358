"""Checks nvidia-container-toolkit and runc for known container escapes."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.core.policy.image_rules import TOOLKIT_FIXED
from launcher.daemon.doctor.dockerd import HOOK
from launcher.daemon.doctor.finding import Finding, ok, problem, warning
from launcher.daemon.doctor.versions import (
    RUNC,
    RUNC_WORKING_DIR,
    TOOLKIT,
    Escape,
    escapes_of,
    key,
    older,
)
from launcher.daemon.machine.tools import Host

_NVIDIA = re.compile(r"^NVIDIA Container .*?version:? v?(\d\S*)", re.MULTILINE)
_RUNC = re.compile(r"^runc version (\d\S*)", re.MULTILINE)
_MENDED = re.compile(r"^1\.1\.5\+ds1-1\+deb12u[1-9]")
"""Debian 12 (DSA-5615-1). Docker reports the package's version as runc's commit."""
PACKAGES = ("runc", "runc-app")
"""Packages with a changelog that names the fixes: of Debian and Ubuntu."""
MOST_CHANGELOG_BYTES = 1 << 20
_CVE = re.compile(r"CVE-\d{4}-\d{4,7}")
TOOLKIT_COMMANDS = ("nvidia-ctk", "nvidia-container-runtime")


def toolkit(host: Host) -> Finding:
    """Check whether a malicious image can break out through NVIDIA's container toolkit."""
    name = "container-toolkit"
    version = toolkit_version(host)
    if version is None:
        return ok(name, f"unknown: {' and '.join(TOOLKIT_COMMANDS)} report no version")
    left = escapes_of(version, TOOLKIT)
    published = [escape for escape in left if escape.published]
    fix = f"Upgrade nvidia-container-toolkit to {TOOLKIT[-1].fixed[-1]} or later."
    text = f"nvidia-container-toolkit {version}"
    if published:
        return problem(name, f"{text} lets a malicious image take over the host{_named(left)}", fix)
    if left:
        unsure = "; the fixed version was not published"
        return warning(name, f"{text} may have a known escape{_named(left)}{unsure}", fix)
    return ok(name, f"{text} has no known container escape")


def toolkit_version(host: Host) -> str | None:
    """Return the installed version, None if no tool reports it."""
    for command in TOOLKIT_COMMANDS:
        match = _NVIDIA.search(host.output_of(command, "--version") or "")
        if match and key(match[1]):
            return match[1]
    return None


def toolkit_fixed(host: Host) -> bool:
    """Whether no image can make NVIDIA's hook load its code: no hook, or a fixed one."""
    version = toolkit_version(host)
    if version is not None:
        return not older(version, TOOLKIT_FIXED)
    return host.which(HOOK) is None


def runc(version: Mapping[str, Any], host: Host) -> Finding:
    """Check whether the runc that Docker uses has known escapes.

    Distributions fix some without a new version: the package's changelog names them.
    """
    number = runc_version(version, host)
    if number is None:
        return ok("runc", "unknown: neither Docker nor runc reports its version")
    left = escapes_of(number, RUNC)
    package, fixed = _package(number, host)
    left = [escape for escape in left if escape.name not in fixed]
    if not left:
        return ok("runc", f"runc {package or number} has no known container escape")
    unless = "" if package else ", unless your distribution has fixed them"
    return warning(
        "runc",
        f"runc {package or number} has known container escapes{_named(left)}{unless}",
        f"Upgrade runc to {RUNC[-1].fixed[0]} or later, or to a package whose changelog names "
        "them (`apt changelog runc`).",
    )


def _package(number: str, host: Host) -> tuple[str | None, frozenset[str]]:
    """Return the version of Debian's or Ubuntu's package of this runc, and the fixes it names.

    None if this runc is not from such a package, or the package came without its changelog.
    """
    for name in PACKAGES:
        text = _changelog(host.file(f"/usr/share/doc/{name}/changelog.Debian.gz"))
        match = re.match(r"\S+ \(([^)]+)\)", text)
        if match and match[1].startswith(number):
            return match[1], frozenset(_CVE.findall(text))
    return None, frozenset()


def _changelog(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            return file.read(MOST_CHANGELOG_BYTES).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return ""


def keeps_working_dir(version: Mapping[str, Any], host: Host) -> bool:
    """Whether runc is known to refuse a working directory outside of its container.

    CVE-2024-21626: by its version, or by the package revision with which a distribution fixed an
    older one. False if neither is known.
    """
    number = runc_version(version, host)
    if number is None:
        return False
    left = {escape.name for escape in escapes_of(number, RUNC)} - _package(number, host)[1]
    return RUNC_WORKING_DIR not in left or bool(_MENDED.search(_revision(version)))


def _revision(version: Mapping[str, Any]) -> str:
    for component in version.get("Components") or []:
        if component.get("Name") == "runc":
            return str((component.get("Details") or {}).get("GitCommit", ""))
    return ""


def runc_version(version: Mapping[str, Any], host: Host) -> str | None:
    """Return the version that Docker reports of its runc, else that of the runc on the PATH."""
    for component in version.get("Components") or []:
        version_text = str(component.get("Version", ""))
        if component.get("Name") == "runc" and key(version_text):
            return version_text
    match = _RUNC.search(host.output_of("runc", "--version") or "")
    return match[1] if match else None


def _named(left: Sequence[Escape]) -> str:
    return f" ({', '.join(escape.name for escape in left)})"
