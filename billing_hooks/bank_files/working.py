"""What the lines of bank files bring about, in chunks, each a transaction of its own.

    due -> facts (read for the chunk) -> judging (pure) -> payments, in a few statements for all of them

A line is due with the work of a file: because the file brought it, or news of it, or because it is to be looked at
again. A chunk that dies is not done, and the next one begins with the same lines. One line of an invoice or a title
comes in a chunk: the next is judged by what this one did.

Reversals take back what the same title's earlier payments brought. Which takes back which follows from the title's
lines alone, not from the order they came in, so a reversal may come before its payment and wait for it.

Payments are recorded with External("bank:<code>", BANK_ACCOUNT, <the line's identity>). No gateway account stands
behind them, so their account is 0, which no gateway account has; the identity begins with bank and account and is
nobody else's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from billing_hooks.bank_files import facts, store
from billing_hooks.bank_files.base import PAYS, BankLine, Kind
from billing_hooks.bank_files.facts import gateway_name
from billing_hooks.bank_files.judging import (
    Facts,
    Movement,
    Pay,
    Same,
    Wait,
    judge_payment,
    judge_reversal,
    pair_reversals,
    parts_of,
    title_of,
)
from billing_hooks.bank_files.matching import match
from billing_hooks.gateways.reading import BRASILIA, day
from billing_hooks.invoicing.words import Words
from billing_hooks.models import (
    BankFile,
    BankFileLine,
    BankFileStatus,
    BankLineStatus,
    Charge,
    ChargeStatus,
    ContractBilling,
)
from core import events, outbox, payments, topics
from core.access import HoldReason
from core.audit import Actor
from core.clock import Clock
from core.errors import ProvedorError
from core.invoices import External
from core.models.service import Hold, Service
from core.payments import Receipt, Recorded, Terms

#: The account of payments that bank files told: none, and gateway accounts are numbered from 1.
BANK_ACCOUNT: Final = 0
#: Lines done in one transaction: a payment for an invoice of one of them waits for it, a tenth of a second.
CHUNK: Final = 100
#: Lines of which the facts are read at once, where nothing is locked.
_PAGE: Final = 1000
#: Lines that wait, looked at again in one go when the clock says so; older ones by `retry` only.
LOOKED_AT_MAX: Final = 5000
_OPEN: Final = (BankLineStatus.WAITING, BankLineStatus.AWAITS_PAYMENT)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BankFiles:
    clock: Clock

    def handle_due(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of BANK_FILE_DUE: read the file, or do its next lines."""
        wanted = select(BankFile).where(BankFile.id == payload["file_id"]).with_for_update()
        file = session.scalar(wanted.execution_options(populate_existing=True))
        if file is None or file.status is BankFileStatus.REFUSED:
            return
        if file.status is BankFileStatus.RECEIVED:
            store.read(session, file, self.clock())
        elif not work(session, file, self.clock()):
            _finish(session, file, self.clock())
            return
        outbox.enqueue(session, topics.BANK_FILE_DUE, {"file_id": file.id})

    def look_again(self, session: Session) -> int:
        """Have lines done for which what they wait for has come; returns how many."""
        waiting = select(BankFileLine).where(BankFileLine.status.in_(_OPEN), BankFileLine.due_file_id.is_(None))
        lines = session.scalars(waiting.order_by(BankFileLine.id.desc()).limit(LOOKED_AT_MAX)).all()
        ready = [line for page in _pages(lines) for line in self._ready(session, page)]
        return _make_due(session, BankFileLine.id.in_([line.id for line in ready])) if ready else 0

    def _ready(self, session: Session, lines: Sequence[BankFileLine]) -> list[BankFileLine]:
        known = facts.read(session, [as_read(line) for line in lines], lock=False)
        return [line for line in lines if self._is_ready(line, known)]

    def _is_ready(self, line: BankFileLine, known: Facts) -> bool:
        if line.kind is not Kind.REVERSED:
            return not isinstance(judge_payment(as_read(line), known, _today(self.clock())), Wait)
        return line.status is BankLineStatus.AWAITS_PAYMENT and judge_reversal(as_read(line), known) is not None


