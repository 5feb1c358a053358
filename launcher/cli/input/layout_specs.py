"""A layout as it is asked for: SPECs on the command line, or a mig-parted file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from launcher.cli.input.layout_change import gpus_option, in_words, selected
from launcher.jobfile.layouts.layout_spec import parse_spec
from launcher.wire import LayoutEntry, LayoutSpec

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for; ``enable`` switches MIG mode on first."""

    specs: tuple[str, ...]
    gpus: list[str]
    every: bool
    file: str | None
    config: str | None
    exact: bool
    enable: bool = False


def asking_options(function: F) -> F:
    """Add SPEC..., ``--gpu``, ``--all``, ``-f`` and ``--config``."""
    adders: tuple[Callable[[Any], Any], ...] = (
        click.argument("specs", nargs=-1, metavar="[SPEC]..."),
        gpus_option,
        click.option(
            "-f",
            "--file",
            metavar="FILE",
            help="A mig-parted file, or what `export -o json` printed; - is standard input.",
        ),
        click.option("--config", metavar="NAME", help="Which of the file's configurations."),
    )
    for add in reversed(adders):
        function = add(function)
    return function


def exact_options(function: F) -> F:
    """Add ``--exact`` and ``--enable``."""
    exact = click.option("--exact", is_flag=True, help="Remove what is not asked for.")
    enable = click.option("--enable", is_flag=True, help="Switch MIG mode on first if it is off.")
    return exact(enable(function))


def spec(text: str) -> LayoutSpec:
    """Return a SPEC; a wrong one is wrong usage."""
    try:
        return parse_spec(text)
    except ValueError as error:
        raise click.BadParameter(
            str(error), click.get_current_context(), param_hint="SPEC"
        ) from error


def asked(options: Asked) -> tuple[list[str], list[LayoutEntry]]:
    """Return what was asked for, in words and as entries."""
    if bool(options.specs) == bool(options.file):
        raise click.UsageError("Give SPECs or -f FILE, one of them.", click.get_current_context())
    exact = ["--exact"] if options.exact else []
    if options.file is not None:
        return [*_file_words(options), *exact], _from_file(options, options.file)
    if options.config is not None:
        raise click.UsageError("--config goes with -f FILE.", click.get_current_context())
    entry = LayoutEntry(
        gpus=selected(options.gpus, every=options.every),
        specs=[spec(text) for text in options.specs],
        exact=options.exact,
        mode=True if options.enable else None,
    )
    enable = ["--enable"] if options.enable else []
    return [*options.specs, *in_words(options.gpus, every=options.every), *enable, *exact], [entry]


def _file_words(options: Asked) -> list[str]:
    config = [f"--config {options.config}"] if options.config else []
    return [f"-f {options.file}", *config]


def _from_file(options: Asked, file: str) -> list[LayoutEntry]:
    if options.gpus or options.every:
        raise click.UsageError("--gpu and --all go with SPECs; a file names its GPUs itself.")
    if options.enable:
        raise click.UsageError("--enable goes with SPECs; a file sets MIG mode itself.")
    from launcher.jobfile.layouts.layout_file import load

    return load(file, options.config, exact=options.exact, stdin=sys.stdin.buffer)
