"""Importing bank files: a file once, a line once, a payment once, in whatever order they come.

A file is known by its octets, a line by what it says (`BankLine.identity`), and a payment by its line: it is recorded
with External("bank:<code>", BANK_ACCOUNT, <identity>). No gateway account stands behind it, so its account is 0, which
no gateway account has; the identity begins with bank and account and is nobody else's.

Reversals take back what the same title's earlier payments brought. Which takes back which follows from the title's
lines alone, not from the order they came in, so a reversal may come before its payment and wait for it.

What nothing proves waits for a person: `match_line` or `dismiss_line`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks.bank_files import matching, source
from billing_hooks.bank_files.base import PAYS, BankLine, BankRows, Kind
from billing_hooks.bank_files.matching import Candidates, gateway_name
from billing_hooks.bank_files.spreadsheet import CsvMapping
from billing_hooks.gateways.reading import BRASILIA, day
from billing_hooks.models import BankFile, BankFileLine, BankLineStatus
from core import audit, events, invoices
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.invoices import External, Terms
from core.models.billing import InvoiceStatus, Payment
from core.models.party import Company

#: The account of payments that bank files told: none, and gateway accounts are numbered from 1.
BANK_ACCOUNT: Final = 0
#: A line of a day further ahead than this says something else than a payment that was made.
AHEAD_MAX: Final = timedelta(days=1)
REASON_LENGTH_MAX: Final = 500

_CLOSED: Final = frozenset({BankLineStatus.RECORDED, BankLineStatus.DISMISSED})


def import_file(
    session: Session,
    octets: bytes,
    *,
    name: str,
    actor: Actor,
    now: datetime,
    how: str | CsvMapping | None = None,
    account: str | None = None,
) -> BankFile:
    """Read a file, keep its lines and record what they prove; the same octets again are the first one's result.

    `how` names a CNAB layout or maps a CSV where the file does not say what it is; `account` is the agreement or
    account that it has to be of. Raises BankFileMalformed, BankFileOfAnother, and InvalidInput for a layout or mapping.
    """
    digest = _digest(octets, how)
    known = session.scalar(select(BankFile).where(BankFile.digest == digest))
    if known is not None:
        return known
    rows = source.read(octets, how)
    source.refuse_another(rows, documents=list(session.scalars(select(Company.document))), account=account)
    _lock_account(session, rows.bank, rows.account)
    file = _store_file(session, digest, rows, name, actor, now)
    if file is None:  # somebody sent it at the same time, and was first
        return session.scalars(select(BankFile).where(BankFile.digest == digest)).one()
    _take_lines(session, file, rows, actor, now)
    counts = {"new": file.lines_new, "repeated": file.lines_repeated, "unreadable": len(rows.problems)}
    audit.record(session, actor, "import", "bank_file", file.id, {"name": name, "digest": digest, **counts})
    events.record(session, "bank_file.imported", "bank_file", file.id, layout=rows.layout, **counts)
    session.flush()
    return file


def match_line(session: Session, line_id: int, invoice_id: int, actor: Actor, *, now: datetime) -> BankFileLine:
    """A person says which invoice a waiting line pays, or of which invoice it takes the payment back.

    Raises NotFound, InvalidInput for a line that is no payment, Conflict for one that is decided already.
    """
    line = _open_line(session, line_id)
    if line.kind in PAYS:
        _record(session, line, invoice_id, actor, now)
    elif line.kind is Kind.REVERSED:
        payment = _payment_to_reverse(session, line, invoice_id)
        invoices.reverse_payment(session, payment.id, now=now, actor=actor)
        line.invoice_id, line.payment_id, line.status = invoice_id, payment.id, BankLineStatus.RECORDED
    else:
        raise InvalidInput(f"line {line_id} is of kind {line.kind} and pays nothing", field="line_id")
    _decide(line, actor, now, reason=None)
    session.flush()
    _settle_title(session, line, actor, now)
    changes = {"invoice_id": invoice_id, "payment_id": line.payment_id}
    audit.record(session, actor, "match", "bank_file_line", line.id, changes)
    events.record(session, "bank_line.matched", "bank_file_line", line.id, **changes)
    return line


def dismiss_line(session: Session, line_id: int, reason: str, actor: Actor, *, now: datetime) -> BankFileLine:
    """A person says that a waiting line is no business of ours, and why. Raises NotFound, InvalidInput, Conflict."""
    said = reason.strip()
    if not said or len(said) > REASON_LENGTH_MAX or "\x00" in said:
        raise InvalidInput(f"say why, in {REASON_LENGTH_MAX} characters at most", field="reason")
    line = _open_line(session, line_id)
    line.status = BankLineStatus.DISMISSED
    _decide(line, actor, now, reason=said)
    session.flush()
    audit.record(session, actor, "dismiss", "bank_file_line", line.id, {"reason": said})
    events.record(session, "bank_line.dismissed", "bank_file_line", line.id, reason=said)
    return line


class Movement(NamedTuple):
    """A payment or a reversal of a title. `id` is the line's."""

    on: date
    amount_cents: int
    identity: str
    id: int


