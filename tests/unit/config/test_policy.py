"""What an admin writes about jobs in launcher.toml, and what he cannot write."""

from __future__ import annotations

import pytest

from launcher.core.policy.settings import MountRoot, Policy, PolicyProfile
from launcher.errors import ConfigError
from tests.support.toml import toml

BASE = Policy(host_memory=1 << 40)


def policy(text: str) -> Policy:
    return toml(text).rules(BASE).policy


def test_without_a_word_the_policy_is_the_default_one() -> None:
    assert policy("") == BASE


def test_every_key_of_the_policy_is_taken() -> None:
    assert policy(
        """
        [policy]
        images = ["nvcr.io", "ghcr.io/lab/*", "docker.io/library/busybox", "localhost:5000/x"]
        latest = false
        mount_roots = ["/home/{user}", "/data/{user}:rw", "/datasets:ro"]
        groups = ["imaging"]
        memory = "64g"
        pids = 512
        nofile = 1024
        [profiles.trusted-net]
        groups = ["lab"]
        network = "host"
        images = ["*"]
        mount_roots = ["/scratch"]
        memory = "100g"
        pids = 9000
        nofile = 99999
        [profiles.plain]
        """
    ) == Policy(
        images=("nvcr.io/*", "ghcr.io/lab/*", "docker.io/library/busybox", "localhost:5000/x"),
        latest=False,
        mount_roots=(
            MountRoot("/home/{user}"),
            MountRoot("/data/{user}"),
            MountRoot("/datasets", read_only=True),
        ),
        groups=frozenset({"imaging"}),
        memory=64 << 30,
        pids=512,
        nofile=1024,
        profiles={
            "trusted-net": PolicyProfile(
                groups=frozenset({"lab"}),
                network="host",
                images=("*",),
                mount_roots=(MountRoot("/scratch"),),
                memory=100 << 30,
                pids=9000,
                nofile=99999,
            ),
            "plain": PolicyProfile(),
        },
        host_memory=1 << 40,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[policy]\ncolour = 1", "unknown key 'colour' in [policy]"),
        ("[policy]\nhost_memory = 1", "unknown key 'host_memory'"),
        ("[policy]\nunbound = [1000]", "unknown key 'unbound'"),
        ("policy = 1", "policy is 1: it must be a table"),
        ("profiles = 1", "profiles is 1: it must be a table"),
        ("[policy]\nimages = 'busybox'", "policy.images is 'busybox': it must be a list"),
        ("[policy]\nimages = ['a b']", "'a b' is not a valid repository"),
        ("[policy]\nimages = ['nvcr.io/**']", "is not a valid repository"),
        ("[policy]\nimages = ['nvcr.io/x:1']", "is not a valid repository"),
        ("[policy]\nlatest = 'no'", "it must be true or false"),
        ("[policy]\nmount_roots = ['home']", "'home' must be an absolute path"),
        ("[policy]\nmount_roots = ['/']", "'/' must be an absolute path"),
        ("[policy]\nmount_roots = ['/home/../etc']", "must be an absolute path"),
        ("[policy]\nmount_roots = ['/etc/x']", "'/etc/x' belongs to the system"),
        ("[policy]\nmount_roots = ['/run']", "'/run' belongs to the system"),
        ("[policy]\nmount_roots = ['/var/lib/docker']", "belongs to the system"),
        ("[policy]\nmount_roots = ['/root']", "belongs to the system"),
        ("[policy]\nmount_roots = ['/home/{name}']", "only {user} is replaced"),
        ("[policy]\nmount_roots = ['/home:rx']", "'rx' is not a valid mode"),
        ("[policy]\ngroups = ['docker']", "docker is as good as root"),
        ("[policy]\nmemory = '0g'", "it must be more than 0"),
        ("[policy]\nmemory = 'much'", "policy.memory is 'much'"),
        ("[policy]\npids = 0", "it must be more than 0"),
        ("[policy]\npids = true", "it must be a whole number"),
        ("[profiles.1x]", "profiles.1x: a name is a letter"),
        ("[profiles.a]\nnetwork = 'bridge'", "it must be 'host'"),
        ("[profiles.a]\nprivileged = true", "unknown key 'privileged' in [profiles.a]"),
        ("[profiles.a]\ncap_add = ['SYS_ADMIN']", "unknown key 'cap_add'"),
    ],
)
def test_what_is_no_policy_is_refused_naming_key_and_value(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        policy(text)
    assert words in str(refused.value)
    assert "launcher.toml" in str(refused.value)
