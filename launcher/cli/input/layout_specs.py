"""A layout as it is asked for: SPECs on the command line, or a mig-parted file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from launcher.cli.input.layout_change import gpu_option, named
from launcher.jobfile.layouts.layout_spec import parse_spec
from launcher.wire import LayoutEntry, LayoutSpec

F = TypeVar("F", bound=Callable[..., Any])


def asking_options(function: F) -> F:
    """Add SPEC..., ``--gpu``, ``-f``, ``--config`` and ``--exact``."""
    adders: tuple[Callable[[Any], Any], ...] = (
        click.argument("specs", nargs=-1, metavar="[SPEC]..."),
        gpu_option,
        click.option("-f", "--file", metavar="FILE", help="A mig-parted configuration file."),
        click.option("--config", metavar="NAME", help="Which of the file's configurations."),
        click.option("--exact", is_flag=True, help="Remove what is not asked for."),
    )
    for add in reversed(adders):
        function = add(function)
    return function


def spec(text: str) -> LayoutSpec:
    """Return a SPEC; a wrong one is wrong usage."""
    try:
        return parse_spec(text)
    except ValueError as error:
        raise click.BadParameter(
            str(error), click.get_current_context(), param_hint="SPEC"
        ) from error


def asked(
    specs: tuple[str, ...], gpu: str | None, file: str | None, config: str | None, *, exact: bool
) -> tuple[list[str], list[LayoutEntry]]:
    """Return what was asked for, in words and as entries."""
    if bool(specs) == bool(file):
        raise click.UsageError("Give SPECs or -f FILE, one of them.", click.get_current_context())
    if file is None:
        entry = LayoutEntry(gpus=named(gpu), specs=[spec(text) for text in specs], exact=exact)
        return [*specs, *(["--exact"] if exact else [])], [entry]
    if gpu is not None:
        raise click.UsageError("--gpu goes with SPECs; a file names its GPUs itself.")
    from launcher.jobfile.layouts.mig_parted import load

    words = [f"-f {file}", *([f"--config {config}"] if config else [])]
    return [*words, *(["--exact"] if exact else [])], load(file, config, exact=exact)
