"""The SPEC of ``gpus:`` and ``--gpus``: what a job asks of the GPUs, in one word.

``1g.6gb``, ``1g.6gb:2``, ``full``, ``full:2``, ``all``, ``none``, ``MIG-<uuid>``, ``GPU-<uuid>``
(several with commas), ``10g`` or ``10gb`` (the number in a profile's name), ``10GiB`` or
``10240MiB`` (NVML's figure), ``auto`` (from what earlier jobs used), and Docker's
``device=MIG-<uuid>``. Raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

from launcher.jobfile.values.units import parse_count
from launcher.spec.gpus import GpuCapability, GpuRequest

PROFILE = re.compile(r"(?:\d{1,2}c\.)?\d{1,2}g\.\d{1,4}gb(?:[+-][a-z0-9.]{1,16}){0,3}", re.ASCII)
UUID = re.compile(r"(?:MIG|GPU)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MEMORY = re.compile(r"(\d{1,7})\s*(gb?|gib|mib)", re.ASCII)
_PREFIX = re.compile(r"(?:mig|gpu)-", re.ASCII)
AUTO = "auto"
"""The memory size that the daemon chooses."""
_INDEX = re.compile(r"\d+(?::\d+)?", re.ASCII)
_HOW = "write a profile (1g.6gb), a memory size (10g), auto, full, all, none or a MIG- or GPU- UUID"


def parse_spec(text: str) -> GpuRequest:
    """Return the request of one SPEC.

    >>> parse_spec("1g.6gb:2").count, parse_spec("10GiB").memory_mib
    (2, 10240)
    """
    word = text.strip()
    if len(word) > 4096:
        raise ValueError("the GPU request is too long")
    spec, capabilities = _as_docker_has_it(word)
    return replace(_request(spec), capabilities=capabilities)


def _request(word: str) -> GpuRequest:
    lower = word.lower()
    if lower in ("none", "all"):
        return GpuRequest(kind="none" if lower == "none" else "all")
    if _PREFIX.match(lower):
        return GpuRequest(kind="uuid", uuids=parse_uuids(word))
    head, colon, tail = lower.partition(":")
    count = parse_count(tail) if colon else 1
    if head == "full":
        return GpuRequest(kind="full", count=count)
    if head in ("none", "all"):
        raise ValueError(f"'{word}' is not a valid GPU request: '{head}' takes no count")
    if PROFILE.fullmatch(head):
        return GpuRequest(kind="profile", profile=head, count=count)
    if head == AUTO or _MEMORY.fullmatch(head):
        return parse_memory(head, count=count)
    raise ValueError(_explain(word))


def parse_profile(text: str, *, count: int = 1) -> GpuRequest:
    """Return a request for ``count`` slices of a profile; ``full`` is a whole GPU."""
    word = text.strip().lower()
    if word == "full":
        return GpuRequest(kind="full", count=count)
    if not PROFILE.fullmatch(word):
        raise ValueError(f"'{text[:40]}' is not a valid profile: write one such as 1g.6gb, or full")
    return GpuRequest(kind="profile", profile=word, count=count)


def parse_memory(text: str, *, count: int = 1) -> GpuRequest:
    """Return a request for ``count`` slices of at least this much memory.

    ``auto`` is as much as earlier jobs of the same name used, for one slice.
    """
    if text.strip().lower() == AUTO:
        if count != 1:
            raise ValueError("auto is for one slice: write a size such as 10g for several")
        return GpuRequest(kind="memory", memory_auto=True)
    match = _MEMORY.fullmatch(text.strip().lower())
    if not match or int(match.group(1)) == 0:
        raise ValueError(
            f"'{text[:32]}' is not a valid GPU memory size: "
            "write 10g (as in a profile's name), 10240MiB or auto"
        )
    number, unit = int(match.group(1)), match.group(2)
    if unit in ("g", "gb"):
        return GpuRequest(kind="memory", memory_gb=number, count=count)
    mib = number * 1024 if unit == "gib" else number
    return GpuRequest(kind="memory", memory_mib=mib, count=count)


def parse_uuids(text: str) -> tuple[str, ...]:
    """Return the UUIDs of a comma-separated list, each once, all of one sort."""
    result: list[str] = []
    for part in text.split(","):
        prefix, uuid = part.strip()[:4].upper(), part.strip()[4:].lower()
        if not UUID.fullmatch(prefix + uuid):
            raise ValueError(
                f"'{part.strip()[:60]}' is not the UUID of a slice: launch slices shows them"
            )
        if prefix + uuid in result:
            raise ValueError(f"'{prefix + uuid}' is named twice")
        result.append(prefix + uuid)
    if len({uuid[:4] for uuid in result}) > 1:
        raise ValueError("MIG- and GPU- UUIDs cannot be mixed in one job")
    return tuple(result)


def parse_capabilities(text: str) -> tuple[GpuCapability, ...]:
    """Return the driver capabilities of a list with commas, without those that every job has."""
    return check_capabilities([word.strip() for word in text.split(",")])


def check_capabilities(words: Iterable[str]) -> tuple[GpuCapability, ...]:
    """Return driver capabilities, each once; ``gpu`` means none, ``all`` those most jobs use."""
    known: tuple[GpuCapability, ...] = get_args(GpuCapability)
    wanted = set()
    for word in words:
        if word == "all":
            wanted |= {"video", "graphics"}
        elif word != "gpu" and word not in known:
            raise ValueError(f"'{word[:40]}' is not a driver capability: {', '.join(known)}")
        else:
            wanted.add(word)
    return tuple(each for each in known if each in wanted - {"compute", "utility"})


def describe(request: GpuRequest) -> str:
    """Return the request as the SPEC that asks for it."""
    if request.kind == "uuid":
        return ",".join(request.uuids)
    if request.kind in ("none", "all"):
        return request.kind
    if request.is_open:
        return AUTO
    if request.kind == "memory":
        size = f"{request.memory_gb}g" if request.memory_gb else f"{request.memory_mib}MiB"
    else:
        size = request.profile or "full"
    return size if request.count == 1 else f"{size}:{request.count}"


def check_has_gpus(request: GpuRequest) -> None:
    """Refuse for a job without a GPU what only a job with one can have."""
    if request.kind == "none":
        raise ValueError("the job has no GPU that could be idle: ask for one, or leave this out")


def _as_docker_has_it(text: str) -> tuple[str, tuple[GpuCapability, ...]]:
    """Return the SPEC of what ``docker run --gpus`` takes, and the driver's capabilities.

    Docker reads a line of CSV: ``"device=MIG-…"``, ``all,driver=…``; fields with commas are in
    quotes. Other texts are returned as they are.
    """
    if "=" not in text and '"' not in text:
        return text, ()
    import csv  # few write this

    try:
        fields = [part for part in next(csv.reader([text]), []) if part.strip()]
    except csv.Error as error:
        raise ValueError(f"'{text[:60]}' is not a valid GPU request: {error}") from None
    asked: list[str] = []
    capabilities: list[str] = []
    for part in fields:
        key, equals, value = part.strip().partition("=")
        if not equals or key in ("device", "count"):
            asked.append(value if equals else key)
        elif key == "capabilities":
            capabilities += [word.strip() for word in value.split(",")]
        elif (key, value) != ("driver", "nvidia"):
            raise ValueError(f"'{part[:60]}' is not a part of a GPU request: {_HOW}")
    spec = ",".join(asked)
    if "device=" in text and any(_INDEX.fullmatch(word) for word in spec.split(",")):
        raise ValueError(
            f"'{text[:60]}': slices are not named by index here, which another layout gives to"
            " others: write device=MIG-... (`launch slices` shows the UUIDs), or a profile (1g.6gb)"
        )
    if not spec:
        raise ValueError(f"'{text[:60]}' does not say which or how many: {_HOW}")
    return spec, check_capabilities(capabilities)


def _explain(word: str) -> str:
    if re.fullmatch(r"\d+", word, re.ASCII):
        return f"'{word}' does not say of what: write 1g.6gb:{word}, full:{word} or {word}g"
    return f"'{word[:60]}' is not a valid GPU request: {_HOW}"
