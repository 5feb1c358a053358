"""The network of jobs, with a dockerd that manages the firewall of a machine in a cloud."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.engine.networks import LABEL
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.network import INTERFACE, NETWORK, state_file
from launcher.network.firewall import CHAIN, DOCKERS, FirewallState
from launcher.wire import GpuRequest, JobView
from tests.support.cloud import ALIBABA, METADATA, OUTSIDE, WIRE_SERVER, Cloud
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.machines import build_directory  # noqa: F401
from tests.support.wait import wait_until

ALICE, BOB = pwd.getpwnam("games"), pwd.getpwnam("daemon")
NONE = GpuRequest(kind="none")
ROOT = pwd.getpwnam("root")
# Not wget: that of Debian's static busybox looks up the service's port, and crashes without NSS.
REACHES = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${place%:*} ${place#*:} | grep -q served"
WORLD, METADATA_WEB, METADATA_DNS = f"{OUTSIDE}:80", f"{METADATA}:80", f"{METADATA}:53"
NAME_SERVERS = {METADATA_DNS, f"{WIRE_SERVER}:53", f"{ALIBABA}:53"}
PLACES = {WORLD, METADATA_WEB, f"{WIRE_SERVER}:80", f"{ALIBABA}:80", *NAME_SERVERS}
JUMP = f"-A {DOCKERS} -i {INTERFACE} -j {CHAIN}"


@dataclass
class Site:
    """A machine of a cloud, its dockerd, and a launcher."""

    cloud: Cloud
    sandbox: Sandbox
    daemon: DaemonProcess

    @property
    def containers(self) -> Containers:
        return Containers(DockerConnection(self.sandbox.docker_host))

    def submit(self, user: pwd.struct_passwd, script: str) -> JobView:
        with as_user(user.pw_uid):
            return self.daemon.submit("sh", "-c", script, gpus=NONE)

    def reached(self, user: pwd.struct_passwd, *places: str) -> set[str]:
        """Return the places that a user's job reaches."""
        return self.result(self.reaching(user, *places))

    def reaching(self, user: pwd.struct_passwd, *places: str) -> JobView:
        """Return a job that tries to reach places."""
        loop = f"for place in {' '.join(places)}; do {REACHES} && echo $place; done; true"
        return self.submit(user, loop)

    def result(self, job: JobView) -> set[str]:
        """Wait for such a job, and return the places that it reached."""
        job = self.daemon.done(job)
        assert job.outcome == "COMPLETED", job.message
        return set(self.daemon.output(job).decode().split())

    def serving(self, user: pwd.struct_passwd) -> tuple[JobView, str]:
        """Return a job that serves on port 8080, and its address."""
        script = "mkdir /tmp/w; echo served >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"
        job = self.daemon.until(self.submit(user, script), "RUNNING")
        (name,) = [c["Id"] for c in self.containers.running() if f"-{job.id}-" in c["Names"][0]]
        container = self.containers.inspect(name)
        assert container is not None
        (network,) = container.info["NetworkSettings"]["Networks"].values()
        return job, f"{network['IPAddress']}:8080"

    def doctor(self) -> dict[str, tuple[str, str]]:
        """Return state and text of doctor's checks of the network."""
        checks = self.daemon.client.doctor()
        return {c.check: (c.state, c.message) for c in checks if c.check in ("network", "metadata")}


def daemon_on(cloud: Cloud, sandbox: Sandbox, place: Path, config: str = CONFIG) -> DaemonProcess:
    """Return a daemon in the machine's network, not started."""
    daemon = DaemonProcess(
        sandbox.docker_host, Machine.create(place / "machine", "A30:1g.6gb*4"), place / "state",
        config=config,
    )  # fmt: skip
    daemon.enter = cloud.enter
    return daemon


@pytest.fixture(scope="module")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Return a maker of sites; all that a site is goes when the module's tests are over."""
    with contextlib.ExitStack() as stack:

        def make(**options: bool) -> Site:
            place = tmp_path_factory.mktemp("site")
            cloud = stack.enter_context(Cloud(place / "served"))
            sandbox = Sandbox(place / "docker", netns=cloud.machine, plain=True, **options)
            stack.enter_context(sandbox)
            sandbox.import_busybox(BUSYBOX)
            daemon = daemon_on(cloud, sandbox, place)
            stack.callback(daemon.close)
            return Site(cloud, sandbox, daemon.start())

        yield make


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture(scope="module")
def unmanaged(make_site: Callable[..., Site]) -> Site:
    """Docker does not manage the firewall."""
    return make_site(iptables=False)


def test_jobs_of_two_users_do_not_reach_each_other(site: Site) -> None:
    job, address = site.serving(ALICE)
    trying = [site.reaching(user, address, WORLD) for user in (BOB, ALICE)]
    assert [site.result(each) for each in trying] == [{WORLD}, {WORLD}]
    site.daemon.client.cancel(str(job.id))
    job, address = site.serving(ROOT)
    assert site.reached(ROOT, address) == {address}, "root's jobs have Docker's default network"
    site.daemon.client.cancel(str(job.id))