def retry(session: Session, file_id: int | None = None) -> int:
    """Look again at all lines that wait, or at one file's; returns how many."""
    of_file = (BankFileLine.file_id == file_id,) if file_id is not None else ()
    return _make_due(session, BankFileLine.status.in_(_OPEN), *of_file)


def work(session: Session, file: BankFile, now: datetime) -> bool:
    """Do the next lines that are due with this file; False where there are none."""
    due = select(BankFileLine).where(BankFileLine.due_file_id == file.id).order_by(BankFileLine.id).limit(CHUNK)
    lock_accounts(session, session.scalars(due).all())
    lines = session.scalars(due.with_for_update().execution_options(populate_existing=True)).all()
    if lines:
        _do_all(session, lines, Actor(file.imported_by), now)
    return bool(lines)


def lock_accounts(session: Session, lines: Iterable[BankFileLine]) -> None:
    """One chunk of an account at a time, or one person: else two could each miss the other's lines. Taken before the
    lines themselves."""
    for key in sorted({f"bank_file:{line.bank}:{line.account}" for line in lines}):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def as_read(line: BankFileLine) -> BankLine:
    """What its file said."""
    return BankLine(**{name: getattr(line, name) for name in store.LINE_FIELDS})


def external_of(line: BankFileLine) -> External:
    return External(gateway_name(line.bank), BANK_ACCOUNT, line.identity)


def terms_of(line: BankFileLine, *, late_cents: int = 0, discount_cents: int = 0) -> Terms:
    """`late_cents` and `discount_cents`: fine and interest, or what was let off, beside what the line says itself."""
    parts, settled = parts_of(as_read(line)), line.credited_on
    return Terms(
        parts.surcharge_cents + late_cents, parts.discount_cents + discount_cents,
        day(settled, "credited_on") if settled else None, line.net_cents if settled else None,
    )  # fmt: skip


def settle_title(session: Session, line: BankFileLine, actor: Actor, now: datetime) -> None:
    """Bring the payments of a title in step with its reversals, all of its lines seen together."""
    if not line.title:
        return
    same = (BankFileLine.bank == line.bank, BankFileLine.account == line.account, BankFileLine.title == line.title)
    lines = {one.id: one for one in session.scalars(select(BankFileLine).where(*same, facts.TAKEN))}
    paying = [one for one in lines.values() if one.kind in PAYS and one.status is BankLineStatus.RECORDED]
    # What a person decided stays so.
    reversals = [one for one in lines.values() if one.kind is Kind.REVERSED and one.decided_by is None]
    pairs = pair_reversals([_movement(one) for one in paying], [_movement(one) for one in reversals])
    before = {one.payment_id for one in reversals if one.payment_id is not None}
    after = {lines[pairs[one.id]].payment_id for one in reversals if one.id in pairs}
    for payment_id in sorted(filter(None, before - after)):
        payments.undo_reversal(session, payment_id, now=now, actor=actor)
    for payment_id in sorted(filter(None, after - before)):
        payments.reverse_payment(session, payment_id, now=now, actor=actor)
    for reversal in reversals:
        paired = lines.get(pairs.get(reversal.id, 0))
        if paired is not None:
            reversal.status, reversal.reason, reversal.reason_pt = BankLineStatus.RECORDED, None, None
            reversal.payment_id, reversal.invoice_id = paired.payment_id, paired.invoice_id
        elif reversal.status is BankLineStatus.RECORDED:
            reversal.status, reversal.payment_id = BankLineStatus.AWAITS_PAYMENT, None
    session.flush()


@dataclass(slots=True)
class _Chunk:
    """What is to be done, found line by line and then done for all at once."""

    known: Facts
    paying: list[tuple[BankFileLine, Pay]] = field(default_factory=list)
    joining: list[tuple[BankFileLine, Same]] = field(default_factory=list)
    reversing: list[BankFileLine] = field(default_factory=list)
    credited: list[BankFileLine] = field(default_factory=list)
    events: list[events.Happened] = field(default_factory=list)


def _do_all(session: Session, lines: Sequence[BankFileLine], actor: Actor, now: datetime) -> None:
    """At once; or, where one of them cannot be done, each by itself, and that one waits with the reason."""
    try:
        with session.begin_nested():
            _do(session, lines, actor, now)
    except (ProvedorError, IntegrityError, DataError) as error:
        if len(lines) == 1:
            _could_not(session, lines[0], error)
            return
        for line in lines:
            _do_all(session, [line], actor, now)


