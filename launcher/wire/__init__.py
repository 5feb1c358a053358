"""Request, reply and error types of the HTTP API, and the frames of its streams.

Plain dataclasses, standard library only: the client imports nothing else, the daemon validates the
same classes with pydantic's TypeAdapter. Sizes are bytes, times are seconds unless a name says
otherwise, moments are RFC 3339 text with six decimals and ``Z``. A name is loaded when it is first
used: making a dataclass takes about a millisecond, which the command would feel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.spec.gpus import GpuRequest as GpuRequest
    from launcher.spec.job_spec import ArrayRequest as ArrayRequest
    from launcher.spec.job_spec import JobSpec as JobSpec
    from launcher.spec.job_spec import Mount as Mount
    from launcher.spec.job_spec import Retries as Retries
    from launcher.spec.job_spec import SignalBefore as SignalBefore
    from launcher.spec.job_spec import Ulimit as Ulimit
    from launcher.spec.notify import NotifyTarget as NotifyTarget
    from launcher.wire.audit import AuditView as AuditView
    from launcher.wire.detail import AdviceView as AdviceView
    from launcher.wire.detail import ArrayPage as ArrayPage
    from launcher.wire.detail import AttemptView as AttemptView
    from launcher.wire.detail import DockerCommand as DockerCommand
    from launcher.wire.detail import EditRequest as EditRequest
    from launcher.wire.detail import EventView as EventView
    from launcher.wire.detail import JobDetail as JobDetail
    from launcher.wire.detail import LimitsView as LimitsView
    from launcher.wire.detail import RetryJobs as RetryJobs
    from launcher.wire.detail import SignalRequest as SignalRequest
    from launcher.wire.detail import TerminalView as TerminalView
    from launcher.wire.error import ErrorReply as ErrorReply
    from launcher.wire.frames import END as END
    from launcher.wire.frames import EVENT as EVENT
    from launcher.wire.frames import FRAME_HEADER_BYTES as FRAME_HEADER_BYTES
    from launcher.wire.frames import NOTE as NOTE
    from launcher.wire.frames import POSITION as POSITION
    from launcher.wire.frames import STDERR as STDERR
    from launcher.wire.frames import STDOUT as STDOUT
    from launcher.wire.frames import Frame as Frame
    from launcher.wire.frames import decode_header as decode_header
    from launcher.wire.frames import read_frames as read_frames
    from launcher.wire.history import EventLine as EventLine
    from launcher.wire.history import EventPage as EventPage
    from launcher.wire.history import Notification as Notification
    from launcher.wire.history import NotificationPage as NotificationPage
    from launcher.wire.history import NotifyFailure as NotifyFailure
    from launcher.wire.history import NotifyFailureView as NotifyFailureView
    from launcher.wire.history import NotifyReceipt as NotifyReceipt
    from launcher.wire.history import NotifyReport as NotifyReport
    from launcher.wire.history import NotifyRequest as NotifyRequest
    from launcher.wire.history import NotifyView as NotifyView
    from launcher.wire.history import PruneReply as PruneReply
    from launcher.wire.history import PruneRequest as PruneRequest
    from launcher.wire.history import PublishedArray as PublishedArray
    from launcher.wire.history import PublishedJob as PublishedJob
    from launcher.wire.images import ImageView as ImageView
    from launcher.wire.images import LocalImageView as LocalImageView
    from launcher.wire.images import OwnImageView as OwnImageView
    from launcher.wire.images import PublishRequest as PublishRequest
    from launcher.wire.images import RemoveImageRequest as RemoveImageRequest
    from launcher.wire.jobs import RegistryAuth as RegistryAuth
    from launcher.wire.jobs import SubmitRequest as SubmitRequest
    from launcher.wire.layout import DrainRequest as DrainRequest
    from launcher.wire.layout import GpuView as GpuView
    from launcher.wire.layout import InstanceView as InstanceView
    from launcher.wire.layout import LayoutChange as LayoutChange
    from launcher.wire.layout import LayoutEntry as LayoutEntry
    from launcher.wire.layout import LayoutPlan as LayoutPlan
    from launcher.wire.layout import LayoutRequest as LayoutRequest
    from launcher.wire.layout import LayoutSpec as LayoutSpec
    from launcher.wire.layout import PlaceView as PlaceView
    from launcher.wire.layout import ProfileView as ProfileView
    from launcher.wire.layout import RestoreRequest as RestoreRequest
    from launcher.wire.layout import SavedGpu as SavedGpu
    from launcher.wire.layout import SavedLayout as SavedLayout
    from launcher.wire.layout import SaveRequest as SaveRequest
    from launcher.wire.login import MOST_WEB_TOKEN as MOST_WEB_TOKEN
    from launcher.wire.login import LoginReply as LoginReply
    from launcher.wire.login import LoginRequest as LoginRequest
    from launcher.wire.login import WebCaller as WebCaller
    from launcher.wire.login import WebLogin as WebLogin
    from launcher.wire.login import WebSession as WebSession
    from launcher.wire.login import WebToken as WebToken
    from launcher.wire.machine import ChangeCount as ChangeCount
    from launcher.wire.machine import Check as Check
    from launcher.wire.machine import MetricFamily as MetricFamily
    from launcher.wire.machine import MetricSample as MetricSample
    from launcher.wire.machine import ProcessView as ProcessView
    from launcher.wire.machine import SliceView as SliceView
    from launcher.wire.machine import Status as Status
    from launcher.wire.queue import Ahead as Ahead
    from launcher.wire.queue import Forecast as Forecast
    from launcher.wire.queue import Gate as Gate
    from launcher.wire.queue import LaneView as LaneView
    from launcher.wire.queue import QueueEntry as QueueEntry
    from launcher.wire.queue import QueueStarts as QueueStarts
    from launcher.wire.queue import ReservationView as ReservationView
    from launcher.wire.queue import ReserveRequest as ReserveRequest
    from launcher.wire.queue import Run as Run
    from launcher.wire.queue import SelectRequest as SelectRequest
    from launcher.wire.queue import WhatIfLayout as WhatIfLayout
    from launcher.wire.queue import WhatIfRequest as WhatIfRequest
    from launcher.wire.queue import Why as Why
    from launcher.wire.shown import ARRAY_PARTS as ARRAY_PARTS
    from launcher.wire.shown import ArrayView as ArrayView
    from launcher.wire.shown import BlockerView as BlockerView
    from launcher.wire.shown import JobView as JobView
    from launcher.wire.shown import QueueHead as QueueHead
    from launcher.wire.shown import part_of as part_of
    from launcher.wire.shown import ref_of as ref_of
    from launcher.wire.terminal import CommandView as CommandView
    from launcher.wire.terminal import ExecRequest as ExecRequest
    from launcher.wire.terminal import PortView as PortView
    from launcher.wire.terminal import TerminalSize as TerminalSize
    from launcher.wire.usage import ClearCacheReply as ClearCacheReply
    from launcher.wire.usage import ClearCacheRequest as ClearCacheRequest
    from launcher.wire.usage import JobDisk as JobDisk
    from launcher.wire.usage import JobUsage as JobUsage
    from launcher.wire.usage import UsageReport as UsageReport
    from launcher.wire.usage import UsageView as UsageView
    from launcher.wire.usage import UserDisk as UserDisk

API_VERSION = 1
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_USERS_BODY_BYTES = 4 * 1024 * 1024
"""Limit for a submit or what-if of an ordinary user: reading a body blocks all other requests."""
MAX_SMALL_BODY_BYTES = 256 * 1024
"""Of every other request."""

ROLE_HEADER, OBSERVER = "Launcher-Role", "observer"
"""A request header and its value: the caller wants the rights of an observer, which are fewer."""
SESSION_HEADER = "Launcher-Session"
"""A request header of ``launch web``: the session of the user for whom it asks."""

_HOMES = {
    "spec.gpus": "GpuRequest",
    "spec.job_spec": "ArrayRequest JobSpec Mount Retries SignalBefore Ulimit",
    "spec.notify": "NotifyTarget",
    "wire.jobs": "RegistryAuth SubmitRequest",
    "wire.shown": "ARRAY_PARTS ArrayView BlockerView JobView QueueHead part_of ref_of",
    "wire.detail": "SignalRequest RetryJobs EditRequest AttemptView EventView "
    "LimitsView JobDetail ArrayPage DockerCommand TerminalView AdviceView",
    "wire.layout": "InstanceView GpuView ProfileView LayoutSpec LayoutEntry LayoutRequest "
    "PlaceView LayoutPlan LayoutChange DrainRequest RestoreRequest SavedGpu SavedLayout "
    "SaveRequest",
    "wire.queue": "Ahead Forecast Gate LaneView QueueEntry QueueStarts ReservationView "
    "ReserveRequest Run SelectRequest WhatIfLayout WhatIfRequest Why",
    "wire.login": "LoginRequest LoginReply MOST_WEB_TOKEN WebCaller WebLogin WebSession WebToken",
    "wire.images": "ImageView LocalImageView OwnImageView PublishRequest RemoveImageRequest",
    "wire.history": "EventLine EventPage PruneReply PruneRequest PublishedArray PublishedJob "
    "Notification NotificationPage NotifyFailure NotifyFailureView NotifyReceipt NotifyReport "
    "NotifyRequest NotifyView",
    "wire.usage": "ClearCacheReply ClearCacheRequest JobDisk JobUsage UsageReport UsageView "
    "UserDisk",
    "wire.machine": "SliceView Status Check ChangeCount ProcessView MetricFamily MetricSample",
    "wire.audit": "AuditView",
    "wire.terminal": "CommandView ExecRequest PortView TerminalSize",
    "wire.error": "ErrorReply",
    "wire.frames": "STDOUT STDERR NOTE EVENT POSITION END FRAME_HEADER_BYTES Frame decode_header "
    "read_frames",
}
_FORMER = {"JobRequest": "JobSpec", "RetryRequest": "Retries"}
"""Names of 0.1.0, for programs written for it."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load the module that a name lives in, once."""
    home = _HOME_OF.get(_FORMER.get(name, name))
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"launcher.{home}"), _FORMER.get(name, name))
    globals()[name] = value
    return value
