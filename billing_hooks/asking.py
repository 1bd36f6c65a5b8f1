"""What a stored event says: read, and where it names a charge and tells nothing of it, asked of the gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from billing_hooks import inbox
from billing_hooks.errands import Errand, Errands, NotYetKnown
from billing_hooks.gateways.base import AskBack, Fact, GatewayApi, PaymentReceived
from billing_hooks.models import InboxEntry
from core import topics
from core.clock import Clock
from core.work import Afterwards

UNKNOWN_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Asker:
    errands: Errands
    clock: Clock

    def handle_stored(self, session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of INBOX_STORED."""
        entry = inbox.claim(session, payload["inbox_id"])
        notice = inbox.read(session, entry) if entry is not None else None
        if entry is None or notice is None:
            return None
        if not isinstance(notice, AskBack):
            inbox.conclude(session, entry, [notice], self.clock)
            return None
        return self.errands.begin(session, self._errand(entry, notice, payload))

    def _errand(self, entry: InboxEntry, notice: AskBack, payload: dict[str, Any]) -> Errand[Sequence[Fact]]:
        inbox_id = entry.id
        return Errand(
            entry.account_id,
            topics.INBOX_STORED,
            payload,
            go=lambda api: _fetch(api, notice),
            conclude=lambda session, facts: _still_open(
                session, inbox_id, lambda entry: inbox.conclude(session, entry, facts, self.clock)
            ),
            refuse=lambda session, detail: _still_open(
                session, inbox_id, lambda entry: inbox.fail(session, entry, detail)
            ),
        )


def _still_open(session: Session, inbox_id: int, do: Callable[[InboxEntry], None]) -> None:
    entry = inbox.claim(session, inbox_id)
    if entry is not None:
        do(entry)


def _fetch(api: GatewayApi, notice: AskBack) -> Sequence[Fact]:
    facts = api.fetch(notice.reference)
    if notice.pays and not any(isinstance(fact, PaymentReceived) for fact in facts):
        raise NotYetKnown(
            f"the gateway does not know of a payment of {notice.reference}", retry_after_s=UNKNOWN_RETRY_S
        )
    return facts or ([notice.otherwise] if notice.otherwise is not None else [])
