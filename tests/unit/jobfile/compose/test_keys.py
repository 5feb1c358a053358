"""Keys of a service: what a job takes, what is ignored, what it cannot have."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from launcher.jobfile.compose import keys
from launcher.jobfile.compose.changed import CHANGED
from launcher.spec.job_spec import Mount
from tests.unit.jobfile.compose.files import Reading, service

SPECIFICATION = """
annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs
container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares
cpus cpuset credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt
dns_search domainname entrypoint env_file environment expose extends external_links extra_hosts
gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging
mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks
oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged
profiles provider pull_policy pull_refresh_after read_only restart runtime scale secrets
security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty
ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir
"""
"""Every key of a service in the Compose specification."""


def test_every_key_of_the_specification_is_in_one_table() -> None:
    tables = [*keys.SAME, *CHANGED, *keys.IGNORED, *keys.REFUSED, *keys.ELSEWHERE]
    assert sorted(tables) == sorted(SPECIFICATION.split())


@pytest.mark.parametrize("key", sorted(keys.REFUSED))
def test_what_a_job_cannot_have_is_refused_with_the_reason_at_the_key(key: str) -> None:
    (said,) = service(f"{key}: [something]").said
    assert said == f"4:5: a job cannot have `{key}`: {keys.REFUSED[key][0]}"


@pytest.mark.parametrize("key", sorted(keys.REFUSED))
@pytest.mark.parametrize("nothing", ["", "false", "[]", "{}", "''"])
def test_a_key_that_asks_for_nothing_is_not_refused(key: str, nothing: str) -> None:
    assert service(f"{key}: {nothing}").job.image == "x"


@pytest.mark.parametrize(
    "line",
    ["ipc: private", "stop_signal: SIGTERM", "security_opt: [no-new-privileges:true]", "scale: 1",
     "cgroup: private", "platform: linux"],
)  # fmt: skip
def test_what_a_job_has_anyway_passes(line: str) -> None:
    reading = service(line)
    assert reading.job.image == "x"
    assert not reading.notices


def test_all_reasons_are_told_in_one_answer() -> None:
    reading = service(
        "privileged: true\ncap_add: [SYS_ADMIN]\nnetwork_mode: host\ndevices: [/dev/kvm]\n"
        "pid: host\nipc: 'service:x'\nvolumes: [a:/a, b:/b]\nenvironment: {LD_PRELOAD: x, 1A: y}\n"
        "mem_limit: lots\ndeploy: {replicas: 3}\nimag: y"
    )
    assert [each.split(": ")[0] for each in reading.said] == [
        "4:5", "5:5", "6:5", "7:5", "8:5", "9:5", "10:15", "10:21", "11:19", "11:34", "12:16",
        "13:14", "14:5",
    ]  # fmt: skip


def test_what_has_no_meaning_is_named_once_for_all_services() -> None:
    lines = "container_name: c, restart: always, ports: ['1:1'], labels: {a: b}, tty: true"
    reading = Reading(f"services:\n  a: {{image: x, {lines}}}\n  b: {{image: y, {lines}}}\n")
    assert reading.ignored == ["container_name", "restart", "ports", "labels", "tty"]
    assert len(reading.notices) == 1
    for key in keys.IGNORED:
        assert service(f"{key}: something").ignored == [key]
        assert service(f"{key}:").notices == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("contaner_name: x", "did you mean `container_name`?"),
        ("gpu: all", "did you mean `gpus`?"),
        ("schedule: {}", "`schedule` is not a key of a service"),
    ],
)
def test_a_key_that_is_not_known_is_told_with_the_nearest(line: str, said: str) -> None:
    assert said in "\n".join(service(line).said)


@pytest.mark.parametrize(
    ("line", "gpus"),
    [
        ("gpus: all", "every whole GPU"),
        ("gpus: [{driver: nvidia, count: 2}]", "2 x a whole GPU"),
        ("gpus: [{capabilities: [gpu]}]", "every whole GPU"),
        ("gpus: 1g.6gb", "1 x 1g.6gb"),
        ("[{driver: nvidia, count: all, capabilities: [gpu]}]", "every whole GPU"),
        ("[{driver: nvidia, count: -1, capabilities: [gpu]}]", "every whole GPU"),
        ("[{driver: nvidia, count: 1, capabilities: [gpu, utility]}]", "1 x a whole GPU"),
        ("[{capabilities: [gpu]}]", "every whole GPU"),
        ("[{driver: nvidia, count: 2, capabilities: [gpu], options: {profile: 1g.6gb}}]",
         "2 x 1g.6gb"),
        ("[{device_ids: [GPU-11111111-2222-3333-4444-555555555555], capabilities: [gpu]}]",
         "GPU-11111111-2222-3333-4444-555555555555"),
        ("[]", "a CPU slot"),
    ],
)  # fmt: skip
def test_gpus_are_read_in_each_form(line: str, gpus: str) -> None:
    if line.startswith("["):
        line = f"deploy: {{resources: {{reservations: {{devices: {line}}}}}}}"
    assert str(service(line).job.gpus) == gpus


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ("[{driver: nvidia, device_ids: ['0'], capabilities: [gpu]}]", "'0' is not the UUID"),
        ("[{driver: amd, capabilities: [gpu]}]", "the driver 'amd' is not known"),
        ("[{driver: nvidia, count: 0}]", "`count`: "),
        ("[{driver: nvidia}, {driver: nvidia}]", "takes one mapping"),
        ("{}", "`devices` must be a list"),
    ],
)
def test_devices_that_a_job_cannot_have_are_told(devices: str, said: str) -> None:
    reading = service(f"deploy: {{resources: {{reservations: {{devices: {devices}}}}}}}")
    assert said in "\n".join(reading.said)


def test_limits_of_deploy_are_those_of_the_job_and_the_rest_is_ignored() -> None:
    reading = service(
        "deploy:\n  mode: replicated\n  replicas: 1\n  labels: {}\n"
        "  restart_policy: {condition: any}\n  placement: {}\n  resources:\n"
        "    limits: {memory: 8g, cpus: '0.50', pids: 100}\n"
        "    reservations: {memory: 4g, cpus: '0.25'}"
    )
    assert (reading.job.mem_limit, reading.job.cpus) == (8 << 30, 0.5)
    assert "deploy.restart_policy" in reading.ignored
    assert "deploy.resources.reservations.memory" in reading.ignored


def test_a_limit_that_is_said_twice_must_be_the_same() -> None:
    deploy = "deploy: {resources: {limits: {memory: 8g}}}"
    assert service(f"mem_limit: 8g\n{deploy}").job.mem_limit == 8 << 30
    assert service(f"mem_limit: 4g\n{deploy}").said == [
        "5:35: `mem_limit` is said twice, also in line 4: leave one of them out"
    ]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("deploy", "{replicas: 2}", "a job cannot have `deploy.replicas`: a job runs once"),
        ("deploy", "{resource: {}}", "did you mean `resources`?"),
        ("deploy", "{resources: {limit: {}}}", "did you mean `limits`?"),
        ("deploy", "{resources: {limits: {mem: 1g}}}", "is not a key of `limits`"),
        ("deploy", "{resources: {reservations: {device: []}}}", "did you mean `devices`?"),
        ("deploy", "{resources: {reservations: {generic_resources: []}}}", "ask for GPUs"),
        ("network_mode", "host", "`network_mode: host`: a job has a network of its own"),
        ("network_mode", "service:db", "jobs share no network"),
        ("platform", "linux/riscv64", "this machine is linux/"),
        ("platform", "windows/amd64", "this machine is linux/"),
        ("runtime", "kata", "the launcher chooses the runtime"),
        ("runtime", "nvidia", "it does not say which GPUs: add `gpus: all`"),
        ("tmpfs", "/data", "it has /tmp and /dev/shm to write to, and its mounts, not '/data'"),
        ("volumes", "[{type: tmpfs, target: /data}]", "a volume of the type tmpfs"),
        ("volumes", "[{type: volume, source: v, target: /v}]", "no volumes of Docker's"),
        ("volumes", "[{type: npipe, source: v, target: /v}]", "type 'npipe' is not known"),
        ("volumes", "[/anonymous]", "names no directory of this machine"),
        ("volumes", "[{type: bind, source: /a, target: /b, bind: {propagation: shared}}]",
         "a job's mounts are private"),
        ("secrets", "[nope]", "the secret 'nope' is not under the file's `secrets`"),
        ("stop_signal", "SIGINT", "set STOPSIGNAL there"),
        ("command", "'\"'", "No closing quotation"),
    ],
)  # fmt: skip
def test_a_value_that_a_job_cannot_have_is_told(key: str, value: str, said: str) -> None:
    reading = service(f"{key}: {value}")
    assert said in "\n".join(reading.said)
    assert all(each.startswith("4:") for each in reading.said)


def test_the_platform_of_this_machine_passes() -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    for written in (f"linux/{machine}", machine, f"linux/{machine}/v8"):
        assert service(f"platform: {written}").job.image == "x"


def test_volumes_are_read_in_each_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    reading = service(
        "volumes:\n- ./a:/a:ro,z\n- ~/b:/b:Z\n- /c:/c:cached\n"
        "- {type: bind, source: ./d, target: /d, read_only: true, bind: {create_host_path: true}}\n"
        "- {type: tmpfs, target: /tmp, tmpfs: {size: 1g}}"
    )
    assert reading.job.volumes == (
        Mount("/base/a", "/a", read_only=True),
        Mount("/home/me/b", "/b"),
        Mount("/c", "/c"),
        Mount("/base/d", "/d", read_only=True),
    )
    assert reading.ignored == ["tmpfs"]


@pytest.mark.parametrize("tmpfs", ["/tmp", "[/dev/shm, /tmp:size=64m]", "/dev/shm/"])
def test_memory_where_a_job_can_write_anyway_is_ignored(tmpfs: str) -> None:
    assert service(f"tmpfs: {tmpfs}").ignored == ["tmpfs"]


def test_commands_are_split_as_a_shell_would() -> None:
    reading = service("entrypoint: /bin/sh -c\ncommand: 'echo \"a b\" $$HOME'")
    assert reading.job.entrypoint == ("/bin/sh", "-c")
    assert reading.job.command == ("echo", "a b", "$HOME")
    nothing = service("entrypoint: null\ncommand:\nuser:")
    assert (nothing.job.entrypoint, nothing.job.command) == (None, None)
    assert service("command: [a, 1, true]").job.command == ("a", "1", "true")


def test_variables_of_the_launcher_are_ignored_where_a_job_has_gpus() -> None:
    for written in ("{NVIDIA_VISIBLE_DEVICES: all, A: 1}", "[NVIDIA_VISIBLE_DEVICES=0, A=1]"):
        reading = service(f"gpus: all\nruntime: nvidia\nenvironment: {written}")
        assert reading.job.environment == {"A": "1"}
        assert reading.ignored == ["runtime", "NVIDIA_VISIBLE_DEVICES"]
        assert "cannot be set by a job" in service(f"environment: {written}").said[0]


def test_secrets_have_the_names_that_the_service_gives_them(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("content")
    text = (
        "services:\n  a:\n    image: x\n    secrets: [t, {source: t, target: u, mode: 0400}]\n"
        "secrets: {t: {file: ./t}, e: {environment: E}, f: {external: true}}\n"
    )
    assert set(Reading(text, base=tmp_path).job.secrets) == {"t", "u"}
    for name in ("e", "f"):
        (said,) = Reading(text.replace("[t,", f"[{name},"), base=tmp_path).said
        assert "a secret has a `file` here" in said


def test_env_files_may_be_optional_and_raw(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A='1'\nB=$A\n")
    files = "[{path: a.env, format: raw}, {path: none.env, required: false}]"
    assert service(f"env_file: {files}", base=tmp_path).job.environment == {"A": "'1'", "B": "$A"}
    assert service("env_file: a.env", base=tmp_path).job.environment == {"A": "1", "B": "1"}
    for wrong, said in (
        ("[{path: none.env}]", "cannot read the env file"),
        ("[{required: false}]", "needs a `path`"),
        ("[{path: a.env, format: json}]", "'json' is not known: write raw"),
        ("[{path: a.env, requird: true}]", "did you mean `required`?"),
    ):
        assert said in "\n".join(service(f"env_file: {wrong}", base=tmp_path).said)


def test_variables_of_the_launcher_in_an_env_file_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("NVIDIA_VISIBLE_DEVICES=all\nA=1\n")
    assert service("env_file: vars", base=tmp_path).job.environment == {"A": "1"}
    assert Reading("image: x\nenv_file: vars", base=tmp_path).said


def test_a_matrix_under_x_launcher_has_its_keys_after_two_dollars() -> None:
    reading = service("command: run $${lr}\nx-launcher: {matrix: {lr: [1, 2]}}")
    assert reading.job.command == ("run", "${lr}")
    assert not reading.notices


def test_an_image_that_is_built_must_have_a_name() -> None:
    assert service("build: .").ignored == ["build"]
    reading = Reading("services: {a: {build: .}}")
    assert reading.said == [
        "1:16: a job cannot have `build`: build the image first, then name it under `image`"
    ]
