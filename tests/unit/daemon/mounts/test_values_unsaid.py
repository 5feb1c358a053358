"""The values of variables are in no text that is made of a job: not in its repr, not in a fault."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher import wire
from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.requests import NewElement, NewJob, Submitted
from launcher.core.model.job import Element, ImageKey, Owner
from launcher.core.policy.policy import VERSION, Person, PolicyInput
from launcher.core.policy.settings import Policy
from launcher.daemon.attempts.container_plan import ContainerPlan
from launcher.daemon.attempts.start_errors import NotStarted
from launcher.daemon.mounts.container_directories import Directories
from launcher.daemon.mounts.homes import OwnHomes
from launcher.daemon.mounts.job_homes import JobHomes
from launcher.daemon.mounts.secret_mounts import Pinned
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.daemon.requests import convert
from launcher.engine import validate
from launcher.engine.image_files import ImageFacts
from launcher.engine.images import ImageConfig
from launcher.mount_helper import Pins

VALUE = "hunter2-is-told-to-nobody"
OWNER = Owner(1001, 1001, "alice")
REQUEST = wire.JobSpec(
    name="job",
    image="busybox:1",
    environment={
        "TOKEN": VALUE,
        "EMPTY": "",
        "N": f"{VALUE}2",
        "MORE_TOKEN": f"{VALUE}2",
    },
)
ASKED = PolicyInput(REQUEST, Person(OWNER), Policy(host_memory=2**34), 2**34)
ACTION = StartAttempt(1, 1, "launch-x-1-1", (), "sha256:1", policy_version=VERSION)
PLACES = Pinned(Pins(socket.socket), "/run/nobodys")
STORE = SecretStore(Path("/nowhere"))
DEVICES = SimpleNamespace(driver=lambda: "", are_given=lambda: True)
DIRECTORIES = Directories(lambda image_id: ImageConfig(), lambda: True)
HOMES = JobHomes(OwnHomes("/homes"), lambda image_id: ImageFacts())
PLAN = ContainerPlan(
    action=ACTION,
    request=ASKED,
    store="x",
    deadline=None,
    pins_directory="/run/pins",
    secrets=STORE,
    places=PLACES,
    devices=DEVICES,
    directories=DIRECTORIES,
    job_homes=HOMES,
    job_network=lambda: None,
)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "made",
    [
        REQUEST,
        wire.SubmitRequest(jobs=[REQUEST]),
        wire.ArrayRequest(indices=[0], matrix=[{"token": VALUE}]),
        ASKED,
        PLAN,
        Element(1, 0, (("token", VALUE),)),
        Submitted(
            OWNER,
            (
                NewJob(
                    REQUEST,
                    convert.document(REQUEST),
                    ImageKey("busybox:1", "missing"),
                    element=NewElement(0, 0, (("token", VALUE),)),
                ),
            ),
        ),
    ],
    ids=lambda made: type(made).__name__,
)
def test_no_repr_has_them(made: object) -> None:
    assert VALUE not in repr(made)


def test_what_docker_quotes_is_masked_entry_by_entry() -> None:
    text = f"invalid: [TOKEN={VALUE} N={VALUE}2 EMPTY= PATH=/bin]"
    assert PLAN.masked(text) == "invalid: [TOKEN=*** N=*** EMPTY= PATH=/bin]"
    text = f"invalid: [TOKEN={VALUE} MORE_TOKEN={VALUE}2]"
    assert PLAN.masked(text) == "invalid: [TOKEN=*** MORE_TOKEN=***]"
    assert PLAN.masked("exec /bin/x: no such file") == "exec /bin/x: no such file"


@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES"])
def test_a_fault_of_a_body_names_the_variable_alone(name: str) -> None:
    body = PLAN.body()
    env = body["Env"]
    assert isinstance(env, list)
    for wrong in ([*env, f"{name}={VALUE}"], [*env, 5, VALUE], f"{name}={VALUE}"):
        faults = validate.body_faults(body | {"Env": wrong}, PLAN.bounds())
        assert faults
        assert VALUE not in "; ".join(faults)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (VERSION - 1, f"under version {VERSION - 1} of the policy, this is version {VERSION}."),
        (VERSION, "since then launcher.toml or the groups of a user were changed."),
        (None, "Allowed: localhost/*."),
    ],
)
def test_a_refusal_at_the_start_says_which_policy_let_the_job_pass(
    before: int | None, told: str
) -> None:
    strict = replace(ASKED, policy=replace(ASKED.policy, images=()))
    with pytest.raises(NotStarted) as refused:
        replace(PLAN, request=strict, action=replace(ACTION, policy_version=before)).check()
    assert "(rule image-allowed)" in refused.value.message
    assert refused.value.message.endswith(told)
