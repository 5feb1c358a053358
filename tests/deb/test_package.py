"""The package over an installation of 0.1.0 with a running job; its removal; its purge."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.support.wait import wait_until

PACKAGE = os.environ["PACKAGE"]
OLD = "/opt/launcher/bin/launch"
UNITS = Path("/etc/systemd/system")
GO = Path("/run/go-on")
FAKE_GPU = "serve --fake-gpu A30:1g.6gb*2"


def run(*words: str, check: bool = True) -> str:
    """Return what a command says."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def use_fake_gpu(launch: str) -> None:
    """Let the service run with a simulated GPU, as an admin's drop-in would."""
    place = UNITS / "launcher.service.d/test.conf"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"[Service]\nExecStart=\nExecStart={launch} {FAKE_GPU}\n")
    run("systemctl", "daemon-reload")


def answers(launch: str) -> bool:
    done = subprocess.run([launch, "status"], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


def serves(launch: str) -> None:
    """Wait until the daemon answers; what it logged is part of the failure."""
    try:
        wait_until(lambda: answers(launch), 60)
    except AssertionError:
        journal = run("journalctl", "-u", "launcher.service", "-n", "40", "--no-pager", check=False)
        raise AssertionError(f"{launch} has no daemon: {journal}") from None


def container() -> str:
    """Return id and start of the one container that runs."""
    return run("docker", "ps", "--no-trunc", "--format", "{{.ID}} {{.CreatedAt}}")


def test_it_takes_over_0_1_0_with_a_running_job_and_leaves_nothing_after_a_purge() -> None:
    tar = subprocess.run(
        "mkdir -p /tmp/root/bin && cp /bin/busybox /tmp/root/bin/ && "
        "chroot /tmp/root /bin/busybox --install -s /bin && tar -C /tmp/root -c . | "
        "docker import - box:1",
        shell=True, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert tar.stdout
    run(OLD, "install-service")
    run("ln", "-sf", OLD, "/usr/local/bin/launch")
    use_fake_gpu(OLD)
    run("systemctl", "enable", "--now", "launcher.service")
    serves(OLD)
    GO.unlink(missing_ok=True)
    waits = f"while ! [ -e {GO} ]; do sleep 0.2; done; echo went on; exit 7"
    mount = f"{GO.parent}:{GO.parent}"
    job = run(
        OLD, "run", "-d", "--gpus", "none", "--pull", "never", "-v", mount, "box:1", "sh", "-c",
        waits,
    )  # fmt: skip
    wait_until(container, 60, "its container runs")
    before = container()

    use_fake_gpu("/usr/bin/launch")
    told = run("dpkg", "-i", PACKAGE)
    assert "the units of 'launch install-service' are replaced" in told
    assert "removing /usr/local/bin/launch" in told
    assert not list(UNITS.glob("launcher*.service"))
    serves("/usr/bin/launch")
    version = run("dpkg-query", "-W", "-f", "${Version}", "mig-launcher")
    assert run("launch", "--version").endswith(version)
    assert container() == before, "the same container runs on"
    GO.touch()
    assert subprocess.run(["launch", "wait", job], check=False, timeout=60).returncode == 7
    assert run("launch", "logs", job) == "went on"
    assert json.loads(run("launch", "usage", "-o", "json"))["total"]["jobs"] == 1

    assert "launch-job-files" in run("man", "-w", "launch-job-files")
    assert "NAME" in run("man", "launch")
    for file in ("bash-completion/completions/launch", "zsh/vendor-completions/_launch"):
        assert "launch" in (Path("/usr/share") / file).read_text()
    run("systemctl", "start", "launcher-web.service")
    assert run("systemctl", "show", "-P", "User", "launcher-web.service") == "launcher-web"

    run("dpkg", "-i", PACKAGE)  # an upgrade to the same version
    serves("launch")

    run("dpkg", "--remove", "mig-launcher")
    assert run("systemctl", "is-active", "launcher.service", check=False) == "inactive"
    assert not Path("/usr/bin/launch").exists()
    assert not Path("/usr/lib/mig-launcher").exists()
    assert Path("/var/lib/launcher/launcher.db").exists(), "jobs stay until a purge"
    run("dpkg", "--purge", "mig-launcher")
    left = [Path("/var/lib/launcher"), Path("/etc/launcher"), Path("/etc/pam.d/launcher-host")]
    assert not [place for place in left if place.exists()]
    assert not list(UNITS.glob("*.wants/launcher*"))
