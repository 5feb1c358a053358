"""Writes the files of a package that this installation makes: units, completions, manual.

fill.py STAGE HOME PAGES: below STAGE, for an environment that will be in HOME; the manual as
Markdown for go-md2man into the directory PAGES.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from launcher.cli.verbs.learn.help import TOPICS, page
from launcher.service.units import PAM, SYSUSERS, TMPFILES, pam_service, sysusers, tmpfiles, units

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/launch",
    "zsh": "usr/share/zsh/vendor-completions/_launch",
    "fish": "usr/share/fish/vendor_completions.d/launch.fish",
}
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def files(home: Path) -> dict[str, str]:
    """Return the text of each file by its place."""
    launch = [sys.executable, "-P", "-m", "launcher", "completion"]
    shells = {
        place: subprocess.check_output([*launch, shell], text=True)
        for shell, place in COMPLETIONS.items()
    }
    system = units(home / "bin/launch", home / "bin/python")
    return shells | {f"usr/lib/systemd/system/{name}": text for name, text in system.items()} | {
        f"usr/lib/sysusers.d/{SYSUSERS}": sysusers(),
        f"usr/lib/tmpfiles.d/{TMPFILES}": tmpfiles(),
        f"etc/pam.d/{PAM}": pam_service(),
    }  # fmt: skip


def pages() -> dict[str, str]:
    """Return the manual's pages by their names: launch(1), and launch-TOPIC(7) for each other."""
    result = {}
    for topic, summary in TOPICS.items():
        name, section = ("launch", 1) if topic == "verbs" else (f"launch-{topic}", 7)
        about = "run jobs on the MIG slices of this machine" if section == 1 else summary
        head = (
            f'{name} {section} "" "mig-launcher" "Launcher"\n====\n\n# NAME\n{name} - {about}\n\n'
        )
        result[f"{name}.{section}.md"] = head + _without_tables(COMMENT.sub("", page(topic)))
    return result


def _without_tables(text: str) -> str:
    """Return a page whose tables are lists of terms: a terminal has no room for their columns."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("|"):
            lines.append(line)
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not set("".join(cells)) <= set("-: "):
            term, rest = cells[0] or "...", " - ".join(cells[1:])
            lines += [term, f": {rest}", ""]
    return "\n".join(lines) + "\n"


def main(stage: Path, home: Path, manual: Path) -> None:
    """Write all of them."""
    written = {stage / place: text for place, text in files(home).items()}
    written |= {manual / name: text for name, text in pages().items()}
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
