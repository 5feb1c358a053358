"""``launch layout``: the verbs about how the GPUs are cut; one module each, loaded when called."""

from __future__ import annotations

import click

from launcher.cli.lazy import LazyGroup

SECTIONS: dict[str, dict[str, str]] = {
    "Look": {
        "show": "Show what stands on the GPUs, and who uses it.",
        "profiles": "List what the GPUs can be cut into.",
        "plan": "Say what `apply` would do.",
        "assert": "Check that exactly the layout that is asked for stands.",
        "changes": "List the changes that were made: who, when, what.",
    },
    "Change": {
        "enable": "Switch MIG mode on.",
        "disable": "Switch MIG mode off.",
        "apply": "Make the layout that is asked for.",
        "create": "Add one GPU instance.",
        "destroy": "Remove one slice.",
        "clear": "Remove every slice of a GPU.",
        "cancel": "Give up a change that still waits.",
    },
    "Keep": {
        "export": "Print the layout, as NVIDIA mig-parted writes it or as JSON.",
        "save": "Have the present layout restored after a reboot.",
        "restore": "Bring the saved layout back.",
    },
}


@click.group(
    "layout",
    cls=LazyGroup,
    packages=dict.fromkeys(SECTIONS, "launcher.cli.verbs.machine.layout"),
    sections=SECTIONS,
    short_help="Cut the GPUs into slices, verify, save, and clean up.",
)
def command() -> None:
    """Cut the GPUs into slices, verify, save, and clean up.

    A SPEC is PROFILE[:COUNT][@START]: 1g.6gb:2 for two of them, 2g.12gb@2 for one at memory unit 2;
    the profile may be its id. 1c.3g.20gb:3 is one 3g.20gb divided into three slices that share its
    memory. Changes need root or a member of the admin group. --gpu may be left
    out where only one GPU can be meant.
    """
