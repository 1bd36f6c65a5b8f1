"""What no webhook told: each gateway's API is read on a schedule, and what it says is done as if it had been told.

A payment that is found so is done at once and recorded as found. Its webhook may only be late: it is lost when the
next reading knows of none still, and nothing that came waits to be understood. An account whose webhooks are lost,
whose queue is stopped, which is silent (`silence`), or whose API cannot be read for long has an alarm, which people see
and by which a run of suspensions stops: who paid there may look like a debtor here. What will be wrong if nobody does
something is a warning, which stops nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from billing_hooks import accounts, inbox, silence
from billing_hooks.errands import Errand, Errands
from billing_hooks.gateways import mutual_tls
from billing_hooks.gateways.base import Fact, GatewayApi, PaymentReceived, PaymentReversed
from billing_hooks.invoicing.words import Words, columns, day, moment
from billing_hooks.models import GatewayAccount, InboxEntry, InboxStatus
from core import events, outbox, payments, topics
from core.clock import Clock
from core.work import Afterwards

#: A lost webhook is found within the hour.
EVERY: Final = timedelta(minutes=20)
#: Read again beyond the last time: what an API shows late, and what its days without hours blur.
OVERLAP: Final = timedelta(hours=2)
#: Of an account that was never read.
FIRST: Final = timedelta(days=3)
#: An API that was not read for so long raises the alarm.
SILENT_AFTER: Final = timedelta(hours=1)
#: Longer than any gateway's first pause between two tries (Mercado Pago's quarter of an hour).
TOLD_WITHIN: Final = timedelta(minutes=16)
#: Since it was found, a lost webhook is an alarm for so long.
ALARMING_FOR: Final = timedelta(hours=1)
#: Days before its end at which a certificate is warned of, and warned of again.
CERTIFICATE_DAYS: Final = (7, 30)


_REVERSED: Final = ":reversed:"


@dataclass(frozen=True, slots=True)
class Reading:
    """What an API said, and what is wrong with the gateway's own queue, if it tells."""

    facts: Sequence[Fact]
    queue_alarm: Words | None


def owe_due(session: Session, now: datetime, zone: tzinfo) -> int:
    """Owe the reading of every account that is due; returns how many. Raises the alarm of those that cannot be read:
    moments in its words are the zone's."""
    readable = (GatewayAccount.enabled, GatewayAccount.credentials_encrypted.is_not(None))
    due = or_(GatewayAccount.reconciled_at.is_(None), GatewayAccount.reconciled_at <= now - EVERY)
    account_ids = session.scalars(select(GatewayAccount.id).where(*readable, due)).all()
    for account_id in account_ids:
        outbox.enqueue(session, topics.RECONCILE, {"account_id": account_id})
    silent = select(GatewayAccount).where(
        *readable, GatewayAccount.reconciled_at <= now - SILENT_AFTER, GatewayAccount.alarm.is_(None)
    )
    for account in session.scalars(silent).all():
        assert account.reconciled_at is not None  # noqa: S101  (it was asked for)
        set_alarm(session, account.id, _unread_since(account.reconciled_at, zone))
    unreadable = (GatewayAccount.enabled, GatewayAccount.credentials_encrypted.is_(None))
    for account_id in session.scalars(select(GatewayAccount.id).where(*unreadable)).all():
        set_alarm(session, account_id, silence.alarm_of(session, account_id, now, zone))
    return len(account_ids)


def alarms(session: Session) -> list[Words]:
    """What keeps a run from being believed, account by account."""
    rows = session.execute(
        select(GatewayAccount.name, GatewayAccount.alarm, GatewayAccount.alarm_pt).where(
            GatewayAccount.enabled, GatewayAccount.alarm.is_not(None)
        )
    )
    return [Words(f"{name}: {pt}", f"{name}: {en}") for name, en, pt in rows]


def set_alarm(session: Session, account_id: int, alarm: Words | None) -> None:
    """Told as an event when it changes. No edit of a person's: the account's version stays."""
    if _changed(session, account_id, "alarm", alarm):
        told = "gateway_account.alarm" if alarm else "gateway_account.well"
        events.record(session, told, "gateway_account", account_id, **columns("alarm", alarm))


def set_warning(session: Session, account_id: int, warning: Words | None) -> None:
    """Told as an event when there is one, and when it says more."""
    if _changed(session, account_id, "warning", warning) and warning:
        events.record(session, "gateway_account.warning", "gateway_account", account_id, **columns("warning", warning))


def certificate_warning(ends_at: datetime | None, now: datetime, zone: tzinfo) -> Words | None:
    """The same words from one of CERTIFICATE_DAYS to the next, so that each is told once."""
    if ends_at is None:
        return None
    last = ends_at.astimezone(zone).date()
    pt, en = day(last, "pt_BR"), day(last, "en")
    if ends_at <= now:
        ends = Words(f"venceu em {pt}", f"ended on {en}")
    else:
        within = next((days for days in CERTIFICATE_DAYS if ends_at <= now + timedelta(days=days)), None)
        if within is None:
            return None
        ends = Words(f"vence em {pt}, em {within} dias ou menos", f"ends on {en}, in {within} days or less")
    return Words(
        pt=f"o certificado com que se consulta a API {ends.pt}: peça outro ao banco e guarde-o, com a chave privada, "
        "nas credenciais da conta",
        en=f"the certificate that its API is asked with {ends.en}: have the bank make another, and save it with its "
        "private key in the account's credentials",
    )


