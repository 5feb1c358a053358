"""``launch -H ssh://...``: the daemon of another machine, through the user's own ssh."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from launcher import AsyncClient, Client
from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import LAUNCH, Shell
from tests.acceptance.terminal import Terminal
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.images import import_image, remove_image
from tests.support.sshd import Sshd
from tests.support.user import NAME
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import StubDaemon

MASTER = "  ControlMaster auto\n  ControlPath {place}/m\n  ControlPersist 60\n"


@pytest.fixture(scope="module")
def vm(shared: DaemonProcess) -> Iterator[Sshd]:
    """The machine of the file's daemon, which is its system's."""
    sshd = Sshd(shared.socket)
    yield sshd
    sshd.close()


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Where a client keeps its private directory; the path is short, for sockets."""
    with tempfile.TemporaryDirectory(prefix="r-") as name:
        yield Path(name)


@pytest.fixture
def laptop(launch: Shell, vm: Sshd, tmp_path: Path, runtime: Path) -> Iterator[Shell]:
    """The command on a machine without a daemon; nothing of ssh is left behind."""
    shell = laptop_of(launch.environment, vm, tmp_path, runtime)
    yield shell
    shell.close()
    wait_until(lambda: not any(runtime.iterdir()), 10, f"{runtime} is empty")
    wait_until(lambda: not processes_with(str(runtime)), 10, "no process is left")


def laptop_of(environment: Mapping[str, str], vm: Sshd, directory: Path, runtime: Path) -> Shell:
    ours = {k: v for k, v in environment.items() if not k.startswith("LAUNCHER_")}
    ours |= {"PATH": vm.path, "LAUNCHER_HOST": "ssh://vm", "XDG_RUNTIME_DIR": str(runtime)}
    return Shell(ours, directory)


MakeLaptop = Callable[..., tuple[Shell, Sshd]]


@pytest.fixture
def make_laptop(tmp_path: Path, runtime: Path) -> Iterator[MakeLaptop]:
    """Return a maker of laptops, each with a machine of its own for a daemon."""
    made: list[tuple[Shell, Sshd]] = []

    def make(daemon: DaemonProcess, more: str = "") -> tuple[Shell, Sshd]:
        vm = Sshd(daemon.socket, more=more)
        made.append((laptop_of(daemon.environment, vm, tmp_path, runtime), vm))
        return made[-1]

    yield make
    for shell, vm in made:
        shell.close()
        vm.close()


@pytest.fixture
def master(vm: Sshd) -> Iterator[Path]:
    """A user who shares one connection between all ssh commands."""
    vm.configure(MASTER.format(place=vm.place))
    vm.ssh("vm", "true")
    yield vm.place / "m"
    vm.ssh("-O", "exit", "vm")
    vm.configure("")