def _do(session: Session, lines: Sequence[BankFileLine], actor: Actor, now: datetime) -> None:
    read = {line.id: as_read(line) for line in lines}
    chunk = _Chunk(facts.read(session, list(read.values()), lock=True))
    touched: set[Hashable] = set()
    for line in lines:
        names = _touches(line, read[line.id], chunk.known)
        if touched.isdisjoint(names):
            touched |= names
            line.due_file_id = None
            _sort(line, read[line.id], chunk, now)
    _record(session, chunk, actor)
    _settle(session, chunk.credited)
    _reverse(session, chunk, read, actor, now)
    session.flush()
    events.record_many(session, chunk.events)


def _touches(line: BankFileLine, read: BankLine, known: Facts) -> set[Hashable]:
    """What it may change, by which it is judged."""
    invoice_id = match(read, known.candidates).invoice_id
    return {title_of(line) if line.title else line.id} | ({invoice_id} if invoice_id is not None else set())


def _sort(line: BankFileLine, read: BankLine, chunk: _Chunk, now: datetime) -> None:
    if line.status is BankLineStatus.RECORDED:
        if line.kind in PAYS and line.payment_id is not None and line.credited_on is not None:
            chunk.credited.append(line)
    elif line.status is BankLineStatus.DISMISSED:
        return
    elif line.kind in PAYS:
        verdict = judge_payment(read, chunk.known, _today(now))
        if isinstance(verdict, Pay):
            chunk.paying.append((line, verdict))
        elif isinstance(verdict, Same):
            chunk.joining.append((line, verdict))
        else:
            chunk.events += _wait(line, verdict.reason)
    elif line.kind is Kind.REVERSED:
        chunk.reversing.append(line)
    else:
        _tell(line, read, chunk)


def _tell(line: BankFileLine, read: BankLine, chunk: _Chunk) -> None:
    """Nothing is done, and whoever looks at the invoice finds it."""
    line.status = BankLineStatus.TOLD
    if not line.occurrence:
        return
    line.invoice_id = match(read, chunk.known.candidates).invoice_id
    if line.kind in {Kind.REJECTED, Kind.CANCELLED}:
        told = {"title": line.title, "occurrence": line.occurrence, "invoice_id": line.invoice_id}
        chunk.events.append((f"bank_title.{line.kind}", "bank_file_line", line.id, told))


def _wait(line: BankFileLine, reason: Words) -> list[events.Happened]:
    """Told once for each reason, however often it is looked at."""
    news = line.status is not BankLineStatus.WAITING or line.reason != reason.en
    line.status, line.reason, line.reason_pt = BankLineStatus.WAITING, reason.en, reason.pt
    told = {"reason": reason.en, "reason_pt": reason.pt}
    return [("bank_line.waiting", "bank_file_line", line.id, told)] if news else []


def _record(session: Session, chunk: _Chunk, actor: Actor) -> None:
    recorded = payments.record_payments(session, [_receipt(line, pay) for line, pay in chunk.paying], actor)
    payments.tell_again(
        session, {same.payment_id: (external_of(line), terms_of(line)) for line, same in chunk.joining}, actor
    )
    for line, pay in chunk.paying:
        _recorded(line, pay.invoice_id, recorded.payment_ids[line.identity])
    for line, same in chunk.joining:
        _recorded(line, same.invoice_id, same.payment_id)
    _owe_what_follows(session, recorded)


def _receipt(line: BankFileLine, pay: Pay) -> Receipt:
    assert line.occurred_on is not None  # noqa: S101  (readers give no payment without its day)
    paid_at = day(line.occurred_on, "occurred_on")
    terms = terms_of(line, late_cents=pay.late_cents, discount_cents=pay.discount_cents)
    return Receipt(pay.invoice_id, line.paid_cents, paid_at, line.method, external_of(line), terms)


def _recorded(line: BankFileLine, invoice_id: int, payment_id: int) -> None:
    line.invoice_id, line.payment_id, line.status = invoice_id, payment_id, BankLineStatus.RECORDED
    line.reason = line.reason_pt = None


