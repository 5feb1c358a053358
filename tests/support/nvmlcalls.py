"""Which NVML functions launcher/gpu calls, read from its source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pynvml

import launcher.gpu

TEMPLATES = {
    "nvmlDeviceGet{}RunningProcesses{}": [
        f"nvmlDeviceGet{kind}RunningProcesses{version}"
        for kind in ("Compute", "Graphics", "MPSCompute")
        for version in ("_v3", "_v2")
    ]
}
"""What the names that are put together come to."""

IN_C = {
    "nvmlInit": "nvmlInitWithFlags",
    "nvmlDeviceGetCount": "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex": "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetGpuInstancePossiblePlacements": "nvmlDeviceGetGpuInstancePossiblePlacements_v2",
    "nvmlDeviceGetPciInfo": "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetGpuInstanceProfileInfo": "nvmlDeviceGetGpuInstanceProfileInfoV",
}
"""The symbol that nvidia-ml-py's function calls, where it is another."""


_CALL = re.compile(r"nvml[A-Z]")


def called() -> list[str]:
    """Return nvidia-ml-py's functions that are named anywhere in launcher/gpu."""
    found: set[str] = set()
    for path in Path(launcher.gpu.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "{}" for v in node.values]
                template = "".join(map(str, parts))
                if _CALL.match(template):
                    found |= set(TEMPLATES[template])
            elif isinstance(node, ast.Constant) and _is_call(str(node.value)):
                found.add(str(node.value))
    return sorted(found)


def _is_call(text: str) -> bool:
    return bool(_CALL.match(text)) and callable(getattr(pynvml, text, None))


def symbol(function: str) -> str:
    """Return the C function that nvidia-ml-py's function calls."""
    return IN_C.get(function, function)
