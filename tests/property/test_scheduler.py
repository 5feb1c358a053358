"""Scheduler properties over random machines and histories.

safety: no slice twice, no pass that breaks an invariant. order: nobody overtakes an equal.
explain: a pending job has a blocker if and only if the scheduler did not start it.
liveness: on a machine that comes to rest, every feasible job has run. determinism: same in, same
out.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from launcher.core.invariants import violations
from launcher.core.messages import events as ev
from launcher.core.model.job import Job, Owner, State
from launcher.core.policy.settings import Quota, Settings
from launcher.core.scheduling.explain import Explainer, blockers
from launcher.core.scheduling.matching import fits
from launcher.core.scheduling.scheduler import QueueWalk, schedule
from launcher.errors import ImpossibleRequest, NotAllowed, StaleRequest, UserError
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import Retries
from tests.support.builders import ALICE, BOB, CPU, ROOT, Machine, memory, mig, profile
from tests.support.whole import many

LAYOUTS = (
    [mig(0), mig(1), mig(2), mig(3)],
    [mig(0), mig(1), mig(2, "2g.12gb", start=2)],
    [mig(0, "2g.12gb", start=0), mig(2, "2g.12gb", start=2)],
    [mig(0, "4g.24gb", start=0)],
    [],
)
NEEDS = st.one_of(
    st.builds(profile, st.sampled_from(["1g.6gb", "2g.12gb", "4g.24gb"]), st.integers(1, 4)),
    st.builds(memory, st.integers(1, 24), st.integers(1, 3)),
    st.just(CPU),
    st.just(GpuRequest("uuid", uuids=("MIG-a-0",))),
    st.just(GpuRequest("uuid", uuids=("MIG-a-1", "MIG-a-2"))),
)


class Histories(RuleBasedStateMachine):
    """A machine that users, containers, NVML and Docker pull at in any order."""

    @initialize(layout=st.sampled_from(LAYOUTS))
    def start(self, layout: list) -> None:  # type: ignore[type-arg]
        quota = Quota(running_slices=3, running_gib=20.0)
        rules = Settings(user_quotas={"alice": quota}, preempt_after=30.0, holdback_idle=100.0)
        self.machine = Machine(slices=layout, rules=rules)
        self.layout = layout

    @property
    def jobs(self) -> list[Job]:
        return list(self.machine.world.jobs.values())

    def any_in(self, *states: State) -> list[Job]:
        return [job for job in self.jobs if job.state in states]

    @rule(
        need=NEEDS,
        owner=st.sampled_from([ALICE, BOB]),
        priority=st.sampled_from([10, 50]),
        pinned=st.booleans(),
        limit=st.sampled_from([None, 30.0, 600.0]),
        preemptible=st.booleans(),
        retries=st.sampled_from([None, Retries(2, ("any", "infra"), 5.0)]),
    )
    def submit(
        self,
        need: GpuRequest,
        owner: Owner,
        priority: int,
        pinned: bool,
        limit: float | None,
        preemptible: bool,
        retries: Retries | None,
    ) -> None:
        try:
            self.machine.submit(
                need,
                owner=owner,
                priority=priority,
                pinned=pinned,
                time_limit=limit,
                preemptible=preemptible,
                retries=retries,
            )
        except (ImpossibleRequest, NotAllowed):
            assert violations(self.machine.world) == []

    @rule(need=NEEDS, size=st.integers(1, 4), most=st.sampled_from([None, 1, 2]))
    def submit_array(self, need: GpuRequest, size: int, most: int | None) -> None:
        try:
            self.machine.submit_array(size, need, most)
        except (ImpossibleRequest, NotAllowed):
            assert violations(self.machine.world) == []

    @rule(step=st.sampled_from([-86400.0, -1800.0, 3600.0, 86400.0]))
    def set_the_wall_clock(self, step: float) -> None:
        machine = self.machine
        running = {j.id: j.deadline for j in self.any_in(State.RUNNING) if not j.stopping}
        machine.time = ev.Now(machine.time.wall + step, machine.time.boot)
        machine.tell(ev.Tick())
        assert running.items() <= {j.id: j.deadline for j in self.jobs}.items()
        assert all(use.amount >= 0.0 for use in machine.world.uses.values())

    @precondition(lambda self: self.any_in(State.PENDING))
    @rule(data=st.data(), event=st.sampled_from([ev.HoldAsked, ev.ReleaseAsked]))
    def hold_or_release(self, data: st.DataObject, event: type) -> None:
        self.machine.tell(event(data.draw(st.sampled_from(self.any_in(State.PENDING))).id, 1000))

    @precondition(lambda self: self.any_in(State.PENDING))
    @rule(data=st.data(), priority=st.integers(0, 50), need=st.one_of(st.none(), NEEDS))
    def edit(self, data: st.DataObject, priority: int, need: GpuRequest | None) -> None:
        job = data.draw(st.sampled_from(self.any_in(State.PENDING)))
        try:
            self.machine.tell(ev.EditAsked(job.id, ALICE, False, priority, None, need))
        except ImpossibleRequest:
            assert violations(self.machine.world) == []

    @precondition(lambda self: self.any_in(State.RUNNING))
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.any_in(State.RUNNING)))
        if not job.stopping:
            self.machine.tell(ev.RequeueAsked(job.id, 1000))

    @rule(start=st.sampled_from([-10.0, 50.0, 1000.0]), long=st.sampled_from([20.0, 5000.0]))
    def reserve(self, start: float, long: float) -> None:
        wall = self.machine.time.wall
        asked = ev.ReserveAsked(
            "r", ROOT, wall + start, wall + start + long, "bob", None, ("MIG-a-0",)
        )
        try:
            self.machine.tell(asked)
        except (StaleRequest, UserError):
            assert violations(self.machine.world) == []

    @precondition(lambda self: self.any_in(State.STARTING))
    @rule(data=st.data())
    def container_starts(self, data: st.DataObject) -> None:
        self.machine.run(data.draw(st.sampled_from(self.any_in(State.STARTING))))

    @precondition(lambda self: self.any_in(State.STARTING))
    @rule(data=st.data(), failure=st.sampled_from(list(ev.StartFailure)))
    def start_fails(self, data: st.DataObject, failure: ev.StartFailure) -> None:
        job = data.draw(st.sampled_from(self.any_in(State.STARTING)))
        self.machine.fail_start(job, failure, slice=next(iter(job.slices), None))

    @precondition(lambda self: self.any_in(State.RUNNING))
    @rule(data=st.data(), code=st.sampled_from([0, 1, 137]), idle=st.booleans())
    def container_ends(self, data: st.DataObject, code: int, idle: bool) -> None:
        self.machine.end(data.draw(st.sampled_from(self.any_in(State.RUNNING))), code, idle=idle)

    @precondition(lambda self: self.any_in(State.COMPLETING))
    @rule(data=st.data(), stuck=st.booleans())
    def slice_is_judged(self, data: st.DataObject, stuck: bool) -> None:
        job = data.draw(st.sampled_from(self.any_in(State.COMPLETING)))
        uuid = self.machine.world.leases[job.id][0].slice.uuid
        if stuck:
            self.machine.tell(ev.SliceStuck(job.id, job.attempt, uuid, "process 1"))
        else:
            self.machine.tell(ev.SlicesIdle(job.id, job.attempt, (uuid,)))

    @precondition(lambda self: self.any_in(State.PENDING, State.STARTING, State.RUNNING))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        states = (State.PENDING, State.STARTING, State.RUNNING)
        job = data.draw(st.sampled_from(self.any_in(*states)))
        self.machine.tell(ev.CancelAsked(job.id, 1000))

    @rule(keep=st.sets(st.integers(0, 3)), foreign=st.sets(st.sampled_from(["MIG-a-0", "MIG-a-1"])))
    def look_at_nvml(self, keep: set[int], foreign: set[str]) -> None:
        seen = [s for i, s in enumerate(self.layout) if i in keep]
        self.machine.see(seen, dict.fromkeys(foreign, "is used by process 9"))

    @rule(event=st.sampled_from([ev.EngineDown("away"), ev.EngineUp(), ev.InventoryFailed("lost")]))
    def machine_trouble(self, event: ev.Event) -> None:
        self.machine.tell(event)

    @rule(seconds=st.sampled_from([1.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.machine.wait(seconds)
        self.machine.tell(ev.Tick())

    @invariant()
    def a_pending_job_has_a_blocker_and_only_a_pending_one(self) -> None:
        world = self.machine.world
        for job in world.jobs.values():
            assert bool(blockers(world, job, self.machine.time)) == (job.state is State.PENDING), (
                job
            )

    @invariant()
    def the_reason_in_a_list_is_the_first_of_the_blockers(self) -> None:
        explainer = Explainer(self.machine.world, self.machine.time)
        for job in self.machine.world.jobs.values():
            first = next((b.reason for b in explainer.blockers(job)), None)
            assert explainer.reason(job) is first

    @invariant()
    def another_pass_starts_nothing_more(self) -> None:
        assert schedule(self.machine.world, self.machine.time) == []

    @invariant()
    def what_is_leased_fits_what_was_asked(self) -> None:
        world = self.machine.world
        for job_id, leases in world.leases.items():
            for lease in leases:
                assert fits(world.jobs[job_id].need, lease.slice)

    @invariant()
    def no_more_of_an_array_than_it_allows_is_under_way(self) -> None:
        for array in self.machine.world.arrays.values():
            assert array.max_parallel is None or len(array.active) <= array.max_parallel

    @invariant()
    def nobody_has_more_than_his_quota(self) -> None:
        world = self.machine.world
        held = [s for s in world.slices.values() if s.lease is not None]
        alices = [s for s in held if world.jobs[s.lease.job].owner == ALICE]  # type: ignore[union-attr]
        assert len(alices) <= 3

    @invariant()
    def no_equal_overtakes(self) -> None:
        """Of jobs with the same need and a pinned image, one that waits is behind all that run."""
        world = self.machine.world
        for need in {job.need for job in world.jobs.values()}:
            for _, (_, job_id, _) in world.queue.heads(need):
                walk = QueueWalk(world, self.machine.time)
                head = world.jobs[job_id]
                assert walk.choose(head) is None or any(
                    walk.key(world.jobs[other[1]]) < walk.key(head)
                    for lane in world.queue.lanes()
                    if lane.need != need and (other := world.queue.head(lane)) is not None
                )


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=many(40, 300), stateful_step_count=40, deadline=None)


@given(
    layout=st.sampled_from(LAYOUTS[:4]),
    needs=st.lists(NEEDS, min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=many(80, 400), deadline=None)
def test_liveness_every_feasible_job_runs_when_running_ones_end(
    layout: list,
    needs: list[GpuRequest],
    order: object,  # type: ignore[type-arg]
) -> None:
    machine = Machine(slices=layout)
    jobs: list[Job] = []
    for need in needs:
        try:
            jobs += machine.submit(need)
        except ImpossibleRequest:
            continue
    idle = Machine(slices=layout)
    feasible = [j for j in jobs if QueueWalk(idle.world, idle.time).choose(j) is not None]
    for _ in range(2 * len(jobs) + 1):
        starting = [j for j in machine.world.jobs.values() if j.state is State.STARTING]
        if not starting:
            break
        job = order.choice(starting)  # type: ignore[attr-defined]
        machine.run(job)
        machine.end(job)
    assert [j for j in feasible if j.state is not State.DONE] == []


@given(needs=st.lists(NEEDS, max_size=15))
@settings(max_examples=many(40, 300), deadline=None)
def test_determinism_the_same_history_gives_the_same_actions(needs: list[GpuRequest]) -> None:
    def play() -> list[object]:
        machine = Machine()
        for need in needs:
            try:
                machine.submit(need)
            except ImpossibleRequest:
                continue
        for job in list(machine.world.jobs.values()):
            if job.state is State.STARTING:
                machine.run(job)
                machine.end(job)
        return list(machine.actions)

    assert play() == play()
