"""The background work of following, for `provedor` to wire."""

from __future__ import annotations

from datetime import tzinfo

from billing_hooks.follow import reader
from billing_hooks.follow.reader import Reader
from core import topics
from core.clock import Clock
from core.work import Handler, Periodic

#: How often it is looked who is due: a source's own pace, and this, are the most that its word waits to be asked for.
LOOK_EVERY_S = 5.0


def handlers(given: Reader) -> dict[str, Handler]:
    return {topics.FOLLOW_READ.name: given.handle_read}


def periodic(clock: Clock, zone: tzinfo) -> list[Periodic]:
    return [Periodic("billing.follow", LOOK_EVERY_S, lambda session: reader.owe_due(session, clock(), zone))]
