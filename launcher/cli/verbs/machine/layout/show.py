"""``launch layout show``: what stands on the GPUs, with a picture of their memory units."""

from __future__ import annotations

import sys
from collections import Counter

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render
from launcher.text.safe_text import safe
from launcher.wire import GpuView, InstanceView, ref_of

HEADINGS = ("GI", "PROFILE", "ID", "AT", "SIZE", "CI", "MEMORY", "STATE", "JOB", "USER", "UUID",
            "WHY")  # fmt: skip
UNIT_COLUMNS = 10


@click.command("show", short_help="Show what stands on the GPUs, and who uses it.")
@output_option
def command(output: str) -> None:
    """Show every GPU with its MIG mode, a picture of its memory units, and what stands on it.

    AT and SIZE are memory units. A GPU instance without a compute instance is shown as bare: it
    takes room and can run nothing; `launch layout apply` completes it, `destroy` removes it. One
    that is divided has a line for each of its devices, which share its memory.
    """
    gpus = connect().layout.show()
    if output == "json":
        render.print_json(gpus)
    elif output == "name":
        names = [i.uuid or f"{gpu.index}/{i.gi}" for gpu in gpus for i in gpu.instances]
        render.print_names(names)
    else:
        for number, gpu in enumerate(gpus):
            sys.stdout.write("\n" if number else "")
            _print(gpu)


def _print(gpu: GpuView) -> None:
    kind = f"{gpu.name}, {gpu.memory_mib} MiB" + (
        f", {gpu.architecture}" if gpu.architecture else ""
    )
    sys.stdout.write(safe(f"GPU {gpu.index}  {kind}  {gpu.uuid}  {mode(gpu)}") + "\n")
    if not gpu.instances_known:
        sys.stdout.write("  NVML does not tell what stands here: the daemon must run as root.\n")
        sys.stdout.write("  `launch slices` lists the MIG devices.\n")
        return
    if gpu.units and gpu.mig_current:
        for line in picture(gpu.units, gpu.instances):
            sys.stdout.write(safe(line) + "\n")
    if gpu.instances:
        render.print_table(HEADINGS, [_row(instance) for instance in gpu.instances])


def mode(gpu: GpuView) -> str:
    """Return a GPU's MIG mode in words."""
    if gpu.mig_current is None:
        return "cannot do MIG"
    now = f"MIG {'on' if gpu.mig_current else 'off'}"
    if gpu.mig_pending != gpu.mig_current:
        return f"{now}, {'on' if gpu.mig_pending else 'off'} after a reset or reboot"
    return now


def picture(units: int, instances: list[InstanceView]) -> list[str]:
    """Return the GPU's memory units as a bar: what stands where, and what is free.

    >>> print("\\n".join(picture(2, [])))
      0         1
     |·········|·········|
    """
    starts = {i.start: [x for x in instances if x.gi == i.gi] for i in instances}
    names = [(len(_label(devices, 0)), devices[0].size) for devices in starts.values()]
    needed = max((-(-(length + 1) // size) for length, size in names), default=0)
    wide = max(4, min(UNIT_COLUMNS, 96 // units), needed)
    scale, bar, at = "", "", 0
    while at < units:
        devices = starts.get(at, [])
        size = devices[0].size if devices else 1
        inside = wide * size - 1
        scale += f"{at:<{wide * size}}"
        name = _label(devices, inside) if devices else ""
        bar += "|" + (name.center(inside) if devices else "·" * inside)
        at += max(1, size)
    return [f"  {scale}".rstrip(), f" {bar}|"]


def _label(devices: list[InstanceView], most: int) -> str:
    """Return the longest label of at most this length, but at least the whole name."""
    instance, *others = devices
    if others:
        counts = Counter(i.profile for i in devices).items()
        return " ".join(f"{name}:{n}" if n > 1 else name for name, n in counts)
    job = f" #{ref_of(instance.job, instance.array)}" if instance.job is not None else ""
    mark = "" if instance.uuid else "?"
    full = f"{instance.profile}{mark}{job}"
    return full if len(full) <= most else f"{instance.profile}{mark}"


def _row(i: InstanceView) -> tuple[object, ...]:
    memory = f"{i.memory_mib}MiB{' shared' if i.memory_shared else ''}"
    return (i.gi, i.profile, i.profile_id, i.start, i.size, i.ci, memory, i.state,
            None if i.job is None else ref_of(i.job, i.array), i.user, i.uuid, i.why)  # fmt: skip