def processes_with(text: str) -> list[str]:
    result = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                words = (place / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in words:
                result.append(words.replace("\0", " "))
    return result


def runs(laptop: Shell, *command: str) -> str:
    job = laptop("run", "-d", BUSYBOX, *command).ok().text.strip()
    wait_until(lambda: laptop("show", job, "-o", "json").json["state"] == "RUNNING", 30, "it runs")
    return job


def test_verbs_reach_the_other_machine(laptop: Shell, vm: Sshd, shared: DaemonProcess) -> None:
    before = vm.accepted()
    assert str(shared.socket) in laptop("status").text
    assert vm.accepted() - before == 1


def test_the_option_wins_over_both_variables(laptop: Shell) -> None:
    laptop.environment |= {"LAUNCHER_HOST": "ssh://elsewhere", "LAUNCHER_SOCKET": "/nowhere"}
    assert laptop("-H", "ssh://vm", "ps").code == 0
    done = laptop("ps")
    assert done.code == 2
    assert "LAUNCHER_HOST and LAUNCHER_SOCKET are both set" in done.err


def test_a_unix_address_needs_no_ssh(laptop: Shell, vm: Sshd, shared: DaemonProcess) -> None:
    before = vm.accepted()
    assert laptop("-H", f"unix://{shared.socket}", "ps").code == 0
    assert laptop("-H", "tcp://vm", "ps").code == 2
    assert vm.accepted() == before


def test_a_run_has_its_exit_code_and_one_connection(laptop: Shell, vm: Sshd) -> None:
    before = vm.accepted()
    done = laptop("run", "-q", BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out, done.err) == (7, b"out\n", "err\n")
    assert vm.accepted() - before == 1


def test_a_job_file_of_this_machine(laptop: Shell, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("WORD=hello\n")
    (tmp_path / "job.yaml").write_text(
        f"image: {BUSYBOX}\ncommand: [sh, -c, 'echo $WORD']\nenv_file: env\n"
    )
    assert laptop("submit", "--wait", str(tmp_path / "job.yaml")).code == 0
    assert laptop("logs", "last").out == b"hello\n"


def test_an_image_archive_of_this_machine(laptop: Shell, sandbox: Sandbox, tmp_path: Path) -> None:
    import_image(sandbox, "launcher/saved:1", {"hello": "echo loaded"})
    archive = tmp_path / "app.tar"
    save = ["docker", "-H", sandbox.docker_host, "save", "launcher/saved:1", "-o", str(archive)]
    subprocess.run(save, check=True)
    remove_image(sandbox, "launcher/saved:1")
    laptop("image", "load", str(archive)).ok()
    assert laptop("run", "-q", "localhost/app", "hello").out == b"loaded\n"
    laptop("image", "rm", "localhost/app").ok()


def test_input_of_100_megabytes_arrives_whole(laptop: Shell, vm: Sshd) -> None:
    before = vm.accepted()
    data = os.urandom(100_000_000)
    done = laptop("run", "-i", "-q", BUSYBOX, "sha256sum", stdin=data)
    assert (done.code, done.text.split()[0]) == (0, hashlib.sha256(data).hexdigest())
    assert vm.accepted() - before == 1


def test_a_shell_on_a_terminal(laptop: Shell, vm: Sshd) -> None:
    before = vm.accepted()
    terminal = laptop.open_terminal("run", "-it", BUSYBOX, "sh")
    terminal.shows("# ")
    terminal.type("stty size; echo $((6*7))\r")
    terminal.shows("30 100")
    terminal.shows("42")
    terminal.type("sleep 1000\r")
    terminal.shows("sleep 1000")

    def interrupted() -> bool:
        terminal.type("\x03echo after-$?\r")
        return "\nafter-130" in terminal.shown

    wait_until(interrupted, 30, "the command is interrupted")
    terminal.type("exit 3\r")
    code, shown = terminal.end()
    assert code == 3, shown
    assert vm.accepted() - before == 1


def test_leaving_a_terminal_and_coming_back(laptop: Shell) -> None:
    terminal = laptop.open_terminal("run", "-it", BUSYBOX, "sh")
    terminal.shows("# ")
    terminal.type("\x10\x11")
    terminal.shows("detached: job")
    assert terminal.end()[0] == 0
    back = laptop.open_terminal("attach", "last")
    back.shows("# ")
    back.type("exit 5\r")
    assert back.end()[0] == 5


def test_a_further_command_in_a_job(laptop: Shell) -> None:
    job = runs(laptop, "sleep", "60")
    done = laptop("exec", job, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out, done.err) == (7, b"out\n", "err\n")
    assert laptop("exec", "-i", job, "--", "cat", stdin=b"abc").out == b"abc"


def test_ctrl_c_reaches_the_job_and_not_ssh(laptop: Shell) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    terminal = laptop.open_terminal("run", BUSYBOX, "sh", "-c", script)
    terminal.shows("ready")
    terminal.type("\x03")
    terminal.shows("caught")
    assert terminal.end()[0] == 9


def test_the_users_own_connection_is_used(laptop: Shell, vm: Sshd, master: Path) -> None:
    before = vm.accepted()
    assert laptop("ps").code == 0
    data = os.urandom(1_000_000)
    done = laptop("run", "-i", "-q", BUSYBOX, "sha256sum", stdin=data)
    assert (done.code, done.text.split()[0]) == (0, hashlib.sha256(data).hexdigest())
    terminal = laptop.open_terminal("run", BUSYBOX, "sh", "-c", "echo ready; sleep 60")
    terminal.shows("ready")
    terminal.type("\x03")
    terminal.type("\x03")
    assert terminal.end()[0] == 130
    assert vm.accepted() == before
    assert master.exists()


def test_a_connection_that_stays_is_opened_as_configured(laptop: Shell, vm: Sshd) -> None:
    before = vm.accepted()
    vm.configure(MASTER.format(place=vm.place))
    assert laptop("ps").code == 0
    assert laptop("ps").code == 0
    assert vm.accepted() - before == 1
    vm.ssh("-O", "exit", "vm")
    vm.configure("")


def test_paths_with_blanks_and_percent_signs_reach_the_daemon(
    laptop: Shell, vm: Sshd, shared: DaemonProcess, tmp_path: Path
) -> None:
    link = tmp_path / "a%hb"
    link.symlink_to(shared.socket)
    assert laptop("-H", f"ssh://vm{link}", "ps").code == 0
    before = vm.accepted()
    vm.configure(MASTER.replace("{place}/m", '"{place}/m %%m"').format(place=vm.place))
    assert laptop("-H", f"ssh://vm{link}", "ps").code == 0
    assert laptop("-H", f"ssh://vm{link}", "ps").code == 0
    assert vm.accepted() - before == 1
    vm.ssh("-O", "exit", "vm")
    vm.configure("")


@pytest.mark.parametrize("shared_connection", [False, True])
def test_a_killed_verb_leaves_nothing(
    laptop: Shell,
    vm: Sshd,
    runtime: Path,
    shared_connection: bool,
    request: pytest.FixtureRequest,
    shared: DaemonProcess,
) -> None:
    if shared_connection:
        request.getfixturevalue("master")
    job = runs(laptop, "sh", "-c", "echo ready; sleep 60")
    idle = len(daemon_connections(shared))
    followed = laptop.start("logs", "-f", job)
    followed.prints(b"ready\n")
    assert len(daemon_connections(shared)) == idle + 1
    followed.process.kill()
    wait_until(lambda: not any(runtime.iterdir()), 10, "its directory is gone")
    wait_until(lambda: not processes_with(str(runtime)), 10, "its ssh has ended")
    unix = Path("/proc/net/unix")
    wait_until(lambda: str(runtime) not in unix.read_text(), 10, "nothing is forwarded")
    wait_until(lambda: len(daemon_connections(shared)) == idle, 10, "the daemon's end is closed")
    if not shared_connection:
        wait_until(lambda: not vm.sessions(), 10, "its session has ended")


def daemon_connections(shared: DaemonProcess) -> list[str]:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return [line for line in lines if line.endswith(str(shared.socket)) and " 03 " in line]


def test_a_followed_log_goes_on_after_the_connection_was_cut(
    laptop: Shell, vm: Sshd, shared: DaemonProcess
) -> None:
    job = runs(laptop, "sh", "-c", "echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two")
    idle = len(daemon_connections(shared))
    followed, waited = laptop.start("logs", "-f", job), laptop.start("wait", job)
    followed.prints(b"one\n")
    # A reply to `wait` takes up to 20 s: its first request is enough.
    wait_until(lambda: len(daemon_connections(shared)) == idle + 2, 10, "both are connected")
    before = vm.accepted()
    vm.cut()
    followed.says("waiting for the daemon")
    wait_until(lambda: vm.accepted() >= before + 2, 20, "both have connected again")
    laptop("exec", job, "touch", "/tmp/go").ok()
    ended = followed.end()
    assert (ended.code, ended.out) == (0, b"one\ntwo\n")
    assert waited.end().code == 0


def test_a_followed_log_goes_on_after_the_users_connection_was_closed(
    laptop: Shell, vm: Sshd, master: Path
) -> None:
    job = runs(laptop, "sh", "-c", "echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two")
    followed = laptop.start("logs", "-f", job)
    followed.prints(b"one\n")
    vm.ssh("-O", "exit", "vm")
    followed.says("waiting for the daemon")
    laptop("exec", job, "touch", "/tmp/go").ok()
    ended = followed.end()
    assert (ended.code, ended.out) == (0, b"one\ntwo\n")
    assert master.exists()


def test_a_terminal_is_attached_again_after_the_connection_was_cut(laptop: Shell, vm: Sshd) -> None:
    terminal = laptop.open_terminal("run", "-it", BUSYBOX, "sh")
    terminal.shows("# ")
    terminal.type("stayed=6; echo re''ady\r")
    terminal.shows("ready")
    vm.cut()
    terminal.shows("attaching again")
    terminal.type("exit $stayed\r")
    code, shown = terminal.end()
    assert code == 6, shown


@pytest.mark.usefixtures("launch")
def test_an_attached_verb_ends_with_words_if_the_machine_is_gone(
    shared: DaemonProcess, make_laptop: MakeLaptop
) -> None:
    laptop, vm = make_laptop(shared)
    job = runs(laptop, "sleep", "60")
    execed = laptop.start("exec", job, "sh", "-c", "echo ready; sleep 60")
    execed.prints(b"ready\n")
    vm.stop()
    ended = execed.end()
    assert ended.code == 125
    lost = "the connection to ssh://vm was lost", "the daemon on ssh://vm went away"
    assert any(text in ended.err for text in lost), ended.err


def test_waiting_over_a_restart_of_the_daemon(
    daemon: DaemonProcess, make_laptop: MakeLaptop
) -> None:
    laptop, vm = make_laptop(daemon)
    job = runs(laptop, "sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done; exit 4")
    waited, followed = laptop.start("wait", job), laptop.start("logs", "-f", job)
    wait_until(lambda: len(daemon_connections(daemon)) == 2, 10, "both are connected")
    before = vm.accepted()
    daemon.stop()
    followed.says("waiting for the daemon")
    daemon.start()
    assert vm.accepted() == before
    laptop("exec", job, "touch", "/tmp/go").ok()
    assert waited.end().code == 4
    assert followed.end().code == 0


def test_an_ordinary_user_has_their_own_rights(laptop: Shell, launch: Shell) -> None:
    launch("hold", launch("run", "-d", BUSYBOX, "sleep", "60").ok().text.strip())
    laptop.environment["LAUNCHER_HOST"] = f"ssh://{NAME}@vm"
    job = laptop("run", "-d", BUSYBOX, "true").ok().text.strip()
    assert laptop("show", job, "-o", "json").json["user"] == NAME
    other = launch("ps", "-o", "name").ok().text.split()[0]
    refused = laptop("cancel", other)
    assert refused.code == 1, refused


def test_a_socket_of_others_is_named(laptop: Shell, vm: Sshd) -> None:
    path = vm.place / "closed.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        path.chmod(0o600)
        done = laptop("-H", f"ssh://{NAME}@vm{path}", "ps")
    assert done.code == 3
    assert f"{NAME} may not use the daemon's socket {path}" in done.err


def test_mounts_are_directories_of_the_other_machine(laptop: Shell, vm: Sshd) -> None:
    laptop.environment["LAUNCHER_HOST"] = f"ssh://{NAME}@vm"
    refused = laptop("run", "-v", "./data:/data", BUSYBOX, "true")
    assert refused.code == 2
    assert "mounts are directories of ssh://" in refused.err
    named = laptop("run", "-d", "--hold", "-v", "~/x:/x", BUSYBOX, "true")
    assert f"{vm.place / 'home'}/x cannot be mounted (rule mount-roots)" in named.err


def test_what_makes_no_sense_over_ssh_is_refused(laptop: Shell) -> None:
    done = laptop("host", "true")
    assert done.code == 2
    assert "with -d it runs there" in done.err
    for verb in ("serve", "restore", "install-service"):
        done = laptop("-H", "ssh://vm", verb)
        assert done.code == 2, done
        assert "works on this machine alone" in done.err
    assert laptop("-H", "ssh://nowhere.invalid", "help").code == 0


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://stranger@vm", "Permission denied"),
        ("ssh://vm:1", "Connection refused"),
        ("ssh://vm/nowhere.sock", "there is no /nowhere.sock"),
        ("ssh://user:word@vm", "an ssh address has no password"),
        ("ssh://", "is not a valid ssh address"),
        ("vm", "'vm' is not a valid address"),
    ],
)
def test_what_fails_says_why_and_what_to_do(laptop: Shell, address: str, words: str) -> None:
    done = laptop("-H", address, "run", BUSYBOX, "true")
    assert done.code in (2, 125), done
    assert words in done.err
    assert done.err.count("\n") == 2, done.err


