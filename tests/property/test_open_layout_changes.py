"""Layout changes of several GPUs under any order of requests, reports, reboots and restarts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from launcher.core.messages import events as ev
from launcher.core.messages.actions import CarveStep, LookAtLayout
from launcher.core.mig.layout_executor import taken_up
from launcher.core.model.gpu import FULL, Instance, Inventory, Placement, Slice
from launcher.core.model.layout_change import Busy, LayoutTarget, OpState, Step, StepKind, Want
from launcher.core.model.slice_state import SliceState
from launcher.errors import LauncherError
from launcher.spec.gpus import GpuRequest
from tests.support.boards import gpu
from tests.support.builders import ROOT, Machine, profile

GPUS = ("GPU-a", "GPU-b", "GPU-c")
WANTS = ((), (Want("1g.6gb", 2),), (Want("2g.12gb"),), (Want("4g.24gb"),))
gpus = st.sampled_from(GPUS)
wishes = st.builds(
    LayoutTarget,
    gpus,
    st.sampled_from((None, *WANTS)),
    exact=st.booleans(),
    mode=st.sampled_from((None, None, True, True, False)),
)
requests = st.lists(wishes, max_size=3, unique_by=lambda wish: wish.gpu_uuid)


def mostly(value: bool) -> st.SearchStrategy[bool]:
    return st.sampled_from((value, value, value, value, not value))


class Changes(RuleBasedStateMachine):
    """A machine with three GPUs; a runner that carries out its actions, one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.cards = {uuid: replace(gpu("A30", uuid), index=n) for n, uuid in enumerate(GPUS)}
        self.here, self.silent = set(GPUS), set[str]()
        self.standing: dict[tuple[str, int], Instance] = {}
        self.foreign: dict[str, str] = {}
        self.boots = 0
        self.cards["GPU-b"] = replace(self.cards["GPU-b"], mig_current=False, mig_pending=False)
        small = next(p for p in self.cards["GPU-a"].profiles if p.name == "1g.6gb")
        for start in range(4):
            at = Placement(start, 1)
            here = Instance("GPU-a", start, small.name, small.profile_id, at)
            self.standing["GPU-a", start] = here
        self.next_gi = 4
        self.machine = Machine(slices=[], gpus=list(self.cards.values()))
        self.machine.world.boot = "0"
        self.todo: list[LookAtLayout | CarveStep] = []
        self.report()

    @property
    def ops(self) -> list[OpState]:
        return [op.state for op in self.machine.world.layouts.values()]

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            before = set(self.machine.world.layouts)
            try:
                actions = self.machine.tell(event)
            except LauncherError:
                assert set(self.machine.world.layouts) == before, "a refusal changes nothing"
                continue
            self.todo += [a for a in actions if isinstance(a, LookAtLayout | CarveStep)]

    def slices(self) -> dict[str, Slice]:
        cut = {
            f"MIG-{uuid[4:]}-{i.profile}-{i.placement.start}": Slice(
                f"MIG-{uuid[4:]}-{i.profile}-{i.placement.start}", uuid, self.cards[uuid].index,
                i.profile, i.profile_id, 5952, gi, 0, i.placement,
            )
            for (uuid, gi), i in self.standing.items()
        }  # fmt: skip
        whole = {
            uuid: Slice(uuid, uuid, card.index, FULL, None, 24576)
            for uuid, card in self.cards.items()
            if not card.mig_current
        }
        shown = {**cut, **whole}
        return {uuid: s for uuid, s in shown.items() if s.gpu_uuid in self.here - self.silent}

    @rule()
    def report(self) -> None:
        """Let NVML be read."""
        cards = tuple(card for uuid, card in self.cards.items() if uuid in self.here)
        slices = self.slices()
        instances = tuple(
            i for (uuid, _), i in self.standing.items() if uuid in self.here - self.silent
        )
        silent = tuple((uuid, f"{uuid} is silent") for uuid in sorted(self.silent & self.here))
        inventory = Inventory("580", cards, tuple(slices.values()), instances, silent=silent)
        foreign = tuple((u, text) for u, text in self.foreign.items() if u in slices)
        self.tell(ev.InventoryRead(inventory, foreign))

    @rule(request=requests, verb=st.sampled_from(("apply", "clear")), busy=st.sampled_from(Busy))
    def ask(self, request: list[LayoutTarget], verb: str, busy: Busy) -> None:
        self.tell(ev.LayoutAsked(ROOT, verb, "x", tuple(request), busy))

    @rule(data=st.data())
    @precondition(lambda self: self.machine.world.layouts)
    def cancel(self, data: st.DataObject) -> None:
        op = data.draw(st.sampled_from(sorted(self.machine.world.layouts)))
        self.tell(ev.LayoutCancelAsked(op))

    @rule(need=st.sampled_from((profile("1g.6gb"), profile("2g.12gb"), GpuRequest("full"))))
    def submit(self, need: GpuRequest) -> None:
        self.machine.submit(need)

    @rule(data=st.data())
    @precondition(lambda self: self.leased)
    def end_job(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.leased)))

    @property
    def leased(self) -> list[int]:
        world = self.machine.world
        return sorted(job for job, leases in world.leases.items() if leases)

    @rule(data=st.data(), used=st.booleans())
    def use(self, data: st.DataObject, used: bool) -> None:
        slices = sorted(self.slices())
        if slices:
            uuid = data.draw(st.sampled_from(slices))
            self.foreign.pop(uuid, None)
            if used:
                self.foreign[uuid] = "is used by the container c"
            self.report()

    @rule(uuid=gpus, what=st.sampled_from(("silent", "gone", "back", "back", "back")))
    def come_and_go(self, uuid: str, what: str) -> None:
        self.here, self.silent = set(GPUS), set()
        if what == "silent":
            self.silent = {uuid}
        elif what == "gone":
            self.here -= {uuid}
        self.report()

    @rule(away=mostly(False))
    def nvml(self, away: bool) -> None:
        if away:
            self.tell(ev.InventoryFailed("NVML is away"))
        else:
            self.report()

    @rule(away=mostly(False))
    def docker(self, away: bool) -> None:
        self.tell(ev.EngineDown("Docker is away") if away else ev.EngineUp())

    @rule(later=st.booleans())
    def act_to_the_end(self, later: bool) -> None:
        while self.todo:
            self.act(works=True, later=later)

    @rule(works=mostly(True), later=st.booleans())
    @precondition(lambda self: self.todo)
    def act(self, works: bool, later: bool) -> None:
        """Carry out the next action; ``later``: a MIG mode takes effect after a reboot."""
        action = self.todo.pop(0)
        if isinstance(action, LookAtLayout):
            if works:
                self.report()
            else:
                self.tell(ev.InventoryFailed("NVML is away"))
            self.tell(ev.LayoutSeen(action.op, None if works else "NVML is away"))
            return
        if not works:
            self.tell(ev.LayoutStepFailed(action.op, action.step, "no"))
            return
        self.tell(self.carved(action.op, action.step, later))

    def carved(self, op: int, step: Step, later: bool) -> ev.LayoutStepDone:
        uuid = step.gpu_uuid
        if step.kind is StepKind.DESTROY:
            assert not self.users(uuid, step.gi), "a slice that a job has is never destroyed"
            self.standing.pop((uuid, step.gi or 0), None)
            return ev.LayoutStepDone(op, step)
        if step.kind is StepKind.CREATE:
            assert step.placement is not None
            gi, self.next_gi = self.next_gi, self.next_gi + 1
            self.standing[uuid, gi] = Instance(
                uuid, gi, step.profile, step.profile_id, step.placement
            )
            return ev.LayoutStepDone(op, step, gi)
        on, card = step.kind is StepKind.MODE_ON, self.cards[uuid]
        changes = card.mig_current is not on
        later = later and changes
        used = changes and self.users(uuid)
        assert not used, "no job has a part of a GPU whose mode changes"
        current = card.mig_current if later else on
        self.cards[uuid] = replace(card, mig_current=current, mig_pending=on)
        if not current:
            self.lose(uuid)
        return ev.LayoutStepDone(op, step, pending="after a reboot" if later else None)

    def users(self, uuid: str, gi: int | None = None) -> list[SliceState]:
        """Return the leased slices of a GPU, or of one GPU instance."""
        states = self.machine.world.slices.values()
        on = [s for s in states if s.slice.gpu_uuid == uuid and gi in (None, s.slice.gi)]
        return [s for s in on if s.lease is not None]

    def lose(self, uuid: str) -> None:
        self.standing = {key: i for key, i in self.standing.items() if key[0] != uuid}

    @rule(reboot=st.booleans(), forgets=mostly(False))
    def restart(self, reboot: bool, forgets: bool) -> None:
        """The daemon starts anew; ``forgets``: a reboot that brings no pending mode."""
        self.todo = []
        taken_up(self.machine.world, self.machine.time)
        if reboot:
            for job in self.leased:
                self.end(job)
            self.boots += 1
            self.machine.world.boot = str(self.boots)
            self.foreign = {}
            for uuid, card in self.cards.items():
                mode: bool | None = card.mig_current if forgets else card.mig_pending
                self.cards[uuid] = replace(card, mig_current=mode, mig_pending=mode)
                self.lose(uuid)
        self.tell(ev.Tick())
        self.report()

    def end(self, number: int) -> None:
        job, before = self.machine.world.jobs[number], len(self.machine.actions)
        if job.container_id is None:
            self.machine.run(job)
        self.machine.end(job)
        new = self.machine.actions[before:]
        self.todo += [a for a in new if isinstance(a, LookAtLayout | CarveStep)]

    @invariant()
    def one_is_active_and_has_one_action(self) -> None:
        active = [op for op in self.machine.world.layouts.values() if op.is_active]
        assert len(active) <= 1
        assert [a.op for a in self.todo] == [op.id for op in active]

    @invariant()
    def open_changes_have_gpus_of_their_own(self) -> None:
        ops = self.machine.world.layouts.values()
        named = [uuid for op in ops for uuid in op.gpus]
        assert len(named) == len(set(named))
        assert all(op.gpus for op in ops)
        assert all(op.result is None for op in ops)

    @invariant()
    def no_slice_is_barred_by_a_change_that_is_over(self) -> None:
        world = self.machine.world
        for state in world.slices.values():
            if state.changing is not None:
                op = world.layouts.get(state.changing)
                assert op is not None and op.state is not OpState.PENDING, state.changing
                assert state.slice.gpu_uuid in op.gpus

    @invariant()
    def what_is_not_under_way_has_a_reason(self) -> None:
        for op in self.machine.world.layouts.values():
            if not op.is_active:
                assert op.message, op
                assert (op.state is OpState.PENDING) == bool(op.pending)

    @invariant()
    def what_is_to_be_destroyed_gets_no_new_lease(self) -> None:
        free: list[SliceState] = [s for s in self.machine.world.slices.values() if s.free]
        assert all(s.changing is None for s in free)


TestChanges = Changes.TestCase
