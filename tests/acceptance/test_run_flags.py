"""``launch run``: every flag as it is seen inside the container."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import MIXED
from tests.acceptance.shell import Ended, Shell
from tests.support.daemon import BUSYBOX, DaemonProcess

SPEC = MIXED
MEMORY = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
CPUS = (
    "cat /sys/fs/cgroup/cpu.max 2>/dev/null || (cd /sys/fs/cgroup/cpu;"
    " echo $(cat cpu.cfs_quota_us cpu.cfs_period_us))"
)
PROFILE = "echo $LAUNCHER_PROFILE"


def inside(launch: Shell, *words: str, script: str) -> str:
    """What a script in the container prints."""
    return launch("run", *words, BUSYBOX, "sh", "-c", script).ok().text


@pytest.mark.parametrize(
    ("words", "profile"),
    [
        (["--profile", "1g.6gb"], "1g.6gb"),
        (["--profile", "2G.12GB"], "2g.12gb"),
        (["--gpus", "2g.12gb"], "2g.12gb"),
        (["--gpus", "1g.6gb:1"], "1g.6gb"),
        (["--gpu-memory", "6g"], "1g.6gb"),
        (["--gpu-memory", "5gb"], "1g.6gb"),
        (["--gpu-memory", "7g"], "2g.12gb"),
        (["--gpu-memory", "6GiB"], "2g.12gb"),
        (["--gpu-memory", "5952MiB"], "1g.6gb"),
        (["--gpus", "10g"], "2g.12gb"),
        (["--gpus", "full"], "full"),
        (["--gpus", "all"], "full"),
        (["--gpus", "none"], "none"),
        ([], "none"),
    ],
)
def test_it_gets_the_slice_that_it_asks_for(
    launch: Shell, shared: DaemonProcess, words: list[str], profile: str
) -> None:
    script = "echo $LAUNCHER_PROFILE $LAUNCHER_SLICES"
    found = inside(launch, *words, script=script).split()
    assert found[0] == profile
    there = {s.uuid for s in shared.client.slices() if s.profile == profile}
    assert set(found[1:]) <= there
    assert len(found) == (1 if profile == "none" else 2)


def test_it_gets_the_slice_that_it_names_and_no_other(launch: Shell, shared: DaemonProcess) -> None:
    for chosen in (s.uuid for s in shared.client.slices()):
        assert inside(launch, "--gpus", chosen, script="echo $LAUNCHER_SLICES").split() == [chosen]


def test_two_slices_by_name_are_given_together(launch: Shell, shared: DaemonProcess) -> None:
    pair = sorted(s.uuid for s in shared.client.slices() if s.profile == "1g.6gb")
    found = inside(launch, "--gpus", ",".join(pair), script="echo $LAUNCHER_SLICES")
    assert sorted(found.strip().split(",")) == pair


def test_a_count_goes_with_a_profile_or_a_size_only(launch: Shell) -> None:
    two = inside(launch, "--gpu-memory", "4g", "--count", "2", script="echo $LAUNCHER_SLICES")
    assert len(two.split(",")) == 2
    for words in (["--count", "2"], ["--gpus", "1g.6gb", "--count", "2"]):
        assert launch("run", *words, BUSYBOX, "true").code == 2
    both = launch("run", "--profile", "1g.6gb", "--gpus", "full", BUSYBOX, "true")
    assert both.code == 2
    assert "cannot be used together" in both.err


def test_a_job_without_a_gpu_is_shown_none(launch: Shell) -> None:
    assert inside(launch, script="echo $NVIDIA_VISIBLE_DEVICES") == "void\n"


def test_variables_come_from_the_flag_the_file_and_the_clients_own(
    launch: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text('# a comment\nFILE=from file # dropped\nQUOTED="as it is"\nMINE\nBOTH=file\n')
    words = ["run", "--env-file", str(file), "-e", "FLAG=a b=c", "--env", "BOTH=flag", "-e", "OWN"]
    script = 'printf "%s|" "$FLAG" "$FILE" "$QUOTED" "$MINE" "$BOTH" "$OWN" "${NOT-unset}"'
    own = {"OWN": "öwn", "MINE": "mine", "NOT": "never asked for"}
    done = launch(*words, BUSYBOX, "sh", "-c", script, env=own).ok()
    assert done.text == "a b=c|from file|as it is|mine|flag|öwn|unset|"


def test_a_mistake_in_an_env_file_is_named_with_its_line(launch: Shell, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("GOOD=1\nLD_PRELOAD=/x.so\n")
    done = launch("run", "--env-file", str(file), BUSYBOX, "true")
    assert done.code == 2
    assert f"{file}:2: LD_PRELOAD cannot be set" in done.err


def test_the_working_directory_and_the_user_are_as_asked(launch: Shell) -> None:
    script = "pwd; id -u; id -g"
    assert inside(launch, "-w", "/var/tmp", "-u", "65534:1", script=script).split() == [
        "/var/tmp",
        "65534",
        "1",
    ]


def test_the_host_name_is_as_asked(launch: Shell) -> None:
    done = launch("run", "-q", "--hostname", "node-1", BUSYBOX, "hostname").ok()
    assert done.text == "node-1\n"
    assert re.search(r"(?m)^ *hostname: +node-1$", launch("show", "last").ok().text)


def test_root_mounts_directories_of_the_machine(launch: Shell, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data").write_text("from the machine\n")
    (tmp_path / "out").mkdir()
    script = "cat /in/data; cp /in/data /out/copy; touch /in/no 2>/dev/null || echo read-only"
    done = launch("run", "-v", "./in:/in:ro", "-v", f"{tmp_path}/out:/out", BUSYBOX, "sh", "-c",
                  script).ok()  # fmt: skip
    assert done.text == "from the machine\nread-only\n"
    assert (tmp_path / "out" / "copy").read_text() == "from the machine\n"


def test_a_mount_of_nothing_fails_the_job_with_the_path(launch: Shell, tmp_path: Path) -> None:
    done = launch("run", "-v", f"{tmp_path}/not-there:/in", BUSYBOX, "true")
    assert done.code in (2, 125)
    assert "not-there" in done.err


def test_the_entrypoint_is_replaced(launch: Shell) -> None:
    done = launch("run", "--entrypoint", "/bin/echo", BUSYBOX, "a", "b  c").ok()
    assert done.text == "a b  c\n"


def test_shared_memory_memory_and_cores_are_limited(launch: Shell) -> None:
    script = f"df -k /dev/shm | tail -1; {MEMORY}; {CPUS}"
    words = ["--shm-size", "96m", "--memory", "128m", "--cpus", "0.5"]
    found = inside(launch, *words, script=script)
    assert re.search(r"\s98304\s.*/dev/shm", found), found
    assert "134217728" in found.split()
    assert found.split()[-2:] == ["50000", "100000"]


def test_shared_memory_is_half_of_the_jobs_memory_unless_it_is_given(launch: Shell) -> None:
    found = inside(launch, "--memory", "100m", script="df -k /dev/shm")
    assert re.search(r"\s51200\s.*/dev/shm", found), found


def test_the_name_is_the_images_or_the_one_that_is_given(
    launch: Shell, shared: DaemonProcess
) -> None:
    inside(launch, script="true")
    inside(launch, "--name", "my-job.2", script="true")
    names = [job.name for job in shared.client.jobs(all=True)][-2:]
    assert names == ["busybox", "my-job.2"]


def test_the_container_is_told_what_it_is(launch: Shell, shared: DaemonProcess) -> None:
    script = "echo $LAUNCHER_JOB_ID $LAUNCHER_ATTEMPT $LAUNCHER_DEADLINE $HOME $USER; touch /tmp/x"
    job, attempt, deadline, *_ = inside(launch, "-t", "1h", script=script).split()
    assert (int(job), attempt) == (shared.client.show("last").job.id, "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", deadline)


def test_a_stop_timeout_is_the_time_between_term_and_kill(launch: Shell) -> None:
    script = "trap 'echo termed' TERM; echo ready; while true; do sleep 0.05; done"
    running = launch.start("run", "--stop-timeout", "0", BUSYBOX, "sh", "-c", script)
    running.prints(b"ready\n")
    launch("cancel", "last").ok()
    ended: Ended = running.end()
    assert ended.code == 130
    assert "exit code 137" in ended.err
