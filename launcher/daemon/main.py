"""``launch serve``: opens the database, starts a daemon, and serves until it is stopped."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from launcher import crashpoints
from launcher.config.settings import Config, load
from launcher.daemon import service_lifetime
from launcher.daemon.api import server
from launcher.daemon.loop import garbage, loop_lag
from launcher.daemon.loop import logging_setup as logs
from launcher.daemon.loop.sd_notify import Notifier
from launcher.daemon.machine.contained import stop_container
from launcher.daemon.recovery import recovery_mode
from launcher.daemon.recovery.rebuild import is_damaged
from launcher.daemon.recovery.rebuild import rebuild as rebuild_database
from launcher.daemon.users.identity import unknown_names
from launcher.daemon.wiring import Daemon
from launcher.errors import (
    DatabaseDamaged,
    InternalError,
    SchemaTooNew,
)
from launcher.store import Store

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001
"""GIL switch interval: the longest delay of the loop by a computing thread."""


def serve(
    prepare: Callable[[Config], Config] = lambda config: config,
    *,
    rebuild: bool = False,
    **flags: Any,
) -> int:
    """Run one daemon in the foreground until it is stopped; return the exit status.

    Flags as in ``launch serve``, None if not given; ``rebuild`` first replaces a damaged database.
    ``prepare`` runs before NVML is used, and may change the configuration. If the database cannot
    be used the daemon starts in recovery mode. Raises ``LauncherError`` if it cannot start: bad
    configuration, a state directory in use, a socket that cannot be bound.
    """
    config = load(flags)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # a core dump would contain users' secrets
    logs.configure(config.log_level, config.log_format)
    groups = config.admin_group, config.trusted_group, *sorted(config.rules.policy.host_groups)
    for name in unknown_names(config.rules, *groups):
        log.warning("launcher.toml names the %s, which this machine does not have", name)
    crashpoints.arm_from_environment()
    try:
        if rebuild and is_damaged(config):
            config = prepare(config)
            rebuild_database(config)
        store = Store.open(config.state_dir)
    except (DatabaseDamaged, SchemaTooNew) as trouble:
        return asyncio.run(recovery_mode.serve(config, trouble))
    store.reserve(config.disk_reserve_mib)
    if config.system:
        service_lifetime.go_first()
    sys.setswitchinterval(SWITCH_SECONDS)
    config = prepare(config)
    with asyncio.Runner(loop_factory=loop_lag.MeasuredLoop) as runner:
        return runner.run(_run(config, store))


async def _run(config: Config, store: Store) -> int:
    daemon = Daemon(config, store)
    listener = server.listener(config)
    try:
        await daemon.start()
    except DatabaseDamaged as trouble:
        gc.enable()
        daemon.committer.close()
        return await recovery_mode.serve(config, trouble, listener)
    collecting = asyncio.create_task(garbage.collect())
    terminated = service_lifetime.stopped_by_signals(daemon)
    async with server.served(server.application(daemon.context()), listener, daemon.connections):
        loop_lag.present().forget()
        log.info("listening on %s, store %s", config.socket, daemon.store_id)
        try:
            await service_lifetime.until_over(daemon, config.idle_exit, Notifier())
        except InternalError as failed:
            log.critical("%s", failed.message)
            return _leave(1)
        log.info("stopping; running jobs go on")
        await stop_container(daemon.containers, daemon.own_container, terminated)
    collecting.cancel()
    await daemon.close()
    server.remove_socket(config)
    return _leave(0)


def _leave(status: int) -> int:
    """End the process at once, because a thread may hang in Docker or NVML. All data is on disk."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)
