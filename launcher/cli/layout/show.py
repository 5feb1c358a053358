"""``launch layout show``: what stands on the GPUs, with a picture of their memory units."""

from __future__ import annotations

import sys

import click

from launcher.cli import render, terminal
from launcher.cli.common import connect, output_option
from launcher.wire import GpuView, InstanceView

HEADINGS = ("GI", "PROFILE", "ID", "AT", "SIZE", "CI", "MEMORY", "STATE", "JOB", "USER", "UUID",
            "WHY")  # fmt: skip
UNIT_COLUMNS = 10


@click.command("show", short_help="Show what stands on the GPUs, and who uses it.")
@output_option
def command(output: str) -> None:
    """Show every GPU with its MIG mode, a picture of its memory units, and what stands on it.

    AT and SIZE are memory units. A GPU instance without a compute instance is shown as bare: it
    takes room and can run nothing; `launch layout apply` completes it, `destroy` removes it.
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
    sys.stdout.write(terminal.safe(f"GPU {gpu.index}  {kind}  {gpu.uuid}  {mode(gpu)}") + "\n")
    if not gpu.instances_known:
        sys.stdout.write("  NVML does not tell what stands here: the daemon must run as root.\n")
        sys.stdout.write("  `launch slices` lists the MIG devices.\n")
        return
    if gpu.units and gpu.mig_current:
        for line in picture(gpu.units, gpu.instances):
            sys.stdout.write(terminal.safe(line) + "\n")
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
    wide = max(4, min(UNIT_COLUMNS, 96 // units))
    starts = {i.start: i for i in instances}
    scale, bar, at = "", "", 0
    while at < units:
        instance = starts.get(at)
        size = instance.size if instance else 1
        inside = wide * size - 1
        scale += f"{at:<{wide * size}}"
        name = _label(instance, inside) if instance else ""
        bar += "|" + (name.center(inside) if instance else "·" * inside)
        at += max(1, size)
    return [f"  {scale}".rstrip(), f" {bar}|"]


def _label(instance: InstanceView, most: int) -> str:
    job = f" #{instance.job}" if instance.job is not None else ""
    mark = "" if instance.uuid else "?"
    for text in (f"{instance.profile}{mark}{job}", f"{instance.profile}{mark}", instance.profile):
        if len(text) <= most:
            return text
    return instance.profile[:most]


def _row(i: InstanceView) -> tuple[object, ...]:
    return (i.gi, i.profile, i.profile_id, i.start, i.size, i.ci, f"{i.memory_mib}MiB", i.state,
            i.job, i.user, i.uuid, i.why)  # fmt: skip
