"""The line that systemd shows of a daemon."""

from __future__ import annotations

from launcher.daemon.service_lifetime import in_short
from tests.support.builders import CPU, Machine, mig, profile


def test_jobs_that_run_and_wait_are_counted() -> None:
    machine = Machine(slices=[mig(0)], cpu_slots=1)
    assert in_short(machine.world) == "0 jobs run, 0 wait"
    for need in (profile(), profile(), CPU, CPU):
        machine.submit(need)
    assert in_short(machine.world) == "2 jobs run, 2 wait"


def test_a_job_that_is_being_proven_free_still_counts_as_running() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.end(job, idle=False)
    assert in_short(machine.world) == "1 jobs run, 0 wait"


def test_closed_gates_are_told() -> None:
    machine = Machine()
    machine.world.engine_down, machine.world.draining = "Docker is away", "it drains"
    assert in_short(machine.world) == "0 jobs run, 0 wait; it drains; Docker is away"
