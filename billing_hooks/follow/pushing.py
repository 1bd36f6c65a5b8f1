"""A system that tells us over REST: what it says of a subscriber holds until it says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from billing_hooks.follow import sources, words
from billing_hooks.follow.adapters import PUSH
from billing_hooks.follow.base import Word, gather
from billing_hooks.follow.reader import restrict
from billing_hooks.runs import Billing
from core.errors import Conflict, InvalidInput


def push(session: Session, billing: Billing, source_id: int, said: Sequence[Word], now: datetime) -> int:
    """Returns how many it changed; the same again changes none. Raises InvalidInput, and then nothing is kept."""
    source = sources.get_source(session, source_id, lock=True)
    if source.kind != PUSH:
        raise Conflict(f"{source.name} is read: it is not to be told")
    if not source.enabled:
        raise Conflict(f"{source.name} is disabled")
    reading = gather(said)
    if reading.malformed:
        why = reading.malformed[0].words
        raise InvalidInput(why.en, detail_pt=why.pt, field="subscribers")
    changed = words.keep_pushed(session, source, reading.words, now)
    sources.note(session, source.id, read_at=now)
    sources.set_error(session, source.id, None)
    sources.set_alarm(session, source.id, None)
    restrict(session, billing, source)
    return changed