def pair_reversals(payments: Sequence[Movement], reversals: Sequence[Movement]) -> dict[int, int]:
    """Which reversal takes back which payment: the last one before it, of its amount where it has one. Pure.

    The same for the same lines in any order.
    """
    left = sorted(payments)
    pairs: dict[int, int] = {}
    for reversal in sorted(reversals):
        earlier = [one for one in left if one.on <= reversal.on and reversal.amount_cents in {0, one.amount_cents}]
        if earlier:
            pairs[reversal.id] = earlier[-1].id
            left.remove(earlier[-1])
    return pairs


@dataclass(frozen=True, slots=True)
class Parts:
    """Of what was paid: fine and interest, and what was let off. amount - surcharge + discount pays the invoice."""

    surcharge_cents: int
    discount_cents: int


def parts_of(line: BankFileLine) -> Parts:
    """What the bank says, where it adds up to what was paid; else no more of it than is over, or missing. Pure.

    So what was not asked for stays an overpayment, and what was not let off stays owed.
    """
    let_off = line.discount_cents + line.rebate_cents
    if not line.nominal_cents:
        return Parts(0, 0)
    if line.paid_cents == line.nominal_cents + line.interest_cents - let_off and line.interest_cents <= line.paid_cents:
        return Parts(line.interest_cents, let_off)
    over = line.paid_cents - line.nominal_cents
    return Parts(min(max(over, 0), line.interest_cents), min(max(-over, 0), let_off))


def _digest(octets: bytes, how: str | CsvMapping | None) -> str:
    """Of a file that does not say itself how it is read, that is a part of what was imported."""
    said = b"" if how is None else f"\0{how!r}".encode()
    return hashlib.sha256(octets + said).hexdigest()


def _lock_account(session: Session, bank: str, account: str) -> None:
    """One file of an account at a time: else two could each miss the other's lines."""
    key = f"bank_file:{bank}:{account}"
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def _store_file(
    session: Session, digest: str, rows: BankRows, name: str, actor: Actor, now: datetime
) -> BankFile | None:
    values = {
        "digest": digest, "name": name.replace("\x00", "")[:255], "format": rows.format, "layout": rows.layout,
        "bank": rows.bank, "account": rows.account, "company_document": rows.company_document,
        "period_from": rows.period_from, "period_until": rows.period_until, "imported_by": actor.name,
        "imported_at": now, "problems": {"lines": [problem._asdict() for problem in rows.problems]},
    }  # fmt: skip
    file_id = session.scalar(insert(BankFile).values(values).on_conflict_do_nothing().returning(BankFile.id))
    return session.get_one(BankFile, file_id) if file_id is not None else None


def _take_lines(session: Session, file: BankFile, rows: BankRows, actor: Actor, now: datetime) -> None:
    among = matching.candidates(session, rows)
    for read in rows.lines:
        line = _store_line(session, file, read)
        if line is None:
            file.lines_repeated += 1
            _take_news(session, read, actor, now)
        else:
            file.lines_new += 1
            _apply(session, line, read, among, actor, now)


def _store_line(session: Session, file: BankFile, read: BankLine) -> BankFileLine | None:
    """None for one that is known."""
    values = asdict(read) | {"file_id": file.id, "identity": read.identity, "status": BankLineStatus.TOLD}
    del values["boleto_key"]
    statement = insert(BankFileLine).values(values).on_conflict_do_nothing().returning(BankFileLine.id)
    line_id = session.scalar(statement)
    return session.get_one(BankFileLine, line_id) if line_id is not None else None


