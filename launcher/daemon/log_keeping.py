"""The parts that keep jobs' logs within their limits: of each user, of an attempt, and by age."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from launcher.config.settings import Config
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.output.log_usage import LogUsage
from launcher.daemon.output.old_logs import OldLogs
from launcher.daemon.output.retention import Retention
from launcher.store import Reader


class LogKeeping:
    """The parts of one daemon; ``loop`` returns its event loop once that is there."""

    def __init__(self, config: Config, committer: Committer, loop: Callable[[], EventLoop]) -> None:
        self._committer = committer
        directory = config.state_dir / "logs"
        self.use = LogUsage(directory, config.log_limit_mib * 2**20, lambda: loop().world)
        logs = OldLogs(directory, self.owners, lambda job: job in loop().world.jobs)
        self.retention = Retention(config.history, loop, committer, logs)

    async def owners(self, first: int, last: int) -> Mapping[int, int]:
        """Return the owners' uids of the jobs with ids in a range, by job."""
        return await self._committer.read_slowly(Reader.owners_between, first, last)
