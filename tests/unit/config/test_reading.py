"""What is said of a mistake in launcher.toml, a variable and a flag; and what a file may cost."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli.verbs.service.serve import command
from launcher.config.reading import MOST_BYTES, SEARCHED_BYTES, line_of
from launcher.config.settings import Config, LauncherToml, kinds, load
from launcher.errors import ConfigError
from tests.support.project import PROJECT
from tests.support.toml import toml

MANUAL = PROJECT / "launcher" / "manual" / "operating.md"


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        toml(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpu_slots = 0", "launcher.toml:1: cpu_slots is 0: it must be more than 0"),
        ("# a\n\n[limits]\nstreams=0", "launcher.toml:4: limits.streams is 0: "),
        ("limits.streams = 1\nlimits.x = 1", "launcher.toml:2: unknown key 'x' in [limits]"),
        ("limits = { streams = 1, x = 1 }", "launcher.toml:1: unknown key 'x' in [limits]"),
        ("[quota]\n[quota.users]\n[quota.users.a]\nx=1", "launcher.toml:4: unknown key 'x'"),
        ("[queue]\n'max_time_limit' = 4", "launcher.toml:2: queue.max_time_limit is 4: "),
        ('admin_group = """\ncpu_slots = 1\n"""\ncpu_slots = 0', "launcher.toml:4: cpu_slots"),
        ("[foreign]\nallow = [\n'a',\n# b\n'',\n]\n", "launcher.toml:2: foreign.allow is ['a', ''"),
        ("x = [\n1,\n]\ncpu_slots = 'a'", "launcher.toml:4: cpu_slots is 'a': "),
        ("\r\ncpu_slots = 0\r\n", "launcher.toml:2: cpu_slots is 0: "),
        ("[queue]\n[profiles.A]", "launcher.toml:2: profiles.A: a name is a letter"),
        ("[quota.users]\n'a.b' = 3", "launcher.toml:2: quota.users.a.b is 3: "),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, message: str) -> None:
    assert refused(text).message.startswith(message)


def test_a_line_that_is_not_certain_or_costs_too_much_is_not_told() -> None:
    many = f"[foreign]\nallow = [\n{'  1,' * 3}\n" + "'a',\n" * 500 + "]\n"
    assert refused(many).message.startswith("launcher.toml: foreign.allow is [1, 1, 1, 'a'")
    large = f"admin_group = '{'a' * SEARCHED_BYTES}'\ncpu_slots = 0"
    assert refused(large).message.startswith("launcher.toml: cpu_slots is 0: ")
    assert line_of("cpu_slots = 1", ("socket",)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inventory_seconds = 1e999", "inventory_seconds is inf: it must be a finite number"),
        ("inventory_seconds = nan", "inventory_seconds is nan: it must be a finite number"),
        ("inventory_seconds = 1e300", "is 1e+300: it must be less than 1,000,000,000,000"),
        ("sweep_seconds = true", "sweep_seconds is True: it must be a number"),
        ("kernel_exit_status = 1", "kernel_exit_status is 1: it must be true or false"),
        ("[policy]\nlatest = 0", "policy.latest is 0: it must be true or false"),
        ("[fair_share]\nshares = {a = true}", "fair_share.shares.a is True: it must be a number"),
        ("[quota]\nqueued_jobs = nan", "quota.queued_jobs is nan: it must be a whole number"),
        (f"cpu_slots = {10**30}", "it must be less than 9,223,372,036,854,775,808"),
        (f"cpu_slots = 0x{'f' * 5000}", "cpu_slots is too large to show: it must be less than"),
        (f"cpu_slots = {'1' * 5000}", "launcher.toml: Exceeds the limit"),
        (f"cpu_slots = {'[' * 5000}{']' * 5000}", "launcher.toml: its values are nested too deep"),
        (f"{'cpu_slots.' * 5000}a = 1", "cpu_slots is a table: it must be a whole number"),
        (f"admin_group = ['{'a' * 10**5}']", "…: it must be text"),
        ("admin_group = 1979-05-27", "is datetime.date(1979, 5, 27): it must be text"),
        ("socket = ''", "socket is '': it must be a path"),
        ('lock_dir = "\\u0000"', r"lock_dir is '\x00': it must be a path"),
        ("[[queue]]\nmax_time_limit = '1h'", "it must be a table ([queue])"),
        ("\n".join(f"key{n} = 1" for n in range(10_000)), "unknown key 'key0'"),
        (
            "[quota]\n" + "\n".join(f"k{n} = 1" for n in range(10_000)),
            "unknown key 'k0' in [quota]",
        ),
    ],
)
def test_whatever_stands_there_is_answered_in_a_short_sentence(text: str, message: str) -> None:
    error = refused(text)
    assert message in error.message
    assert len(error.message) < 500


def test_as_many_users_as_a_file_can_name_are_read() -> None:
    text = "\n".join(f"[quota.users.u{n}]\nqueued_jobs = {n}" for n in range(10_000))
    assert toml(text).quota.users["u9999"].queued_jobs == 9999


def test_a_huge_file_and_one_without_end_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "launcher.toml"
    file.write_text("#" * (MOST_BYTES + 1))
    for place in (file, Path("/dev/zero")):
        with pytest.raises(ConfigError, match=f"cannot read {place}: it is larger than 1 MiB"):
            load({"config": str(place)}, {})
    file.write_text("#" * MOST_BYTES)
    load({"config": str(file)}, {})


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("[foreign]\nx = 1", "allow"),
        ("[quota.users.a]\nx = 1", "running_slices, running_gib"),
        ("[quota]\nx = 1", "cache_bytes, [quota.users], [quota.groups]"),
        ("[profiles.a]\nx = 1", "groups, network"),
        ("[fair_share]\nx = 1", "half_life, entry_charge, cpu_slot_gib, shares"),
        ("x = 1", "[foreign], [limits], [history], [users], [web], [notify], [queue]"),
    ],
)
def test_an_unknown_key_comes_with_the_keys_of_its_table(text: str, known: str) -> None:
    assert known in (refused(text).fix or "")


def test_what_is_known_of_a_key_follows_from_its_field() -> None:
    fields = {each.name for each in dataclasses.fields(LauncherToml)}
    known = (refused("x = 1").fix or "").removeprefix("Known: ").split(", ")
    assert {name.strip("[]") for name in known} == fields
    flags = {each.name for each in command.params} - {"config", "rebuild", "help"}
    assert flags == {name for name, (_, also) in kinds().items() if also.flag}
    page = MANUAL.read_text()
    assert all(re.search(rf"(?m)^(# )?(\[{name}|{name} =)", page) for name in fields)


def test_the_manual_shows_the_defaults() -> None:
    block = re.search(r"```toml\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert block is not None
    assert toml(block[1]) == toml("")
    assert toml(re.sub(r"(?m)^# (?=\[|\w+ = )", "", block[1])).profiles.keys() == {"name"}


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [("idle_exit", "2.5", 2.5), ("idle_exit", 3, 3.0), ("log_level", "debug", "debug")],
)
def test_a_flag_is_read_as_its_key_is(name: str, word: object, value: object) -> None:
    assert getattr(load({name: word}, {"LAUNCHER_CONFIG": "/dev/null"}), name) == value


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("idle_exit", "soon", "--idle-exit is 'soon': it must be a number"),
        ("idle_exit", "-1", "--idle-exit is '-1': it must be 0 or more"),
        ("idle_exit", "inf", "--idle-exit is 'inf': it must be a finite number"),
        ("log_level", "loud", "--log-level is 'loud': it must be 'debug', 'info', "),
        ("state_dir", "", "--state-dir is '': it must be a path"),
    ],
)
def test_a_wrong_flag_is_told_by_its_name(name: str, word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load({name: word}, {"LAUNCHER_CONFIG": "/dev/null"})


def test_a_wrong_variable_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError, match=re.escape("LAUNCHER_SOCKET is 'a\\x00': it must be a p")):
        load({}, {"LAUNCHER_CONFIG": "/dev/null", "LAUNCHER_SOCKET": "a\0"})


def test_pydantic_is_loaded_for_a_file_and_not_for_the_dataclasses() -> None:
    code = "import sys, launcher.config.settings as s; s.kinds(); print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert Config.__dataclass_params__.frozen  # type: ignore[attr-defined]
