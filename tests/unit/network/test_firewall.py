"""The firewall's rules for the network of jobs, over an iptables that only keeps them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.network import INTERFACE, firewall
from launcher.network.firewall import CHAIN, DOCKERS, FirewallState, apply, look

JUMP = f"-A {DOCKERS} -i {INTERFACE} -j {CHAIN}"
ISOLATION = f"-A FORWARD -i {INTERFACE} -o {INTERFACE} -j DROP"
MANAGED = [f"-N {DOCKERS}", f"-A FORWARD -j {DOCKERS}", ISOLATION, f"-A {DOCKERS} -j RETURN"]


class Iptables:
    """Keeps rules as ``iptables -S`` prints them."""

    def __init__(self, rules: list[str], *, refuses: str | None = None) -> None:
        self.rules, self.refuses = list(rules), refuses
        self.changes: list[str] = []

    def __call__(self, command: tuple[str, ...], text: str) -> tuple[int, str]:
        line = " ".join(command[1:])
        if self.refuses is not None and self.refuses in " ".join(command):
            return 4, "Fatal: no permission\n"
        if command[0] == "iptables-restore":
            self.changes.append("restore")
            self.rules = [rule for rule in self.rules if CHAIN not in rule.split()[1]]
            self.rules += [f"-N {CHAIN}", *(r for r in text.split("\n") if r.startswith("-A"))]
        elif line == "-S":
            return 0, "\n".join(self.rules)
        elif line.startswith("-C "):
            return (0 if f"-A {line[3:]}" in self.rules else 1), ""
        elif line.startswith("-I "):
            self.changes.append(line)
            chain = f"-A {command[2]} "
            at = next(i for i, rule in enumerate(self.rules) if rule.startswith(chain))
            self.rules.insert(at, f"-A {line[3:]}")
        return 0, ""


@pytest.fixture(autouse=True)
def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel shows bridged packets to iptables, and the network's bridge is there."""
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: 7)
    monkeypatch.setattr(firewall, "LOCK", tmp_path / "lock")
    place = tmp_path / "bridge-nf-call-iptables"
    place.write_text("1\n")
    return place


def test_the_rules_are_made_once_in_front_of_what_an_admin_has_there(bridge: Path) -> None:
    iptables = Iptables(MANAGED)
    for _ in range(2):
        assert apply(iptables, bridge) == FirewallState(managed=True)
    assert iptables.rules.count(JUMP) == 1
    assert iptables.rules.index(JUMP) < iptables.rules.index(f"-A {DOCKERS} -j RETURN")
    in_chain = [rule for rule in iptables.rules if rule.startswith(f"-A {CHAIN}")]
    assert [rule.split("-j ")[1].split()[0] for rule in in_chain] == ["RETURN"] * 2 + ["REJECT"] * 3
    assert all("--dport 53" in rule for rule in in_chain[:2]), "name servers stay in reach"


def test_two_launchers_at_once_do_not_make_a_rule_twice(bridge: Path) -> None:
    """Each would find the rule missing before either has made it."""
    iptables = Iptables(MANAGED)
    both = threading.Barrier(2)

    def slow(command: tuple[str, ...], text: str) -> tuple[int, str]:
        result = iptables(command, text)
        if command[:3] == ("iptables", "-C", DOCKERS) and result[0]:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)
        return result

    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda _: apply(slow, bridge), range(2)))
    assert states == [FirewallState(managed=True)] * 2
    assert iptables.rules.count(JUMP) == 1


def test_without_a_lock_the_rules_are_made_all_the_same(
    bridge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, "LOCK", bridge / "no-directory")
    assert apply(Iptables(MANAGED), bridge) == FirewallState(managed=True)


def test_looking_changes_nothing_and_says_what_is_missing(bridge: Path) -> None:
    iptables = Iptables(MANAGED)
    assert "are missing" in (look(iptables, bridge).metadata or "")
    assert iptables.changes == []
    apply(iptables, bridge)
    (rule,) = [rule for rule in iptables.rules if "-d 169.254.0.0/16" in rule]
    iptables.rules.remove(rule)
    assert "are missing" in (look(iptables, bridge).metadata or "")