@dataclass(frozen=True, slots=True)
class Reconciler:
    errands: Errands
    clock: Clock
    zone: tzinfo

    def handle_reconcile(self, session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of RECONCILE."""
        account = session.get(GatewayAccount, payload["account_id"])
        if account is None or not account.enabled or account.credentials_encrypted is None:
            return None
        now, account_id = self.clock(), account.id
        access = accounts.access_of(self.errands.connections.keyring, account)
        ends_at = mutual_tls.ends_at(access.credentials) if access is not None else None
        set_warning(session, account_id, certificate_warning(ends_at, now, self.zone))
        since = account.reconciled_at - OVERLAP if account.reconciled_at else now - FIRST
        errand: Errand[Reading] = Errand(
            account_id, topics.RECONCILE, payload,
            go=lambda api: _read(api, since),
            conclude=lambda session, reading: self._conclude(session, account_id, reading, now),
            refuse=lambda session, detail: set_alarm(session, account_id, _not_read(detail)),
        )  # fmt: skip
        return self.errands.begin(session, errand)

    def _conclude(self, session: Session, account_id: int, reading: Reading, read_at: datetime) -> None:
        account = session.get_one(GatewayAccount, account_id)
        for fact in reading.facts:
            self._apply(session, account, fact)
        session.execute(update(GatewayAccount).where(GatewayAccount.id == account_id).values(reconciled_at=read_at))
        lost = lost_webhooks(session, account_id, read_at)
        silent = silence.alarm_of(session, account_id, read_at, self.zone)
        alarm = reading.queue_alarm or _lost(lost) or silent
        set_alarm(session, account_id, alarm)

    def _apply(self, session: Session, account: GatewayAccount, fact: Fact) -> None:
        if not _is_news(session, account.id, fact):
            return
        entry = InboxEntry(
            account_id=account.id, gateway=account.gateway, event_id=f"{inbox.FOUND}{_key(fact)}", found=True,
            body=msgspec.json.encode(fact), status=InboxStatus.RECEIVED, received_at=self.clock(),
        )  # fmt: skip
        known = (InboxEntry.account_id == account.id, InboxEntry.event_id == entry.event_id)
        if session.scalar(select(InboxEntry.id).where(*known)) is not None:
            return
        session.add(entry)
        session.flush()
        inbox.conclude(session, entry, [fact], self.clock)


def lost_webhooks(session: Session, account_id: int, now: datetime) -> int:
    """How many payments were found a while ago, and told by no webhook since; none while something waits to be read."""
    of_account = InboxEntry.account_id == account_id
    unread = select(InboxEntry.id).where(of_account, InboxEntry.status == InboxStatus.RECEIVED).limit(1)
    if session.scalar(unread) is not None:
        return 0
    lost = (
        of_account, InboxEntry.found, InboxEntry.told_at.is_(None), InboxEntry.status == InboxStatus.DONE,
        ~InboxEntry.event_id.contains(_REVERSED), InboxEntry.received_at <= now - TOLD_WITHIN,
        InboxEntry.received_at > now - ALARMING_FOR,
    )  # fmt: skip
    return session.scalar(select(func.count()).select_from(InboxEntry).where(*lost)) or 0


def _unread_since(at: datetime, zone: tzinfo) -> Words:
    since = moment(at, zone)
    return Words(f"a API não pôde ser lida desde {since.pt}", f"its API could not be read since {since.en}")


def _not_read(detail: str) -> Words:
    """The gateway's own words stay as they came."""
    return Words(f"a leitura da API falhou: {detail}", f"reading its API failed: {detail}")


def _lost(payments_: int) -> Words | None:
    if not payments_:
        return None
    return Words(
        f"pagamentos que vieram sem que nenhum webhook avisasse: {payments_}",
        f"{payments_} payments came that no webhook told of",
    )


def _changed(session: Session, account_id: int, name: Literal["alarm", "warning"], words: Words | None) -> bool:
    of_account, values = GatewayAccount.id == account_id, columns(name, words)
    kept = select(*(getattr(GatewayAccount, column) for column in values)).where(of_account)
    if tuple(session.execute(kept).one()) == tuple(values.values()):
        return False
    session.execute(update(GatewayAccount).where(of_account).values(values))
    return True


def _read(api: GatewayApi, since: datetime) -> Reading:
    facts = list(api.since(since))
    return Reading(facts, api.queue_alarm())


def _is_news(session: Session, account_id: int, fact: Fact) -> bool:
    if isinstance(fact, PaymentReceived):
        known = payments.find_payment(session, account_id, fact.payment_id)
        grew = known is not None and fact.so_far and fact.amount_cents > known.amount_cents
        return known is None or grew or (known.settled_at is None and fact.settled_at is not None)
    if isinstance(fact, PaymentReversed):
        known = payments.find_payment(session, account_id, fact.payment_id)
        part = fact.amount_cents
        return known is not None and known.reversed_at is None and (part is None or part > known.refunded_cents)
    return False


def _key(fact: Fact) -> str:
    if isinstance(fact, PaymentReceived):
        sum_ = f":{fact.amount_cents}" if fact.so_far else ""
        return f"{fact.payment_id}:{'settled' if fact.settled_at else 'paid'}{sum_}"
    if isinstance(fact, PaymentReversed):
        return f"{fact.payment_id}{_REVERSED}{fact.amount_cents or 'whole'}"
    return repr(fact)