def test_an_unknown_host_key_is_asked_about_on_the_terminal(
    laptop: Shell, vm: Sshd, tmp_path: Path
) -> None:
    vm.configure(f"  UserKnownHostsFile {tmp_path}/none\n  HostKeyAlias new\n")
    (vm.place / "config").write_text(
        (vm.place / "config")
        .read_text()
        .replace(
            f"  UserKnownHostsFile {vm.place}/known\n  UserKnownHostsFile", "  UserKnownHostsFile"
        )
    )
    try:
        terminal = laptop.open_terminal("ps")
        terminal.shows("Are you sure you want to continue connecting")
        terminal.type("no\r")
        code, shown = terminal.end()
        assert code == 3
        assert "Host key verification failed" in shown
    finally:
        vm.configure("")


@pytest.fixture
def secret_key(vm: Sshd) -> Iterator[None]:
    """A key with a passphrase, and no agent."""
    vm.set_passphrase("", "word")
    yield
    vm.set_passphrase("word", "")


@pytest.mark.usefixtures("secret_key")
def test_a_passphrase_is_asked_for_on_the_terminal(laptop: Shell) -> None:
    terminal = laptop.open_terminal("run", "-q", BUSYBOX, "echo", "hello")
    terminal.shows("Enter passphrase for key")
    terminal.type("word\r")
    code, shown = terminal.end()
    assert (code, "hello" in shown) == (0, True), shown