def _take_news(session: Session, read: BankLine, actor: Actor, now: datetime) -> None:
    """A line that is told again may say what it did not know before: the day of the credit."""
    if read.credited_on is None:
        return
    known = (BankFileLine.identity == read.identity, BankFileLine.credited_on.is_(None))
    line = session.scalar(select(BankFileLine).where(*known).with_for_update())
    if line is None:
        return
    line.credited_on, line.net_cents = read.credited_on, read.net_cents
    if line.status is BankLineStatus.RECORDED and line.kind in PAYS and line.invoice_id is not None:
        _record(session, line, line.invoice_id, actor, now)
    session.flush()


def _apply(
    session: Session, line: BankFileLine, read: BankLine, among: Candidates, actor: Actor, now: datetime
) -> None:
    if line.kind in PAYS:
        _pay(session, line, read, among, actor, now)
    elif line.kind is Kind.REVERSED:
        line.status = BankLineStatus.AWAITS_PAYMENT
        line.invoice_id = matching.match(read, among).invoice_id
        session.flush()
        _settle_title(session, line, actor, now)
        if line.status is BankLineStatus.AWAITS_PAYMENT and not line.occurrence:  # a statement's: no title to wait for
            _wait(session, line, read, "nothing says which payment this takes back")
    elif line.occurrence:
        _tell(session, line, read, among)


def _tell(session: Session, line: BankFileLine, read: BankLine, among: Candidates) -> None:
    """Nothing is done, and whoever looks at the invoice finds it."""
    line.invoice_id = matching.match(read, among).invoice_id
    if line.kind in {Kind.REJECTED, Kind.CANCELLED}:
        events.record(
            session, f"bank_title.{line.kind}", "bank_file_line", line.id,
            title=line.title, occurrence=line.occurrence, invoice_id=line.invoice_id,
        )  # fmt: skip
    session.flush()


def _pay(session: Session, line: BankFileLine, read: BankLine, among: Candidates, actor: Actor, now: datetime) -> None:
    found = matching.match(read, among)
    reason = found.reason or _doubt(session, line, read, found.invoice_id, now)
    if reason or found.invoice_id is None:
        _wait(session, line, read, reason)
        return
    try:
        with session.begin_nested():
            _record(session, line, found.invoice_id, actor, now)
    except (NotFound, Conflict, InvalidInput) as error:
        _wait(session, line, read, error.detail)
        return
    _settle_title(session, line, actor, now)


def _doubt(session: Session, line: BankFileLine, read: BankLine, invoice_id: int | None, now: datetime) -> str:
    """Why a line that names an invoice is looked at by a person first."""
    if line.paid_cents <= 0:
        return "says that it was paid, and no amount"
    if line.occurred_on is not None and line.occurred_on > now.astimezone(BRASILIA).date() + AHEAD_MAX:
        return "lies in the future"
    twin = _twin(session, line)
    if twin is not None:
        return f"the same title was paid with this amount on this day by occurrence {twin}: it may be told twice"
    if invoice_id is None:
        return ""
    if line.kind is Kind.CREDIT and invoices.get_invoice(session, invoice_id).status is not InvoiceStatus.OPEN:
        return f"invoice {invoice_id} is not open"
    return matching.paid_elsewhere(session, invoice_id, read) or ""


def _twin(session: Session, line: BankFileLine) -> str | None:
    """The occurrence of another line that could be this payment."""
    if not line.occurrence:
        return None
    others = select(BankFileLine.occurrence).where(
        BankFileLine.bank == line.bank,
        BankFileLine.account == line.account,
        BankFileLine.title == line.title,
        BankFileLine.kind.in_(PAYS),
        BankFileLine.status == BankLineStatus.RECORDED,
        BankFileLine.paid_cents == line.paid_cents,
        BankFileLine.occurred_on == line.occurred_on,
        BankFileLine.id != line.id,
    )
    return session.scalar(others.limit(1))


def _wait(session: Session, line: BankFileLine, read: BankLine, reason: str) -> None:
    line.status, line.reason = BankLineStatus.WAITING, reason
    line.suggestions = {"invoices": matching.suggest(session, read)}
    events.record(session, "bank_line.waiting", "bank_file_line", line.id, reason=reason)
    session.flush()


