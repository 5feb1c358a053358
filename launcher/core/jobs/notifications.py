"""Targets that users set for all their jobs, and notifications that could not be sent."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.changes import NotifyFailed
from launcher.core.messages.published import EventType, PublishedEvent
from launcher.core.world.world import World


def set_targets(world: World, event: ev.NotifyAsked, now: ev.Now) -> list[Action]:
    """Record a user's targets in place of the earlier ones."""
    world.changes.notify_targets[event.owner] = event.targets
    return []


def test(world: World, event: ev.NotifyTestAsked, now: ev.Now) -> list[Action]:
    """Publish an event that goes to the user's own targets."""
    owner = event.owner
    data = {"subject": None, "detail": f"notifications of {owner.name} work"}
    world.changes.events.append(
        PublishedEvent(now.wall, EventType.NOTIFY_TEST, data, owner.uid, owner.name)
    )
    return []


def failed(world: World, event: ev.NotifyReported, now: ev.Now) -> list[Action]:
    """Record what could not be sent, for its owner."""
    world.changes.notify_failures += [NotifyFailed(now.wall, *each) for each in event.failures]
    return []
