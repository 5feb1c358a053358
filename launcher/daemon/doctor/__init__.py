"""The checks of ``doctor``, one module per subject, and their harmless repairs.

Everything on the machine is accessed through ``tools.Host`` (files below a root, tools by name) or
passed in as a value. Unknown facts are reported as unknown, not as failures.
"""

from __future__ import annotations

import asyncio
import functools
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from launcher import wire
from launcher.core.model.gpu import Inventory
from launcher.daemon.api.handlers import images
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.doctor import (
    clocks,
    disks,
    docker,
    escapes,
    exits,
    gpus,
    mounts,
    network,
    notifications,
    nvml,
)
from launcher.daemon.doctor.finding import Finding, ok, problem, warning
from launcher.daemon.loop import clock
from launcher.daemon.machine.tools import Host, host_of
from launcher.daemon.users.fair_pool import FairPool
from launcher.daemon.users.identity import Caller
from launcher.errors import EngineError, EngineUnavailable, Unavailable

PATIENCE_SECONDS = 20.0


async def checks(context: Context, caller: Caller) -> list[wire.Check]:
    """Return every check, in the order of their dependencies."""
    return [finding.line for finding in await findings(context, caller.uid)]


async def fix(context: Context, caller: Caller) -> list[wire.Check]:
    """Make the harmless repairs; return what was done, then every check as it is now.

    Raises ``Unavailable`` during a layout change: a tool that uses NVML would block it.
    """
    change = context.world.active_layout
    if change is not None:
        raise Unavailable(
            f"layout change {change.id} is under way; repairs have to wait",
            fix="Wait for its end: `launch layout changes`.",
        )
    host, uid = host_of(context.config), caller.uid
    commands = dict.fromkeys(f.repair for f in await findings(context, uid) if f.repair is not None)
    done = [(await context.users.run(uid, _repair, host, command)).line for command in commands]
    if not done:
        done = [ok("fix", "nothing needs an automatic repair").line]
    return [*done, *await checks(context, caller)]


def _repair(host: Host, command: tuple[str, ...]) -> Finding:
    failed = host.repair(command)
    if failed is not None:
        return problem("fix", failed, f"Run it yourself, as root: `{shlex.join(command)}`.")
    return ok("fix", f"ran `{shlex.join(command)}`")


async def findings(context: Context, uid: int) -> list[Finding]:
    """Run all checks in parallel; one that hangs does not block the others."""
    world, seen = context.world, _seen(context)
    is_gpu_machine = bool(world.gpus)
    results = await _in_threads(context, uid, seen)
    engine, extra, tools, machine, ends, mounting, homes, networking = results
    return [
        *_daemon(context),
        *engine,
        *_gpus(context, seen.inventory),
        *tools,
        *(extra if is_gpu_machine and not world.gpu_down else ()),
        *gpus.quarantined(world.slices.values()),
        *ends,
        *mounting,
        *homes,
        *networking,
        *machine,
        *await _images(context, uid),
        notifications.check(await context.watch_notifications()),
    ]


async def _in_threads(context: Context, uid: int, seen: nvml.Seen) -> list[list[Finding]]:
    """Run the checks that block; return what each found."""
    world, config, host = context.world, context.config, host_of(context.config)
    in_container = context.container is not None
    within = functools.partial(_within, context.users, uid)
    return await asyncio.gather(
        within(
            "docker",
            docker.check,
            config.docker_host,
            world.gpu_support,
            host,
            bool(world.gpus),
            context.devices,
        ),
        within("nvml", nvml.check, host, context.gpu, seen, in_container),
        within("tools", _tools, host, context.health.driver_version),
        within("disk", _host, context),
        within("exits", exits.check, config.kernel_exit_status),
        within("mounts", functools.partial(mounts.check, context.pins, needed=config.system)),
        within("homes", mounts.check_homes, context.home_keeper.homes),
        within("network", network.check, config.docker_host, config.system, in_container),
    )


async def _within(
    pool: FairPool, uid: int, name: str, check: Callable[..., list[Finding]], *values: Any
) -> list[Finding]:
    """Run a group of checks in a thread, with a time limit."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await pool.run(uid, check, *values)
    except TimeoutError:
        text = f"did not finish within {PATIENCE_SECONDS:g} s"
        return [problem(name, text, "Check dmesg, and whether a disk or the driver hangs.")]


def _seen(context: Context) -> nvml.Seen:
    """Return the daemon's knowledge as values that a thread may keep."""
    world = context.world
    states = [state for state in world.slices.values() if not state.lost]
    seen = Inventory(
        context.health.driver_version or "",
        tuple(world.gpus.values()),
        tuple(state.slice for state in states),
        tuple(world.instances.values()),
    )
    return nvml.Seen(seen, {s.slice.uuid: s.foreign for s in states if s.foreign})


def _daemon(context: Context) -> Iterator[Finding]:
    if context.event_loop.read_only:
        yield problem("daemon", f"read-only: {context.event_loop.read_only}")
    else:
        yield ok("daemon", f"runs with {context.config.state_dir}")


def _gpus(context: Context, inventory: Inventory) -> Iterator[Finding]:
    world = context.world
    if world.gpu_down:
        fix = context.health.gpu_fix
        yield problem("nvml", world.gpu_down, " ".join(filter(None, (fix, "CPU jobs still run."))))
        return
    silent = list(world.silent.values())
    for why in silent:
        text = (
            "Nothing starts on it until it responds; dmesg has the driver's messages (NVRM, Xid)."
        )
        yield problem("nvml", why, text)
    if not silent:
        yield ok("nvml", f"NVML answers, {len(inventory.gpus)} GPU(s)")
    if context.health.processes_hidden:
        yield warning(
            "nvml processes",
            "NVML does not list the processes on a slice: empty cgroups prove them free instead",
            "Run the daemon as root: then it also sees processes outside of containers.",
        )
    yield from gpus.driver(inventory)
    yield from gpus.modes(
        inventory, {u: op.id for op in world.layouts.values() for u in op.pending}
    )
    if world.active_layout is None:  # a running change creates and removes them
        yield from gpus.bare(inventory)


async def _images(context: Context, uid: int) -> list[Finding]:
    """Report the images that only admins may run, because their owner is unknown."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            unknown = await images.undecided(context, uid)
    except (TimeoutError, EngineUnavailable, EngineError):
        return []  # the checks of Docker report why
    if not context.config.system or not unknown:
        return [ok("images", "the owner of every image is known")] if not unknown else []
    return [
        warning(
            "images",
            f"{len(unknown)} image(s) not pulled by the launcher, such as {unknown[0].name}: "
            "only admins may run the local copy",
            "Publish one to all users with `launch image publish IMAGE`, or all of these with "
            "`launch image publish --all`.",
        )
    ]


def _tools(host: Host, driver_version: str | None) -> list[Finding]:
    return [gpus.library(host, driver_version), escapes.toolkit(host)]


def _host(context: Context) -> list[Finding]:
    return [
        disks.state(context.config.state_dir),
        clocks.check(clock.now().wall, clocks.synchronised()),
    ]
