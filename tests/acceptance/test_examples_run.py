"""Every file of jobs/ is submitted and completes, every script of jobs/python runs.

Their images are stand-ins made of busybox.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.fakegpu.sandbox import Sandbox
from launcher.jobfile import load
from tests.acceptance.conftest import MIXED
from tests.acceptance.shell import Shell
from tests.support.daemon import DaemonProcess
from tests.support.images import import_image, remove_image

SPEC = MIXED
JOBS = Path(__file__).parents[2] / "jobs"
FILES = sorted(path.name for path in JOBS.glob("*.yaml"))
SCRIPTS = sorted(path.name for path in (JOBS / "python").glob("*.py"))
UUID = r"MIG-[0-9a-f-]{36}"

PROGRAMS = {
    "nvidia-smi": '[ "$*" = -L ] && for i in $(echo "$NVIDIA_VISIBLE_DEVICES" | tr , " "); do\n'
    ' echo "  MIG 1g.6gb Device 0: (UUID: $i)"; done',
    "python": 'exec sh "$@"',
    "jupyter": 'echo "jupyter $*"',
    "tensorboard": 'echo "tensorboard $*"',
}
"""What the examples call and busybox has not."""

TRAIN = """\
[ "$*" = "--data /data --out /results" ] && [ "$(pwd)" = /work ] || exit 10
touch /work/no /data/no 2>/dev/null && exit 11
cat /data/input > /results/model || exit 12
echo "trained with $WANDB_MODE on $LAUNCHER_PROFILE"
"""

PRINTS = {
    "after-another.yaml": r"training\n",
    "array.yaml": r"part 3 of 0 to 3\n",
    "compose.yaml": r"training 3 epochs on 1g\.6gb\n",
    "cpu-only.yaml": r"no GPU needed for this\n",
    "hello.yaml": rf"hello from slice {UUID}\n",
    "host.yaml": r"hello from job \d+ on 1g\.6gb\n",
    "jupyter.yaml": r"jupyter lab --ip=127\.0\.0\.1 --port=8888 --no-browser\n",
    "tensorboard.yaml": r"tensorboard --logdir /results --host 127\.0\.0\.1 --port 6006\n",
    "nvidia-smi.yaml": rf"  MIG 1g\.6gb Device 0: \(UUID: {UUID}\)\n",
    "notify.yaml": r"working\n",
    "retries.yaml": r"attempt 2\n",
    "sweep.yaml": rf"lr 0\.01, seed 3 on slice {UUID}\n",
    "train-with-mounts.yaml": r"trained with offline on 2g\.12gb\n",
    "with-a-secret.yaml": r"a token of 24 bytes\n",
    "two-slices.yaml": rf"a worker for ({UUID})\na worker for (?!\1){UUID}\n",
}
"""What each example prints. A new example belongs here."""

SCRIPTS_PRINT = {
    "asyncio_pipeline.py": r"2 layers: evaluated model-2\n4 layers: evaluated model-4\n"
    r"8 layers: FAILED\n",
    "run.py": rf"hello from slice {UUID}\njob \d+ is FAILED, exit code 1\nls: /missing: .*\n",
    "sweep.py": r"6 of 6 completed; the best is 0\.23 with \{'lr': 0\.03, 'seed': 2\}\n",
}


@pytest.fixture(scope="module", autouse=True)
def images(sandbox: Sandbox) -> Iterator[None]:
    """Every image that an example names."""
    named = {job.image for name in FILES for job in load([str(JOBS / name)]) if job.image}
    for image in named:
        import_image(sandbox, image, PROGRAMS)
    yield
    for image in named:
        remove_image(sandbox, image)


def copied(name: str, place: Path) -> Path:
    """The example in a directory of its own, with what it mounts, for a machine of one core."""
    text = (JOBS / name).read_text()
    for directory in ("src", "results", "data", "work"):
        (place / directory).mkdir()
    (place / "src" / "train.py").write_text(TRAIN)
    (place / "data" / "input").write_text("from the data\n")
    text = text.replace("- /data:", f"- {place}/data:")
    text = re.sub(r"(?m)^cpus: .*$", "cpus: 1", text)
    shutil.copy(JOBS / "token.txt", place)
    file = place / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", FILES)
def test_the_example_completes_and_prints_what_it_should(
    launch: Shell, shared: DaemonProcess, tmp_path: Path, name: str
) -> None:
    file = copied(name, tmp_path)
    launch("submit", "--wait", str(file)).ok()
    job = shared.client.jobs(["last"])[-1]
    assert job.outcome == "COMPLETED"
    printed = launch("logs", "-f", str(job.id)).ok().text
    assert re.fullmatch(PRINTS[name], printed), printed
    assert set(re.findall(UUID, printed)) <= set(job.slices)
    if name == "train-with-mounts.yaml":
        assert (tmp_path / "results" / "model").read_text() == "from the data\n"


SLOW_STEP = re.compile(r"Executing <.* took [0-9.]+ seconds$")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_runs_and_prints_what_it_should(launch: Shell, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(JOBS / "python" / name)],
        env=launch.environment,
        cwd=launch.directory,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    # asyncio's debug mode says so of every step over 0.1 s, and the machine may be busy.
    said = [line for line in done.stderr.splitlines() if not SLOW_STEP.match(line)]
    assert (done.returncode, said) == (0, [])
    assert re.fullmatch(SCRIPTS_PRINT[name], done.stdout), done.stdout
