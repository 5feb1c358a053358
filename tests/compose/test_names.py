"""Users' names as the host has them: in its /etc, and in its SSSD."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection
from launcher.errors import NotAllowed
from launcher.fakegpu.sandbox import Sandbox
from tests.compose.stack import BASE, NONE, Stack
from tests.support.daemon import as_user
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(300)
UID = 61001
ROOT = "root:x:0:0:root:/root:/bin/sh\n"
SETTINGS = (
    "[sssd]",
    "services = nss",
    "domains = extra",
    "[domain/extra]",
    "id_provider = proxy",
    "proxy_lib_name = extrausers",
    "auth_provider = none",
)
SSSD = rf"""
FROM {BASE}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends sssd-common sssd-proxy libnss-extrausers >/dev/null
RUN printf '%s\n' {" ".join(f"'{line}'" for line in SETTINGS)} >/etc/sssd/sssd.conf \
    && chmod 600 /etc/sssd/sssd.conf && mkdir -p /var/lib/extrausers \
    && echo 'carol:x:{UID}:{UID}::/home/carol:/bin/sh' >/var/lib/extrausers/passwd \
    && printf 'carol:x:{UID}:\ngpu-admins:x:61002:carol\n' >/var/lib/extrausers/group
CMD ["sssd", "-i"]
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A host's /etc."""
    place = tmp_path / "etc"
    place.mkdir()
    (place / "passwd").write_text(ROOT)
    (place / "group").write_text("root:x:0:\n")
    return place


@pytest.fixture
def sssd(plain_docker: Sandbox, tmp_path: Path) -> Iterator[Path]:
    """The pipes of a real SSSD that knows carol and that she is in a group."""
    pipes = tmp_path / "pipes"
    (pipes / "private").mkdir(parents=True)
    api = DockerConnection(plain_docker.docker_host).api()
    words = {"fileobj": io.BytesIO(SSSD.encode()), "tag": "launcher-test/sssd", "rm": True}
    told = list(api.build(**words, network_mode="host", decode=True))
    assert "error" not in told[-1], told[-5:]
    host = api.create_host_config(binds=[f"{pipes}:/var/lib/sss/pipes"], network_mode="none")
    made = api.create_container("launcher-test/sssd", host_config=host)
    api.start(made)
    wait_until((pipes / "nss").exists, timeout=30, what="sssd answers")
    yield pipes
    api.remove_container(made, force=True)


def test_names_follow_the_hosts_files_and_a_uid_without_one_is_a_number(
    laptop: Stack, etc: Path
) -> None:
    laptop.changes["fake"]["volumes"] = [f"{etc}:/host/etc:ro"]
    (etc / "subuid").write_text("alice:100000:65536\n")
    laptop.up()
    assert laptop.submit("true", uid=UID).user == str(UID)
    for name in ("alice", "alicia"):
        (etc / "passwd.new").write_text(f"{ROOT}{name}:x:{UID}:{UID}::/:/bin/sh\n")
        (etc / "passwd.new").rename(etc / "passwd")
        # A user is not looked up again within half a second.
        wait_until(lambda name=name: laptop.submit("true", uid=UID).user == name)
    job = laptop.submit("id", "-u", uid=54321, gpus=NONE)
    assert job.user == "54321"
    assert laptop.client.wait(str(job.id), timeout=30).outcome == "COMPLETED"
    with pytest.raises(NotAllowed, match="100005 is a subordinate uid of alice"):
        laptop.submit("true", uid=100005)


def test_names_and_groups_come_from_the_hosts_sssd_too(
    laptop: Stack, etc: Path, sssd: Path, tmp_path: Path
) -> None:
    config = tmp_path / "launcher.toml"
    config.write_text('admin_group = "gpu-admins"\n')
    laptop.changes["fake"]["volumes"] = [
        f"{etc}:/host/etc:ro",
        f"{sssd}:/host/sss/pipes:ro",
        f"{config}:/etc/launcher/launcher.toml:ro",
    ]
    laptop.up()
    roots = laptop.submit("true", hold=True)
    assert laptop.submit("true", uid=UID).user == "carol"
    with as_user(UID):
        assert laptop.client.cancel(str(roots.id)), "she is an admin by a group of SSSD's"