def _owe_what_follows(session: Session, recorded: Recorded) -> None:
    """For who has something that may change: else twenty thousand payments would stand before the next one of a
    gateway, to find out that nothing was held and no charge open."""
    held = select(Service.contract_id).join(Hold, Hold.service_id == Service.id).where(
        Service.contract_id.in_(recorded.contract_ids), Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None)
    )  # fmt: skip
    restricted = select(ContractBilling.contract_id).where(
        ContractBilling.contract_id.in_(recorded.contract_ids),
        or_(ContractBilling.restricted_since.is_not(None), ContractBilling.termination_proposed_at.is_not(None)),
    )
    charged = select(Charge.invoice_id).distinct().where(
        Charge.invoice_id.in_(recorded.closed_ids), Charge.status.in_([ChargeStatus.ORDERED, ChargeStatus.OPEN])
    )  # fmt: skip
    if recorded.contract_ids:
        contract_ids = sorted(session.scalars(held.union(restricted)))
        outbox.enqueue_all(session, topics.STANDING_CHANGED, [{"contract_id": one} for one in contract_ids])
    if recorded.closed_ids:
        invoice_ids = sorted(session.scalars(charged))
        outbox.enqueue_all(session, topics.INVOICE_CLOSED, [{"invoice_id": one} for one in invoice_ids])


def _settle(session: Session, lines: Iterable[BankFileLine]) -> None:
    """The day of the credit, told after the payment."""
    settled = {
        line.payment_id: (day(line.credited_on, "credited_on"), line.net_cents)
        for line in lines
        if line.payment_id is not None and line.credited_on is not None
    }
    if settled:
        payments.settle_payments(session, settled)


def _reverse(session: Session, chunk: _Chunk, read: dict[int, BankLine], actor: Actor, now: datetime) -> None:
    """Titles that have reversals, each by itself: they are few."""
    for line in chunk.reversing:
        line.status = BankLineStatus.AWAITS_PAYMENT
        line.invoice_id = match(read[line.id], chunk.known.candidates).invoice_id
        session.flush()
        settle_title(session, line, actor, now)
        doubt = judge_reversal(read[line.id], chunk.known) if line.status is BankLineStatus.AWAITS_PAYMENT else None
        if doubt is not None:
            chunk.events += _wait(line, doubt.reason)
    for line, _ in (*chunk.paying, *chunk.joining):
        if any(one.kind is Kind.REVERSED for one in chunk.known.of_title(read[line.id])):
            session.flush()
            settle_title(session, line, actor, now)


def _could_not(session: Session, line: BankFileLine, error: Exception) -> None:
    detail = error.detail if isinstance(error, ProvedorError) else type(error).__name__
    log.warning("bank line could not be done", line_id=line.id, detail=detail)
    line.due_file_id = None
    happened = _wait(line, Words(detail, detail))
    session.flush()
    events.record_many(session, happened)


def _finish(session: Session, file: BankFile, now: datetime) -> None:
    if file.status is BankFileStatus.DONE:
        return
    file.status, file.finished_at = BankFileStatus.DONE, now
    session.flush()
    events.record(
        session, "bank_file.imported", "bank_file", file.id, layout=file.layout, new=file.lines_new,
        repeated=file.lines_repeated, unreadable=len(file.problems.get("lines", [])),
    )  # fmt: skip


def _make_due(session: Session, *where: ColumnElement[bool]) -> int:
    """Each with the work of its own file."""
    due = update(BankFileLine).where(*where).values(due_file_id=BankFileLine.file_id).returning(BankFileLine.file_id)
    file_ids = session.scalars(due.execution_options(synchronize_session=False)).all()
    outbox.enqueue_all(session, topics.BANK_FILE_DUE, [{"file_id": file_id} for file_id in sorted(set(file_ids))])
    return len(file_ids)


def _movement(line: BankFileLine) -> Movement:
    assert line.occurred_on is not None  # noqa: S101  (readers give no payment or reversal without its day)
    return Movement(line.occurred_on, abs(line.paid_cents), line.identity, line.id)


def _pages(lines: Sequence[BankFileLine]) -> list[Sequence[BankFileLine]]:
    return [lines[start : start + _PAGE] for start in range(0, len(lines), _PAGE)]


def _today(now: datetime) -> date:
    return now.astimezone(BRASILIA).date()