@pytest.mark.usefixtures("secret_key")
def test_ctrl_c_at_a_question_of_ssh_ends_the_verb(laptop: Shell) -> None:
    script = f"{LAUNCH} run {BUSYBOX} true; echo code $?; stty | grep -- -echo || echo echoes"
    terminal = Terminal(["sh", "-c", f"trap : INT; {script}"], laptop.environment)
    try:
        terminal.shows("Enter passphrase for key")
        terminal.type("\x03")
        terminal.shows("code 130")
        terminal.shows("echoes")
        terminal.end()
    finally:
        terminal.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_users_shell_there_may_be_any(laptop: Shell, vm: Sshd, shell: str) -> None:
    passwd = vm.place / "passwd"
    before = passwd.read_text()
    passwd.write_text(before.replace(":/bin/sh\n", f":/usr/bin/{shell}\n"))
    try:
        assert laptop("-H", f"ssh://{NAME}@vm", "ps").code == 0
    finally:
        passwd.write_text(before)


def test_a_socket_without_a_daemon_is_named(
    laptop: Shell, tmp_path: Path, make_stale_socket: Path
) -> None:
    done = laptop("-H", f"ssh://vm{make_stale_socket}", "ps")
    assert done.code == 3
    assert f"{make_stale_socket} is there, but no process answers on it" in done.err