def _record(session: Session, line: BankFileLine, invoice_id: int, actor: Actor, now: datetime) -> None:
    if line.occurred_on is None or line.paid_cents <= 0:
        raise InvalidInput(f"line {line.id} says no amount or no day", field="line_id")
    parts = parts_of(line)
    payment = invoices.record_payment(
        session,
        invoice_id,
        amount_cents=line.paid_cents,
        paid_at=day(line.occurred_on, "occurred_on"),
        method=line.method,
        actor=actor,
        now=now,
        currency="BRL",
        external=External(gateway_name(line.bank), BANK_ACCOUNT, line.identity),
        terms=Terms(
            parts.surcharge_cents,
            parts.discount_cents,
            day(line.credited_on, "credited_on") if line.credited_on else None,
            line.net_cents if line.credited_on else None,
        ),
    )
    line.invoice_id, line.payment_id, line.status = invoice_id, payment.id, BankLineStatus.RECORDED
    session.flush()


def _settle_title(session: Session, line: BankFileLine, actor: Actor, now: datetime) -> None:
    """Bring the payments of a title in step with its reversals, all of its lines seen together."""
    if not line.title:
        return
    same = (BankFileLine.bank == line.bank, BankFileLine.account == line.account, BankFileLine.title == line.title)
    living = BankFileLine.status.in_({BankLineStatus.RECORDED, BankLineStatus.AWAITS_PAYMENT})
    lines = {one.id: one for one in session.scalars(select(BankFileLine).where(*same, living))}
    payments = [one for one in lines.values() if one.kind in PAYS]
    # What a person decided stays so.
    reversals = [one for one in lines.values() if one.kind is Kind.REVERSED and one.decided_by is None]
    pairs = pair_reversals([_movement(one) for one in payments], [_movement(one) for one in reversals])
    before = {one.payment_id for one in reversals if one.payment_id is not None}
    after = {lines[pairs[one.id]].payment_id for one in reversals if one.id in pairs}
    for payment_id in sorted(filter(None, before - after)):
        invoices.undo_reversal(session, payment_id, now=now, actor=actor)
    for payment_id in sorted(filter(None, after - before)):
        invoices.reverse_payment(session, payment_id, now=now, actor=actor)
    for reversal in reversals:
        paired = lines.get(pairs.get(reversal.id, 0))
        reversal.status = BankLineStatus.RECORDED if paired is not None else BankLineStatus.AWAITS_PAYMENT
        reversal.payment_id = paired.payment_id if paired is not None else None
        reversal.invoice_id = paired.invoice_id if paired is not None else reversal.invoice_id
    session.flush()


def _movement(line: BankFileLine) -> Movement:
    assert line.occurred_on is not None  # noqa: S101  (readers give no payment or reversal without its day)
    return Movement(line.occurred_on, abs(line.paid_cents), line.identity, line.id)


def _payment_to_reverse(session: Session, line: BankFileLine, invoice_id: int) -> Payment:
    """The last payment of the invoice that is not taken back, of this amount."""
    invoices.get_invoice(session, invoice_id, lock=True)
    of_invoice = (Payment.invoice_id == invoice_id, Payment.reversed_at.is_(None))
    amount = (Payment.amount_cents == abs(line.paid_cents),) if line.paid_cents else ()
    query = select(Payment).where(*of_invoice, *amount).order_by(Payment.paid_at.desc(), Payment.id.desc())
    payment = session.scalar(query.limit(1))
    if payment is None:
        raise Conflict(f"invoice {invoice_id} has no payment of this amount to take back", field="invoice_id")
    return payment


def _open_line(session: Session, line_id: int) -> BankFileLine:
    """Locked, so that two persons do not decide it at once."""
    query = select(BankFileLine).where(BankFileLine.id == line_id)
    line = session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if line is None:
        raise NotFound("bank file line", line_id)
    if line.status in _CLOSED:
        raise Conflict(f"line {line_id} is {line.status} already", field="status")
    if line.status is BankLineStatus.TOLD:
        raise InvalidInput(f"line {line_id} is of kind {line.kind} and waits for nobody", field="line_id")
    return line


def _decide(line: BankFileLine, actor: Actor, now: datetime, *, reason: str | None) -> None:
    line.decided_by, line.decided_at = actor.name, now
    if reason is not None:
        line.reason = reason
