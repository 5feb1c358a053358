"""The keys of a Compose file: what a job takes, what has no meaning for it, what it cannot have.

Every key of the Compose specification is in one of these tables.
"""

from __future__ import annotations

from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar

SAME = (
    "image", "command", "entrypoint", "env_file", "working_dir", "hostname", "user", "shm_size",
    "mem_limit", "cpus", "stop_grace_period", "environment", "gpus", "pull_policy",
    "ulimits",
)  # fmt: skip
"""Keys of a service that a job has under the same name."""

ELSEWHERE = ("build", "extends", "profiles")
"""Keys of a service that decide on other keys, or on whether it becomes a job."""

IGNORED = frozenset(
    {
        "annotations", "attach", "blkio_config", "cap_drop", "container_name", "cpu_count",
        "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares",
        "cpuset", "develop", "domainname", "expose", "healthcheck", "init", "label_file", "labels",
        "logging", "mac_address", "mem_reservation", "mem_swappiness", "memswap_limit", "networks",
        "oom_kill_disable", "oom_score_adj", "pids_limit", "ports", "pull_refresh_after",
        "read_only", "restart", "stdin_open", "tty",
    }
)  # fmt: skip
"""Keys of a service that change nothing of what a job does; they are named once."""

_ALONE = "jobs do not reach each other by name"
_NAMESPACES = "a job has namespaces of its own: leave it out"
REFUSED: dict[str, tuple[str, frozenset[str]]] = {
    "cap_add": ("jobs run without extra capabilities", frozenset()),
    "cgroup": ("a job has a cgroup of its own: leave it out", frozenset({"private"})),
    "cgroup_parent": ("the launcher places each job in a cgroup: leave it out", frozenset()),
    "configs": ("mount the file with `volumes`: ./FILE:/TARGET:ro", frozenset()),
    "credential_spec": ("it is for Windows", frozenset()),
    "device_cgroup_rules": ("ask for GPUs with `gpus`; a job has no other devices", frozenset()),
    "devices": ("ask for GPUs with `gpus`; a job has no other devices", frozenset()),
    "dns": ("a job has the engine's name servers: leave it out", frozenset()),
    "dns_opt": ("a job has the engine's name servers: leave it out", frozenset()),
    "dns_search": ("a job has the engine's name servers: leave it out", frozenset()),
    "external_links": (_ALONE, frozenset()),
    "extra_hosts": ("a job's /etc/hosts is the engine's: use the address itself", frozenset()),
    "group_add": ("a job has the groups of its user: leave it out", frozenset()),
    "isolation": ("it is for Windows", frozenset({"default"})),
    "links": (_ALONE, frozenset()),
    "models": ("a job has no models of Docker's: mount or download the weights", frozenset()),
    "pid": (_NAMESPACES, frozenset()),
    "post_start": ("a job has no hooks: put it into the command", frozenset()),
    "pre_stop": ("a job has no hooks: put it into the command", frozenset()),
    "privileged": ("a job that saw every GPU would break everybody's isolation", frozenset()),
    "provider": ("a job is a container: name its `image`", frozenset()),
    "scale": ("a job runs once: write `array` under `x-launcher` for more", frozenset({"1"})),
    "security_opt": (
        "the launcher sets the security options",
        frozenset({"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}),
    ),
    "stop_signal": (
        "a job gets the stop signal of its image: set STOPSIGNAL there",
        frozenset({"SIGTERM", "TERM", "15"}),
    ),
    "storage_opt": ("the launcher limits what a job may write: leave it out", frozenset()),
    "sysctls": ("a job has the machine's kernel settings: leave it out", frozenset()),
    "use_api_socket": ("a job cannot reach Docker", frozenset()),
    "userns_mode": (_NAMESPACES, frozenset()),
    "uts": (_NAMESPACES, frozenset()),
    "volumes_from": ("name the directories of this machine under `volumes`", frozenset()),
}
"""Keys of a service that a job cannot have: the reason, and the values that change nothing."""

TOP = ("services", "secrets", "name", "version", "networks", "volumes", "configs", "include",
       "models")  # fmt: skip
"""The top-level keys of a Compose file."""


def says_nothing(node: Node, harmless: frozenset[str] = frozenset()) -> bool:
    """Whether a value asks for nothing: empty, false, or one of ``harmless`` (all of a list)."""
    if isinstance(node, Items):
        return all(says_nothing(item, harmless) for item in node.items)
    if isinstance(node, Mapping):
        return not node.entries
    if not isinstance(node, Scalar):
        return False
    return node.value is None or node.value is False or node.text in {"", *harmless}