@pytest.fixture
def make_stale_socket() -> Iterator[Path]:
    path = Path(f"/tmp/stale-{os.getpid()}.sock")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    yield path
    path.unlink()


def test_an_sshd_that_forwards_no_sockets_is_named(
    shared: DaemonProcess, make_laptop: MakeLaptop
) -> None:
    laptop, _ = make_laptop(shared, "AllowStreamLocalForwarding no")
    done = laptop("ps")
    assert done.code == 3
    assert "must have `AllowStreamLocalForwarding yes`" in done.err


def test_completion_never_asks(laptop: Shell) -> None:
    job = runs(laptop, "sleep", "60")
    laptop.environment |= {
        "_LAUNCH_COMPLETE": "bash_complete",
        "COMP_LINE": "launch cancel ",
        "COMP_WORDBREAKS": " ",
    }
    # A Tab waits a second at most, and a busy machine may not answer in time.
    wait_until(lambda: f"plain,{job}" in laptop().text.split(), timeout=60)
    laptop.environment["LAUNCHER_HOST"] = "ssh://stranger@vm"
    assert laptop().out.strip() == b""
    laptop.environment |= {"COMP_LINE": "launch -H ssh://vm cancel "}
    wait_until(lambda: f"plain,{job}" in laptop().text.split(), timeout=60)


def test_another_version_of_the_daemon_is_said(laptop: Shell, runtime: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="stub-") as name:
        stub = StubDaemon(Path(name) / "l.sock")
        stub.version = "9.9.9"
        done = laptop("-H", f"ssh://vm{stub.path}", "ps")
        stub.stop()
    assert "the daemon is version 9.9.9" in done.err


@pytest.fixture
def python(laptop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python on the laptop."""
    for name in ("LAUNCHER_HOST", "LAUNCHER_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PATH", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, laptop.environment[name])


@pytest.mark.usefixtures("python")
def test_the_python_client_closes_its_connection(vm: Sshd, runtime: Path) -> None:
    before = vm.accepted()
    with Client("ssh://vm") as client:
        assert client.run(BUSYBOX, "echo hello").result().exit_code == 0
        assert vm.accepted() - before == 1
        assert any(runtime.iterdir())
    assert not any(runtime.iterdir())
    assert client.status().state  # it connects again
    del client
    assert not any(runtime.iterdir())


@pytest.mark.usefixtures("python")
def test_the_asyncio_client_uses_one_connection(vm: Sshd, runtime: Path) -> None:
    before = vm.accepted()

    async def use() -> None:
        async with AsyncClient("ssh://vm") as client:
            await asyncio.gather(*(client.status() for _ in range(20)))

    asyncio.run(use())
    assert vm.accepted() - before == 1
    assert not any(runtime.iterdir())
