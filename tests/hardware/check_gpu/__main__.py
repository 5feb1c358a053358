"""Write the report: ``python -m tests.hardware.check_gpu [FILE]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from launcher.gpu import GpuReader
from tests.hardware.check_gpu import daemon, room, smi
from tests.hardware.check_gpu.report import Report

RAW = (("-L",), ("-q",), ("mig", "-lgip"), ("mig", "-lgipp"), ("mig", "-lgi"), ("mig", "-lci"))


def main(path: Path) -> int:
    """Check, write the report to ``path``; 1 if there is no GPU, or something differs."""
    report, reader = Report(), GpuReader()
    try:
        inventory = room.check(report, reader)
        if inventory is not None:
            with tempfile.TemporaryDirectory(prefix="check-gpu-") as place:
                daemon.check(report, Path(place), inventory)
    finally:
        reader.close()
    for words in RAW:
        if (text := smi.ask(*words)) is not None:
            report.texts.append((f"nvidia-smi {' '.join(words)}", text.rstrip()))
    path.write_text(report.markdown(), "utf-8")
    sys.stdout.write(f"{'well' if report.is_well else 'NOT WELL'}; the report is {path}\n")
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "check-gpu-report.md")))