def test_a_job_reaches_the_world_and_name_servers_but_not_the_metadata_address(site: Site) -> None:
    assert site.reached(ROOT, *PLACES) == PLACES, "the default bridge"
    assert site.reached(ALICE, *PLACES) == {WORLD, *NAME_SERVERS}
    assert site.doctor() == {
        "network": ("ok", f"jobs get the network {NETWORK}: they do not reach each other there"),
        "metadata": ("ok", f"the cloud's metadata address is blocked on {INTERFACE}"),
    }


def test_a_hostname_is_not_a_name_that_other_jobs_look_up(site: Site) -> None:
    with as_user(ALICE.pw_uid):
        job = site.daemon.submit("sh", "-c", "hostname; hostname -s", gpus=NONE, hostname="proxy")
    site.daemon.done(job)
    assert site.daemon.output(job).decode().split() == [f"proxy.{NETWORK}", "proxy"]


def test_the_network_takes_over_the_mtu_of_the_default_bridge(site: Site) -> None:
    site.doctor()  # the network may still be missing
    with DockerConnection(site.sandbox.docker_host).borrow() as api:
        ours, default = (api.inspect_network(name) for name in (NETWORK, "bridge"))
    mtu = "com.docker.network.driver.mtu"
    assert ours["Options"][mtu] == default["Options"][mtu]


def test_the_rules_are_made_once_and_come_back_after_they_were_flushed(
    site: Site, tmp_path: Path
) -> None:
    # As the unit has it.
    rights = ["setpriv", "--no-new-privs", "--bounding-set", "-all,+net_admin,+net_raw"]
    module = [sys.executable, "-P", "-m", "launcher.network", "--state"]
    run = [*site.cloud.enter, *rights, *module]
    result = tmp_path / "network.json"
    for _ in range(2):
        subprocess.run([*run, str(result)], check=True)
    rules = site.cloud.iptables("-S").split("\n")
    assert rules.count(JUMP) == 1
    assert len(rules) == len(set(rules))
    assert state_file.read(result) == FirewallState(managed=True)
    site.cloud.iptables("-F", DOCKERS)
    site.cloud.iptables("-F", CHAIN)
    wait_until(lambda: not site.reached(ALICE, METADATA_WEB), timeout=20)
    assert site.cloud.iptables("-S").split("\n").count(JUMP) == 1


def test_a_network_that_was_removed_is_made_again_for_the_next_job(
    site: Site, tmp_path: Path
) -> None:
    slow = CONFIG.replace("sweep_seconds = 1.0", "sweep_seconds = 3600.0")
    daemon = daemon_on(site.cloud, site.sandbox, tmp_path, slow)
    assert site.daemon.process is not None
    os.kill(site.daemon.process.pid, signal.SIGSTOP)  # its sweep would make the network again
    try:
        second = Site(site.cloud, site.sandbox, daemon.start())
        assert second.reached(ALICE, WORLD) == {WORLD}
        remove_network(second)
        assert second.reached(ALICE, WORLD, METADATA_WEB) == {WORLD}
        assert "not found; starting it again" in daemon.log.read_text()
    finally:
        daemon.close()
        os.kill(site.daemon.process.pid, signal.SIGCONT)


def remove_network(site: Site) -> None:
    """Remove the network, as ``docker network prune`` does, once no container has it."""

    def removed() -> bool:
        with DockerConnection(site.sandbox.docker_host).borrow() as api:
            if api.inspect_network(NETWORK)["Containers"]:
                return False
            api.remove_network(NETWORK)
        return True

    wait_until(removed, timeout=20)


def test_where_docker_does_not_manage_the_firewall_doctor_says_so(unmanaged: Site) -> None:
    found = unmanaged.doctor()
    assert {check: state for check, (state, _) in found.items()} == {
        "network": "warning",
        "metadata": "warning",
    }
    assert f"there is no chain {DOCKERS}" in found["metadata"][1]
    assert "may reach each other" in found["network"][1]
    assert CHAIN not in unmanaged.cloud.iptables("-S"), "nothing is changed"
    assert unmanaged.daemon.client.status().problems == []


def test_a_network_of_that_name_that_is_not_the_launchers_is_not_used(unmanaged: Site) -> None:
    remove_network(unmanaged)
    with DockerConnection(unmanaged.sandbox.docker_host).borrow() as api:
        api.create_network(NETWORK, driver="bridge")
    wait_until(lambda: unmanaged.doctor()["network"][0] == "warning", timeout=20)
    assert f"it has no label {LABEL}" in unmanaged.doctor()["network"][1]
    wait_until(lambda: unmanaged.daemon.client.status().problems != [], timeout=20)
    job = unmanaged.daemon.until(unmanaged.submit(ALICE, "sleep 60"), "RUNNING")
    with DockerConnection(unmanaged.sandbox.docker_host).borrow() as api:
        assert api.inspect_network(NETWORK)["Containers"] == {}
    unmanaged.daemon.client.cancel(str(job.id))
    unmanaged.daemon.done(job)
    remove_network(unmanaged)
    wait_until(lambda: unmanaged.daemon.client.status().problems == [], timeout=20)
