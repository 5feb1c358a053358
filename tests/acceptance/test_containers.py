"""What people type by habit, and what their images bring, with the installed command."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import pwd
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.fakegpu import dockerapi
from launcher.fakegpu.image import CHANGES, busybox_tar
from launcher.fakegpu.sandbox import Sandbox
from launcher.store.connect import FILE_NAME
from tests.acceptance.conftest import MIXED
from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.images import remove_image

SPEC = MIXED
USER = pwd.getpwnam("games")
WISHES = "docker.io/library/wishes:1"


@pytest.fixture(scope="module")
def wishes(sandbox: Sandbox, shared: DaemonProcess) -> Iterator[str]:
    """An image that wants everything of NVIDIA's driver."""
    changes = (*CHANGES, "ENV NVIDIA_DRIVER_CAPABILITIES=all")
    dockerapi.import_image(sandbox.socket, busybox_tar(), WISHES, changes)
    shared.client.publish([WISHES])
    yield WISHES
    remove_image(sandbox, WISHES)


def test_what_nvidias_notes_tell_everybody_to_type_works(launch: Shell) -> None:
    code, shown = launch.on_terminal(
        "run", "--gpus", "1g.6gb", "-it", "--rm", "--ipc=host", "--ulimit", "stack=67108864",
        BUSYBOX, "sh", "-c", "ulimit -s; test -t 0 && df -m /dev/shm | tail -1",
    )  # fmt: skip
    assert code == 0, shown
    assert "65536\r\n" in shown
    assert "--ipc=host is ignored" in shown


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--ulimit", "core=0"], 2, "jobs write no core dumps"),
        (["--ulimit", "nofile=9:3"], 2, "is above the hard limit 3"),
        (["--ulimit", "stack"], 2, "write NAME=SOFT"),
        (["--gpu-capabilities", "x11"], 2, "is not a driver capability"),
        (["--gpus", "1g.6gb", "--ipc", "container:x"], 2, "is not one of"),
        (["--home", "none"], 2, "write job or real"),
    ],
)
def test_a_mistake_in_them_is_told_before_anything_is_queued(
    launch: Shell, words: list[str], code: int, told: str
) -> None:
    done = launch("run", *words, BUSYBOX, "true")
    assert (done.code, told in done.err) == (code, True), done.err


def test_the_drivers_capabilities_are_the_images_and_the_jobs_within_the_policy(
    launch: Shell, wishes: str
) -> None:
    def capabilities(*words: str) -> set[str]:
        script = "echo $NVIDIA_DRIVER_CAPABILITIES"
        done = launch("run", "--gpus", "1g.6gb", *words, "sh", "-c", script).ok()
        return set(done.text.strip().split(","))

    assert capabilities(BUSYBOX) == {"compute", "utility"}
    assert capabilities("--gpu-capabilities", "video", BUSYBOX) == {"compute", "utility", "video"}
    assert capabilities(wishes) == {"compute", "utility", "video", "graphics"}


def test_a_job_that_lacks_rights_gets_a_hint(games: Shell, launch: Shell) -> None:
    done = games("run", BUSYBOX, "sh", "-c", "echo x > /opt-of-root")
    assert done.code == 1
    assert "hint: the output says 'Permission denied'" in done.err
    assert "hint" not in launch("run", BUSYBOX, "sh", "-c", "exit 3").err


def test_an_image_for_another_machine_is_refused_before_it_has_a_slice(
    launch: Shell, tmp_path: Path
) -> None:
    config = {"architecture": "s390x", "os": "linux", "rootfs": {"type": "layers"}}
    layer = busybox_tar()
    config["rootfs"]["diff_ids"] = [f"sha256:{hashlib.sha256(layer).hexdigest()}"]  # type: ignore[index]
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["l/layer.tar"]}]
    files = {
        "l/layer.tar": layer,
        "c.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive = tmp_path / "other.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert launch("image", "load", str(archive)).ok().text == "localhost/other:latest\n"
    assert "localhost/other:latest" in launch("image", "ls").ok().text
    done = launch("run", "--gpus", "1g.6gb", "localhost/other", "true")
    assert done.code == 125
    assert "it is built for s390x" in done.err
    assert launch("image", "rm", "localhost/other").ok().text == "localhost/other:latest\n"
    assert launch("images", "ls", "-o", "name").ok().text == "", "its name in 0.1.0"


def test_what_jobs_have_on_disk_is_shown_and_emptied(games: Shell, launch: Shell) -> None:
    assert launch("usage", "--disk").ok().text.split("\n")[0].split() == [
        "USER", "WHAT", "USED", "LIMIT",
    ]  # fmt: skip
    games("run", BUSYBOX, "sh", "-c", "echo weights > ~/.cache/w").ok()
    (mine,) = games("usage", "--disk", "-o", "json").ok().json
    assert (mine["user"], mine["waits"], mine["cache"] > 0) == (USER.pw_name, None, True)
    assert games("clear-cache").ok().text.startswith(f"emptied ~/.cache of {USER.pw_name}")
    refused = games("clear-cache", "--user", "root")
    assert refused.code == 1
    assert "only an admin" in refused.err


def test_usage_is_the_sum_of_the_leases_in_the_database(
    games: Shell, launch: Shell, shared: DaemonProcess
) -> None:
    games("run", "--gpus", "1g.6gb", BUSYBOX, "sh", "-c", "exit 3")
    launch("run", "--gpus", "none", BUSYBOX, "true").ok()
    with contextlib.closing(sqlite3.connect(shared.state / FILE_NAME)) as db:
        (seconds,) = db.execute("SELECT SUM(released_at - granted_at) FROM leases").fetchone()
    report = launch("usage", "--since", "1d", "-o", "json").ok().json
    assert report["total"]["slice_hours"] * 3600 == pytest.approx(seconds, abs=1)
    assert report["total"]["slot_hours"] > 0
    by_user = {group["key"]: group for group in report["groups"]}
    assert by_user[USER.pw_name]["failed"] > 0
    (job,) = games("usage", "--jobs", "--since", "1d", "-o", "json").ok().json[-1:]
    assert (job["outcome"], job["profile"], job["slices"]) == ("FAILED", "1g.6gb", 1)
    assert job["cpu_seconds"] is None or job["cpu_seconds"] < 60
    everybody = launch("usage", "--jobs", "-o", "csv").ok().text.splitlines()
    assert everybody[0].startswith("id,user,name,")
    assert any(f",{USER.pw_name}," in line for line in everybody)
    assert games("usage", "--jobs", "--user", "root").code == 1
    own = games("usage", "--by", "image")
    assert "Only your own jobs are shown." in own.err
    assert BUSYBOX in own.ok().text
    assert games("usage", "--by", "user", "-o", "csv").ok().text.startswith("user,slice_hours,")