def test_where_all_is_well_a_look_is_one_call(bridge: Path) -> None:
    iptables = Iptables(MANAGED)
    apply(iptables, bridge)
    calls: list[tuple[str, ...]] = []

    def counted(command: tuple[str, ...], text: str) -> tuple[int, str]:
        calls.append(command)
        return iptables(command, text)

    assert apply(counted, bridge) == FirewallState(managed=True)
    assert calls == [("iptables", "-S")]


def test_without_dockers_chain_nothing_is_changed(bridge: Path) -> None:
    iptables = Iptables(["-P FORWARD ACCEPT"])
    state = apply(iptables, bridge)
    assert (state.managed, state.failed, iptables.changes) == (False, False, [])
    assert f"there is no chain {DOCKERS}" in (state.metadata or "")


def test_a_chain_that_nothing_leads_to_blocks_nothing(bridge: Path) -> None:
    iptables = Iptables([rule for rule in MANAGED if not rule.endswith(f"-j {DOCKERS}")])
    assert "FORWARD does not lead to" in (apply(iptables, bridge).metadata or "")


@pytest.mark.parametrize("refused", ["iptables-restore", "-I"])
def test_a_refused_rule_is_a_failure_with_iptables_own_words(refused: str, bridge: Path) -> None:
    state = apply(Iptables(MANAGED, refuses=refused), bridge)
    assert state.failed
    assert "Fatal: no permission" in (state.metadata or "")


def test_without_rights_nothing_is_known_of_the_rules(bridge: Path) -> None:
    state = apply(Iptables(MANAGED, refuses="-S"), bridge)
    assert (state.managed, state.metadata) == (False, "iptables failed: Fatal: no permission")


def test_containers_reach_each_other_where_the_kernel_hides_bridged_packets(bridge: Path) -> None:
    bridge.write_text("0\n")
    assert "is 0" in (apply(Iptables(MANAGED), bridge).isolation or "")
    bridge.unlink()
    assert "br_netfilter" in (apply(Iptables(MANAGED), bridge).isolation or "")


def test_containers_reach_each_other_without_dockers_rule_between_them(bridge: Path) -> None:
    iptables = Iptables([rule for rule in MANAGED if rule != ISOLATION])
    assert "no rule between containers" in (apply(iptables, bridge).isolation or "")


def test_a_network_that_is_still_to_be_made_is_no_trouble(
    bridge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> int:
        raise OSError

    monkeypatch.setattr(socket, "if_nametoindex", missing)
    iptables = Iptables([rule for rule in MANAGED if rule != ISOLATION])
    assert apply(iptables, bridge) == FirewallState(managed=True)


def test_a_tool_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(firewall, "FOLDERS", "/nowhere")
    assert look().metadata == "iptables is not installed"


@pytest.mark.parametrize(("held", "may"), [("0000000000001000", True), ("ffffffffffffefff", False)])
def test_only_with_the_right_to_it_a_process_changes_the_firewall(
    held: str, may: bool, tmp_path: Path
) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{held}\n")
    assert firewall.may_change(status) is may
    assert firewall.may_change(tmp_path / "none") is False


def test_another_network_namespaces_firewall_is_left_alone(tmp_path: Path) -> None:
    assert firewall.shares_network_with(os.getpid())
    for name, target in (("self", "one"), ("7", "two"), ("8", "one")):
        (tmp_path / name / "ns").mkdir(parents=True)
        (tmp_path / target).touch()
        (tmp_path / name / "ns/net").symlink_to(tmp_path / target)
    assert firewall.shares_network_with(8, tmp_path)
    assert not firewall.shares_network_with(7, tmp_path)
    assert not firewall.shares_network_with(9, tmp_path)
