"""Billing's background work, for `provedor` to wire."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from billing_hooks import pauses, plan_changes, reconciliation
from billing_hooks.asking import Asker
from billing_hooks.bank_files.working import BankFiles
from billing_hooks.charges import Charger
from billing_hooks.errands import Errands
from billing_hooks.issuing.issue import Issuing
from billing_hooks.reconciliation import Reconciler
from billing_hooks.runs import Billing, RunUnsafe
from core import holds, topics
from core.clock import Clock
from core.keyring import Keyring
from core.work import Handler, Periodic

RUN_EVERY_S = 600.0
INVOICES_EVERY_S = 600.0
RECONCILE_EVERY_S = 300.0
#: How long an invoice is there before a bank's line finds it that came earlier.
LOOK_AGAIN_EVERY_S = 60.0
EXPIRE_EVERY_S = 5.0
#: What customers asked for is done so soon after its day begins.
ASKED_EVERY_S = 5.0

log = structlog.get_logger()


def handlers(billing: Billing, errands: Errands, clock: Clock, public_url: str) -> dict[str, Handler]:
    charger = Charger(errands, clock, public_url)
    issuing = Issuing(billing.zone, clock, billing.country)
    return {
        topics.INBOX_STORED.name: Asker(errands, clock).handle_stored,
        topics.CHARGE_DUE.name: charger.handle_due,
        topics.INVOICE_CLOSED.name: charger.handle_invoice_closed,
        topics.INVOICES_DUE.name: issuing.handle_due,
        topics.RECONCILE.name: Reconciler(errands, clock, billing.zone).handle_reconcile,
        topics.STANDING_CHANGED.name: billing.handle_standing_changed,
        topics.PROMISE_OVER.name: billing.handle_promise_over,
        topics.BILLING_CHUNK.name: billing.handle_chunk,
        topics.BANK_FILE_DUE.name: BankFiles(clock).handle_due,
    }


def periodic(billing: Billing, keyring: Keyring, clock: Clock) -> list[Periodic]:
    return [
        Periodic("billing.run", RUN_EVERY_S, lambda session: _run(session, billing)),
        Periodic("billing.invoices", INVOICES_EVERY_S, Issuing(billing.zone, clock, billing.country).owe_due),
        Periodic(
            "billing.reconcile",
            RECONCILE_EVERY_S,
            lambda session: reconciliation.owe_due(session, clock(), billing.zone),
        ),
        Periodic("billing.look_again_at_bank_lines", LOOK_AGAIN_EVERY_S, BankFiles(clock).look_again),
        Periodic("core.expire_holds", EXPIRE_EVERY_S, lambda session: holds.expire_holds(session, now=clock())),
        Periodic(
            "billing.apply_plan_changes",
            ASKED_EVERY_S,
            lambda session: plan_changes.apply_due(session, keyring, clock(), billing.zone),
        ),
        Periodic("billing.keep_pauses", ASKED_EVERY_S, lambda session: pauses.keep(session, clock(), billing.zone)),
    ]


def _run(session: Session, billing: Billing) -> None:
    """The scheduled run; one that is not safe is kept with its list, and has asked for a person by an event."""
    try:
        billing.run(session)
    except RunUnsafe as refused:
        log.warning("billing run stopped", detail=refused.detail)
