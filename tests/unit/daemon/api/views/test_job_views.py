"""What the API shows, and to whom."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from launcher import wire
from launcher.core.model.job import Outcome, State
from launcher.core.model.measurement import Measurement
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.views import job_views
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller
from launcher.spec.gpus import GpuRequest
from tests.support.builders import ALICE, BOB, CPU, ROOT, Machine, memory, mig, profile, whole
from tests.support.project import PROJECT
from tests.unit.store.worlds import attempt_of, starting

HERS, HIS, ADMIN = Caller(ALICE, False), Caller(BOB, False), Caller(ROOT, True)
JOB_KEYS = (
    "id name user state outcome reason profile count slices image command priority array attempt "
    "exit_code submitted_at started_at ended_at container_id"
)
SLICE_KEYS = "uuid gpu gpu_index profile memory_mib gi ci placement state job attempt user made_by"
PRIVATE = {"name", "image", "command", "container_id", "message"}


def running() -> tuple[Machine, job_views.Job]:
    machine = Machine()
    (job,) = machine.submit(profile(), command=("train",))
    machine.run(job)
    return machine, job


def view_of(machine: Machine, job: job_views.Job, caller: Caller) -> wire.JobView:
    return job_views.job_view(Explainer(machine.world, machine.time), job, caller, ["train"])


def test_a_job_has_exactly_the_keys_that_programs_rely_on() -> None:
    machine, job = running()
    told = json.loads(convert.dump(wire.JobView, view_of(machine, job, HERS)))
    assert set(told) == {*JOB_KEYS.split(), "message", "time_limit", "runtime"}


def test_a_slice_has_exactly_the_keys_that_programs_rely_on() -> None:
    machine, _ = running()
    told = json.loads(convert.dump(list[wire.SliceView], job_views.slice_views(machine.world)))
    assert {frozenset(one) for one in told} == {
        frozenset(
            [
                *SLICE_KEYS.split(),
                "why",
                "since",
                "fix",
                "memory_shared",
                "array",
                "memory_used_mib",
                "processes",
            ]
        )
    }


def test_the_owner_and_an_admin_see_everything() -> None:
    machine, job = running()
    hers = view_of(machine, job, HERS)
    assert (hers.name, hers.image, hers.command) == ("job", "busybox:1", ["train"])
    assert hers.container_id == f"c{job.id}"
    assert view_of(machine, job, ADMIN) == hers


def test_the_readme_names_exactly_what_others_see_of_a_job() -> None:
    readme = (PROJECT / "launcher" / "manual" / "sharing-and-security.md").read_text()
    named = re.search(r"<!-- others:begin -->(.*?)<!-- others:end -->", readme, re.DOTALL)
    assert named is not None
    fields = {field.name for field in dataclasses.fields(wire.JobView)} - PRIVATE
    assert fields == set(re.findall(r"`(\w+)`", named[1])) - {"ps", "show", "why", "queue"}
    texts = set(re.findall(r"`([A-Z]\w+)`", readme[named.end() :].partition("alone.")[0]))
    assert texts == {reason.value for reason in job_views._PRIVATE}


def test_another_user_sees_that_it_is_there_and_nothing_private() -> None:
    machine, job = running()
    job.message = "exec: /home/alice/secret"
    his = dataclasses.asdict(view_of(machine, job, HIS))
    assert {name for name in PRIVATE if his[name] is not None} == set()
    assert (his["user"], his["state"], his["slices"]) == ("alice", "RUNNING", list(job.slices))
    hers = dataclasses.asdict(view_of(machine, job, HERS))
    assert {n: v for n, v in hers.items() if n not in PRIVATE} == {
        n: v for n, v in his.items() if n not in PRIVATE
    }


def test_an_admin_by_uid_is_not_an_admin_by_name() -> None:
    assert not Caller(dataclasses.replace(BOB, name="root"), False).may_see(ALICE)
    assert Caller(dataclasses.replace(BOB, uid=ALICE.uid), False).may_see(ALICE)


def test_times_have_six_decimals_and_a_z() -> None:
    machine, job = running()
    view = view_of(machine, job, HERS)
    assert view.submitted_at == "2027-01-15T08:00:00.000000Z"
    assert view.started_at == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("need", "shown", "count"),
    [
        (profile("2g.12gb", 2), "2g.12gb", 2),
        (memory(10), ">=10g", 1),
        (GpuRequest("memory", memory_mib=7000, count=2), ">=7000MiB", 2),
        (GpuRequest("full", count=2), "full", 2),
        (GpuRequest("all"), "all", 1),
        (GpuRequest("uuid", uuids=("MIG-a-0", "MIG-a-1")), None, 2),
        (CPU, None, 0),
    ],
)
def test_a_waiting_job_shows_what_it_asked_for(need: GpuRequest, shown: str, count: int) -> None:
    machine = Machine(slices=[], gpus=[])
    (job,) = machine.submit(need, pinned=False)
    view = view_of(machine, job, HERS)
    assert (view.profile, view.count, view.state) == (shown, count, "PENDING")


def test_a_running_job_shows_the_profile_that_it_got() -> None:
    machine = Machine()
    (job,) = machine.submit(memory(5))
    assert view_of(machine, job, HERS).profile == "1g.6gb"


def test_a_waiting_job_always_has_a_reason_and_a_running_one_none() -> None:
    machine = Machine(slices=[mig(0)])
    first, second = machine.submit(profile(), profile())
    machine.run(first)
    assert view_of(machine, first, HERS).reason is None
    assert view_of(machine, second, HIS).reason == "Resources"


PROOF = "its job has ended: it is free once no process is on it"


def test_the_word_of_a_slice_says_how_it_is_used() -> None:
    machine = Machine()
    leased, ending = machine.submit(profile(), profile())
    machine.run(leased)
    machine.run(ending)
    machine.end(ending, idle=False)
    free = [s for s in machine.world.slices.values() if s.lease is None]
    free[0].foreign = "is used by process 7"
    words = {v.uuid: (v.state, v.user, v.why) for v in job_views.slice_views(machine.world)}
    assert words == {
        leased.slices[0]: ("leased", "alice", None),
        ending.slices[0]: ("releasing", "alice", PROOF),
        free[0].slice.uuid: ("foreign", None, "is used by process 7"),
        free[1].slice.uuid: ("free", None, None),
    }
    free[0].quarantine = "a process stayed"
    machine.world.slices[leased.slices[0]].lost = True
    free[1].lost = True
    assert sorted(
        job_views.slice_word(machine.world, s) for s in machine.world.slices.values()
    ) == [
        "lost",
        "lost",
        "quarantined",
        "releasing",
    ]


def test_slices_are_listed_gpu_by_gpu_and_place_by_place() -> None:
    slices = [mig(2, start=2), mig(9, start=0), whole("GPU-b", 1)]
    machine = Machine(slices=slices)
    listed = job_views.slice_views(machine.world)
    assert [v.uuid for v in listed] == ["MIG-a-9", "MIG-a-2", "GPU-b"]
    assert listed[0].placement == {"start": 0, "size": 1}
    assert (listed[2].placement, listed[2].gi, listed[2].ci) == (None, None, None)


def test_an_attempt_is_shown_whole() -> None:
    attempt = attempt_of(starting(3, attempt=2))
    attempt.exit_code, attempt.oom, attempt.cause = 137, True, "why"
    used = Measurement(5 << 30, 12.5, 1000, 2000, 3000, 43.5)
    view = job_views.attempt_view(attempt, 3, used, 11968)
    assert (view.attempt, view.container_name) == (2, "launch-feed-3-2")
    assert (view.exit_code, view.oom, view.cause) == (137, True, "why")
    assert view.output_gaps == 3
    assert (view.memory_peak_bytes, view.cpu_seconds) == (5 << 30, 12.5)
    assert (view.read_bytes, view.written_bytes) == (1000, 2000)
    assert (view.gpu_memory_peak_mib, view.gpu_memory_mib) == (3000, 11968)
    assert view.gpu_activity_percent == 43.5
    told = {f.name for f in dataclasses.fields(wire.AttemptView)}
    kept = {f.name for f in dataclasses.fields(attempt)}
    assert kept - told == {"job", "number", "granted_at", "boot", "measured"}
    assert {f.name for f in dataclasses.fields(used)} <= told


def test_the_one_word_for_a_job_is_its_outcome_once_it_has_one() -> None:
    machine, job = running()
    assert view_of(machine, job, HIS).word == "RUNNING"
    job.state, job.outcome = State.COMPLETING, Outcome.TIMEOUT
    assert view_of(machine, job, HIS).word == "TIMEOUT"


def test_what_a_job_waits_for_says_nothing_of_its_image_to_others() -> None:
    machine = Machine()
    (job,) = machine.submit(profile(), pinned=False)
    (blocker,) = Explainer(machine.world, machine.time).blockers(job)
    assert "busybox" in job_views.blocker_view(blocker, mine=True).need
    for_others = job_views.blocker_view(blocker, mine=False)
    assert for_others.kind == "ImagePull"
    assert "busybox" not in for_others.need + for_others.have
