"""The default policy, rule by rule: what must pass, what must be refused, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from launcher.core.policy.policy import RULES, Person, PolicyInput, check
from launcher.core.policy.settings import MountRoot, Policy, PolicyProfile
from launcher.errors import NotAllowed
from launcher.spec.job_spec import JobSpec, Mount, Ulimit
from tests.support.builders import ALICE, ROOT, profile

GIB = 1 << 30
SHARE = 6 * GIB
POLICY = Policy(
    mount_roots=(MountRoot("/home/{user}"), MountRoot("/datasets", read_only=True)),
    profiles={
        "net": PolicyProfile(groups=frozenset({"lab"}), network="host", images=("quay.io/lab/*",)),
        "large": PolicyProfile(groups=frozenset({"big"}), memory=100 * GIB),
    },
)
USER = Person(ALICE, frozenset({"alice", "lab"}))


def asked(person: Person = USER, policy: Policy = POLICY, **spec: Any) -> PolicyInput:
    """Return what the policy judges; without more it is a job that may be."""
    made = JobSpec("train", spec.pop("image", "busybox:1"), spec.pop("gpus", profile()), **spec)
    return PolicyInput(made, person, policy, SHARE)


def bind(source: str, target: str = "/work", *, read_only: bool = False) -> dict[str, Any]:
    return {"volumes": (Mount(source, target, read_only),)}


@dataclass(frozen=True)
class Corpus:
    """Specs of one rule."""

    passes: list[dict[str, Any]]
    refused: list[dict[str, Any]]


MANY = tuple(Mount(f"/home/alice/{n}", f"/m{n}", False) for n in range(9))
CORPUS = {
    "image-reference": Corpus(
        [{"image": "busybox"}, {"image": "busybox@sha256:" + "a" * 64}, {"image": "cafe"}],
        [{"image": "sha256:" + "a" * 64}, {"image": "a" * 64}, {"image": "sha256:abc123"}],
    ),
    "image-allowed": Corpus(
        [
            {"image": "busybox"},
            {"image": "docker.io/library/busybox:1"},
            {"image": "index.docker.io/nvidia/cuda:12"},
            {"image": "nvcr.io/nvidia/pytorch:25.01-py3"},
            {"image": "nvcr.io/nvidia/a/b@sha256:" + "0" * 64},
            {"image": "quay.io/lab/tool:1", "policy_profile": "net"},
        ],
        [
            {"image": "evil/busybox"},
            {"image": "nvcr.io/other/x:1"},
            {"image": "nvcr.io/nvidia"},
            {"image": "nvcr.io/nvidiax/y"},
            {"image": "nvcr.io:443/nvidia/y"},
            {"image": "localhost:5000/library/busybox"},
            {"image": "docker.io.evil.org/library/busybox"},
            {"image": "quay.io/lab/tool:1"},
        ],
    ),
    "image-latest": Corpus(
        [{"image": "busybox:1"}, {"image": "busybox@sha256:" + "0" * 64}],
        [{"image": "busybox"}, {"image": "busybox:latest"}],
    ),
    "own-user": Corpus(
        [{}, {"user": "1000"}, {"user": "1000:1000"}, {"user": "alice"}],
        [{"user": u} for u in ("0", "root", "1000:0", "0:1000", "bob", "1001", ":0", "")],
    ),
    "environment-names": Corpus(
        [
            {"environment": {n: "1"}}
            for n in ("A", "ld_lr", "NV", "CUDA_HOME", "MYLD_PATH", "XDG_CONFIG_HOME")
        ],
        [
            {"environment": {"OK": "1", n: "all"}}
            for n in (
                "NVIDIA_VISIBLE_DEVICES",
                "NVIDIA_DRIVER_CAPABILITIES",
                "NVIDIA_MIG_CONFIG_DEVICES",
                "NVIDIA_IMEX_CHANNELS",
                "DOCKER_RESOURCE_GPU",
                "CUDA_VISIBLE_DEVICES",
                "LD_PRELOAD",
                "LD_LIBRARY_PATH",
                "LD_AUDIT",
                "GLIBC_TUNABLES",
                "GCONV_PATH",
                "LAUNCHER_SLICES",
            )
        ],
    ),
    "environment-size": Corpus(
        [{"environment": {"A": "x" * 65000}}],
        [{"environment": {"A": "x" * 65536}}, {"environment": {"A": "é" * 40000}}],
    ),
    "mount-roots": Corpus(
        [
            bind("/home/alice"),
            bind("/home/alice/x/y"),
            bind("/datasets/imagenet", read_only=True),
        ],
        [
            bind("/"),
            bind("/etc"),
            bind("/home"),
            bind("/home/bob"),
            bind("/home/alicex"),
            bind("/home/alice/../bob"),
            bind("/home/alice//x"),
            bind("/datasets/imagenet"),
            bind("/var/run/docker.sock"),
            bind("/proc/1/root/home/alice"),
            bind("/dev/null", "/var/run/nvidia-container-devices/all"),
        ],
    ),
    "mount-count": Corpus([{"volumes": MANY[:8]}], [{"volumes": MANY}]),
    "mount-targets": Corpus(
        [bind("/home/alice", target) for target in ("/work", "/opt/x", "/home/alice", "/runs")],
        [
            *(
                bind("/home/alice", target)
                for target in (
                    "/",
                    "//",
                    "/work/..",
                    "/proc",
                    "/sys/fs/cgroup",
                    "/dev/shm",
                    "/run/x",
                    "/var/run/nvidia-container-devices/all",
                    "/etc/ld.so.preload",
                    "/usr/bin",
                    "/lib64",
                    "/work/../etc",
                    "//etc",
                    "/etc/ld.so.preload\n",
                    "/usr/a\nb/c",
                )
            ),
            {
                "volumes": (
                    Mount("/home/alice/a", "/w", False),
                    Mount("/home/alice/b", "/w/in", False),
                )
            },
            {
                "volumes": (
                    Mount("/home/alice/a", "/w/in", False),
                    Mount("/home/alice/b", "/w", False),
                )
            },
        ],
    ),
    "working-dir": Corpus(
        [{}, *({"working_dir": d} for d in ("/work", "/", "/process", "/work/proc", "/srv/dev"))],
        [
            {"working_dir": directory}
            for directory in (
                "/proc",
                "/proc/self/fd/8",
                "//proc/self/fd/8",
                "proc/self/fd/8",
                "/work/../proc/1/root",
                "/sys/fs/cgroup",
                "/dev/fd/8",
                "/./dev",
                "/proc/self/fd/8\n",
                "/proc/self/fd/../fd/8\n/x",
                "/sys/\n",
            )
        ],
    ),
    "memory": Corpus(
        [{}, {"mem_limit": SHARE}, {"mem_limit": GIB}],
        [{"mem_limit": SHARE + 1}, {"mem_limit": 2**62}],
    ),
    "shm-size": Corpus(
        [
            {"shm_size": SHARE // 2},
            {"shm_size": GIB, "mem_limit": 2 * GIB},
            {"mem_limit": 100 << 20},
        ],
        [{"shm_size": SHARE // 2 + 1}, {"shm_size": 2 * GIB, "mem_limit": 2 * GIB}],
    ),
    "ulimits": Corpus(
        [
            {},
            {"ulimits": {"memlock": Ulimit(-1, -1), "stack": Ulimit(67108864, 67108864)}},
            {"ulimits": {"nofile": Ulimit(1024, 16384), "nproc": Ulimit(10, 4096)}},
        ],
        [
            {"ulimits": {"nofile": Ulimit(1024, 16385)}},
            {"ulimits": {"nproc": Ulimit(-1, -1)}},
            {"ulimits": {"nofile": Ulimit(10, -1)}},
        ],
    ),
    "gpu-capabilities": Corpus(
        [{}, {"gpus": profile(capabilities=("video", "graphics"))}],
        [
            {"gpus": profile(capabilities=("display",))},
            {"gpus": profile(capabilities=("video", "compat32"))},
        ],
    ),
    "network": Corpus(
        [
            {},
            {"network_mode": "none"},
            {"network_mode": "default"},
            {"network_mode": "host", "policy_profile": "net"},
        ],
        [{"network_mode": n} for n in ("host", "bridge", "container:x", "ns:/proc/1/ns/net", "")],
    ),
    "profile": Corpus(
        [{}, {"policy_profile": "net"}],
        [{"policy_profile": n} for n in ("large", "no-such", "", "1g.6gb")],
    ),
    "priority": Corpus([{"priority": 50}, {"priority": 0}], [{"priority": 51}]),
}
STRICT = replace(POLICY, latest=False)


def policy_of(rule: str) -> Policy:
    return STRICT if rule == "image-latest" else POLICY


def test_every_rule_has_what_must_pass_and_what_must_be_refused(tell: Any) -> None:
    assert set(CORPUS) == {rule.id for rule in RULES}
    assert all(corpus.passes and corpus.refused for corpus in CORPUS.values())
    fixtures = sum(len(c.passes) + len(c.refused) for c in CORPUS.values())
    tell(f"policy: {len(RULES)} rules, {fixtures} fixtures")


@pytest.mark.parametrize("rule", CORPUS)
def test_what_a_rule_lets_pass_is_not_refused(rule: str) -> None:
    for spec in CORPUS[rule].passes:
        check(asked(policy=policy_of(rule), **spec))


@pytest.mark.parametrize("rule", CORPUS)
def test_what_a_rule_forbids_is_refused_by_that_rule_saying_field_and_what_is_allowed(
    rule: str,
) -> None:
    row = next(each for each in RULES if each.id == rule)
    for spec in CORPUS[rule].refused:
        broken = list(row.broken_by(asked(policy=policy_of(rule), **spec)))
        assert broken, f"{rule} lets {spec} pass"
        with pytest.raises(NotAllowed) as refused:
            check(asked(policy=policy_of(rule), **spec))
        assert "(rule " in refused.value.message, spec
        assert refused.value.fix is not None
        assert refused.value.fix.startswith("Allowed: "), spec


def test_a_refusal_names_field_value_rule_and_what_would_be_allowed() -> None:
    with pytest.raises(NotAllowed) as refused:
        check(asked(image="evil/x:1"))
    assert refused.value.message == "image: docker.io/evil/x is not allowed (rule image-allowed)"
    assert refused.value.fix == (f"Allowed: {', '.join(POLICY.images)}, localhost/*.")


@pytest.mark.parametrize("owner", [ROOT, ALICE])
def test_who_has_docker_anyway_is_kept_only_from_mistakes(owner: Any) -> None:
    policy = replace(POLICY, unbound=frozenset({0, ALICE.uid}))
    person = Person(owner, admin=True)
    free = {"image": "sha256:" + "a" * 64, "priority": 900, "mem_limit": 2**40, **bind("/")}
    check(asked(person, policy, **free))
    for rule in ("environment-names", "environment-size"):
        for spec in CORPUS[rule].refused:
            with pytest.raises(NotAllowed, match=rule):
                check(asked(person, policy, **spec))


def test_an_admin_who_is_not_root_may_run_any_image_but_mount_and_be_no_more_than_others() -> None:
    admin = Person(ALICE, admin=True)
    check(asked(admin, image="evil/x:1", priority=900))
    check(asked(admin, network_mode="host", policy_profile="net"))
    for spec in (bind("/etc"), {"user": "0"}, {"network_mode": "host"}):
        with pytest.raises(NotAllowed):
            check(asked(admin, **spec))


def test_a_trusted_user_may_name_every_profile_and_others_only_their_groups() -> None:
    trusted = Person(ALICE, trusted=True)
    check(asked(trusted, policy_profile="large", mem_limit=100 * GIB))
    with pytest.raises(NotAllowed, match="memory"):
        check(asked(trusted, policy_profile="large", mem_limit=101 * GIB))
    stranger = Person(ALICE, frozenset({"alice"}))
    with pytest.raises(NotAllowed, match="rule profile") as refused:
        check(asked(stranger, policy_profile="net"))
    assert refused.value.fix == "Allowed: none."


def test_a_profile_that_one_may_not_use_opens_nothing() -> None:
    stranger = Person(ALICE)
    one = asked(stranger, policy_profile="net", network_mode="host", image="quay.io/lab/tool")
    assert one.images == (*POLICY.images, "localhost/*")
    assert one.profile == PolicyProfile()
