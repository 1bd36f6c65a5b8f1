"""The monthly run: invoices of our own, each made once for its contract and period, some days before it is due.

Which contracts have one due is looked at every ten minutes, and owed in chunks. A chunk makes the invoices of a
contract under its lock, period by period; what is committed is never made again (`billed_period` is unique), so a run
may die, come twice or late. A contract that cannot be invoiced says why, once, and keeps no other waiting.

With each invoice, the last periods are computed again from the prices of then and what is known now: days that turned
out to be suspended or paused, a plan that changed, an end. What differs is a credit or an extra of this invoice. When a
contract has ended, that is settled in a last period, of the day after its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from billing_hooks import charges, policies, suspension
from billing_hooks.invoicing import words
from billing_hooks.invoicing.facts import Credit, Extra, Facts
from billing_hooks.invoicing.lines import Draft, Kind, correction, draft
from billing_hooks.invoicing.period import Period
from billing_hooks.issuing import adjustments, payable, terms
from billing_hooks.issuing.gathering import Account, read_accounts, scan_accounts
from billing_hooks.issuing.kept import facts_of, keep_facts, keep_lines, lines_of, period_of, services_of
from billing_hooks.models import Adjustment, AdjustmentKind, BilledPeriod, ContractBilling
from core import events, invoices, outbox, topics
from core.audit import Actor
from core.clock import Clock
from core.cycles import cycle_of
from core.errors import Conflict, NotFound, ProvedorError
from core.models.billing import Invoice
from core.models.party import Contract, ContractStatus
from core.work import chunks

ACTOR: Final = Actor("system:billing")
#: Contracts invoiced in one transaction.
CHUNK: Final = 25
_PAGE: Final = 1000
#: Periods that are looked at again: a quarter, as long as a customer may pause.
_CORRECTED: Final = 4
_DAY: Final = timedelta(days=1)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Correction:
    """What makes an earlier period good."""

    period_id: int
    fact: Credit | Extra


@dataclass(frozen=True, slots=True)
class Planned:
    """An invoice that is to be made. `issues_on`: the day from which the run makes it."""

    account: Account
    period: Period
    due_date: date
    issues_on: date
    draft: Draft
    corrections: Sequence[Correction] = ()


@dataclass(frozen=True, slots=True)
class Issuing:
    """The monthly run with the provider's country, zone and clock."""

    zone: tzinfo
    clock: Clock
    country: str = "BR"

    def owe_due(self, session: Session) -> int:
        """Owe the contracts that have an invoice due; returns how many. Run by the clock."""
        due = self.due_contracts(session, self.today())
        for chunk in chunks(due, CHUNK):
            outbox.enqueue(session, topics.INVOICES_DUE, {"contract_ids": chunk})
        return len(due)

    def handle_due(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of INVOICES_DUE."""
        book = terms.load(session)
        for contract_id in payload["contract_ids"]:
            self._issue_all(session, contract_id, book)

    def plan(self, session: Session, as_of: date | None = None) -> Iterator[Planned]:
        """The dry run: what would be invoiced by that day, with its lines; one period a contract."""
        book, today = terms.load(session), as_of or self.today()
        for page in chunks(self.due_contracts(session, today), _PAGE):
            for account in read_accounts(session, page, book, self.zone):
                planned = self._planned(session, account)
                if planned is not None:
                    yield planned

    def preview(self, session: Session, contract_id: int) -> Planned:
        """The next invoice of a contract, as far as it is known now. Raises NotFound or Conflict."""
        account = self._account(session, contract_id, terms.load(session))
        planned = self._planned(session, account)
        if planned is None:
            raise Conflict(f"contract {contract_id} has ended and nothing of it is to be invoiced")
        return planned

    def issue_next(self, session: Session, contract_id: int, actor: Actor) -> BilledPeriod:
        """Make the next invoice now, whenever it is due. Raises NotFound or Conflict."""
        suspension.lock_contract(session, contract_id)
        return self._issue(session, self.preview(session, contract_id), actor)

    def reissue(self, session: Session, period_id: int, actor: Actor) -> BilledPeriod:
        """Invoice a period anew whose invoice was cancelled, by what is known now. Raises NotFound or Conflict."""
        row = session.get(BilledPeriod, period_id)
        if row is None:
            raise NotFound("billed period", period_id)
        suspension.lock_contract(session, row.contract_id)
        if row.cancelled_at is None:
            raise Conflict(f"period {period_id} is invoiced; cancel its invoice first")
        if session.scalar(_live(row.contract_id).where(BilledPeriod.start == row.start)) is not None:
            raise Conflict(f"period {period_id} was invoiced anew")
        account = self._account(session, row.contract_id, terms.load(session))
        period = period_of(row)
        facts = _facts_with(account, period, ())
        return self._issue(session, self._planned_of(account, period, facts, ()), actor)

    def today(self) -> date:
        return self.clock().astimezone(self.zone).date()

    def due_contracts(self, session: Session, today: date) -> list[int]:
        """Those whose next invoice is to be made by then, and those that ended and are not settled."""
        open_ = or_(Contract.status == ContractStatus.ACTIVE, ContractBilling.settled_at.is_(None))
        accounts = scan_accounts(session, terms.load(session), self.zone, open_)
        return [account.contract_id for account in accounts if _is_due(account, today)]

    def _account(self, session: Session, contract_id: int, book: terms.TermsBook) -> Account:
        found = read_accounts(session, [contract_id], book, self.zone)
        if found:
            return found[0]
        if session.get(Contract, contract_id) is None:
            raise NotFound("contract", contract_id)
        raise Conflict(f"contract {contract_id} is not invoiced by us: say since when (invoiced_since)")

    def _issue_all(self, session: Session, contract_id: int, book: terms.TermsBook) -> None:
        """Everything that is due of one contract, or why not."""
        suspension.lock_contract(session, contract_id)
        try:
            with session.begin_nested():
                while (planned := self._due(session, contract_id, book)) is not None:
                    self._issue(session, planned, ACTOR)
        except ProvedorError as error:
            _note_error(session, contract_id, error.detail)
        else:
            _note_error(session, contract_id, None)

    def _settled(self, session: Session, contract_id: int) -> None:
        session.get_one(ContractBilling, contract_id).settled_at = self.clock()
        session.flush()

    def _due(self, session: Session, contract_id: int, book: terms.TermsBook) -> Planned | None:
        today = self.today()
        for account in read_accounts(session, [contract_id], book, self.zone):
            planned = self._planned(session, account) if _is_due(account, today) else None
            if planned is None and account.next_period() is None:
                self._settled(session, contract_id)
            return planned
        return None

    def _planned(self, session: Session, account: Account) -> Planned | None:
        period = account.next_period()
        ended = period is None
        if period is None:
            period = _after_end(account)
        corrections = _corrections(session, account, period)
        facts = _facts_with(account, period, [one.fact for one in corrections])
        if ended and not (facts.extras or corrections):
            return None
        return self._planned_of(account, period, facts, corrections)

    def _planned_of(self, account: Account, period: Period, facts: Facts, corrections: Sequence[Correction]) -> Planned:
        """Whoever hears of it late has his days to pay all the same."""
        due = max(account.due_date(period), self.today() + timedelta(days=terms.NOTICE_DAYS))
        return Planned(account, period, due, account.issues_on(period), draft(period, facts), corrections)

    def _issue(self, session: Session, planned: Planned, actor: Actor) -> BilledPeriod:
        account, period = planned.account, planned.period
        given = [_keep(session, account.contract_id, one, actor) for one in planned.corrections]
        facts = _facts_with(account, period, given)
        made = draft(period, facts)
        row = BilledPeriod(
            contract_id=account.contract_id, start=period.start, end=period.end, cycle_start=period.cycle.start,
            cycle_end=period.cycle.end, facts=keep_facts(facts, account.services), lines=keep_lines(made.lines),
            charged_cents=made.charged_cents, total_cents=made.total_cents, corrected_cents=0,
        )  # fmt: skip
        session.add(row)
        session.flush()
        _use_up(session, row, made)
        if made.total_cents:
            row.invoice_id = self._invoice(session, planned, made, actor).id
            session.flush()
        else:
            events.record(session, "invoice.nothing_to_pay", "contract", account.contract_id, period=str(period.start))
        if account.next_period() is None and made.carried:
            left = sum(one.amount_cents for one in made.carried)
            events.record(session, "contract.credit_left", "contract", account.contract_id, amount_cents=left)
        return row

    def _invoice(self, session: Session, planned: Planned, made: Draft, actor: Actor) -> Invoice:
        account, period = planned.account, planned.period
        late = terms.late_terms(account.terms, account.payer_kind)
        through = f"{words.day(period.start, 'pt_BR')} a {words.day(period.last, 'pt_BR')}"
        let_off, until = terms.early_discount(account.terms, made.total_cents, planned.due_date)
        values = {
            "contract_id": account.contract_id, "due_date": planned.due_date, "amount_cents": made.total_cents,
            "early_discount_cents": let_off, "early_discount_until": until,
            "description": f"Mensalidade de {through}", "fine_bp": late.fine_bp,
            "interest_bp_month": late.interest_bp_month,
        }  # fmt: skip
        invoice = invoices.create_invoice(session, values, actor, self.clock())
        if self._charge(session, invoice, account.terms.account_id, actor):
            return invoice
        code = payable.static_code(account.terms, invoice, invoice.amount_cents)
        if code is not None:
            invoices.update_invoice(session, invoice, {"pix_code": code}, actor)
        return invoice

    def _charge(self, session: Session, invoice: Invoice, account_id: int | None, actor: Actor) -> bool:
        """Whether a gateway charges it. One that none will charge is owed all the same, and payable by a static code
        if its terms have a key; somebody looks."""
        if account_id is None:
            return False
        try:
            with session.begin_nested():
                is_holiday = policies.load_holidays(session, self.country).closes_banks
                charges.order_charge(session, invoice.id, account_id, actor, self.today(), is_holiday)
        except ProvedorError as error:
            why = words.columns("detail", words.said_by(error))
            events.record(session, "invoice.charge_failed", "invoice", invoice.id, **why)
            log.warning("invoice could not be charged", invoice_id=invoice.id, detail=error.detail)
            return False
        return True


def cancel(session: Session, invoice: Invoice, actor: Actor, now: datetime) -> Invoice:
    """It is not owed any more; what it used up of extras and credits is there for the next one.

    Its days are not invoiced again by themselves: `Issuing.reissue` does that. Raises Conflict.
    """
    invoices.cancel_invoice(session, invoice, actor)
    row = session.scalar(select(BilledPeriod).where(BilledPeriod.invoice_id == invoice.id).with_for_update())
    if row is None or row.cancelled_at is not None:
        return invoice
    row.cancelled_at = now
    for one in session.scalars(select(Adjustment).where(Adjustment.billed_period_id == row.id)).all():
        one.billed_period_id = None
    for line in lines_of(row):
        if line.kind is Kind.CREDIT:
            session.get_one(Adjustment, adjustments.row_id(line.id)).used_cents += line.amount_cents
    session.flush()
    return invoice


def _is_due(account: Account, today: date) -> bool:
    period = account.next_period()
    return account.issues_on(period) <= today if period is not None else not account.settled


def _after_end(account: Account) -> Period:
    """Where what is left of an ended contract is settled: the day after all that was invoiced."""
    assert account.ended_on is not None  # noqa: S101  (who has no end has a next period)
    start = max(account.begins_on, account.ended_on + _DAY)
    return Period(start, start + _DAY, cycle_of(account.due_day, start))


def _facts_with(account: Account, period: Period, corrections: Sequence[Credit | Extra]) -> Facts:
    """What is charged with this period: extras of its days and those that came too late for theirs, in full."""
    facts = account.facts
    extras = [*facts.extras, *(one for one in corrections if isinstance(one, Extra))]
    due = tuple(replace(one, on=max(one.on, period.start)) for one in extras if one.on < period.end)
    owed = tuple(one for one in corrections if isinstance(one, Credit))
    return replace(facts, extras=due, credits=(*facts.credits, *owed))


def _corrections(session: Session, account: Account, period: Period) -> list[Correction]:
    rows = session.scalars(
        _live(account.contract_id).where(BilledPeriod.start < period.start).order_by(BilledPeriod.start.desc())
        .limit(_CORRECTED)
    ).all()  # fmt: skip
    found = []
    for row in reversed(rows):
        now = draft(period_of(row), _facts_now(account, row))
        fact = correction(row.charged_cents + row.corrected_cents, now, period.start)
        if fact is not None:
            found.append(Correction(row.id, fact))
    return found


def _facts_now(account: Account, row: BilledPeriod) -> Facts:
    """The prices of then, with the days and plans as they are known now."""
    services = services_of(row)
    uncharged = [
        one
        for item_id, service_id in services.items()
        for one in (
            *account.stops.of(item_id, service_id),
            *account.stops.after_end(item_id, service_id, account.ended_on),
        )
    ]
    changes = tuple(one for one in account.changes if one.item_id in services)
    return replace(facts_of(row), changes=changes, uncharged=tuple(uncharged))


def _keep(session: Session, contract_id: int, one: Correction, actor: Actor) -> Credit | Extra:
    """The correction as an adjustment, and what the period was corrected by."""
    fact = one.fact
    is_extra = isinstance(fact, Extra)
    row = adjustments.give(
        session, contract_id, AdjustmentKind.EXTRA if is_extra else AdjustmentKind.CREDIT, fact.description, actor,
        amount_cents=fact.amount_cents, valid_from=fact.on if isinstance(fact, Extra) else None,
        corrects_period_id=one.period_id,
    )  # fmt: skip
    corrected = session.get_one(BilledPeriod, one.period_id, with_for_update=True)
    corrected.corrected_cents += fact.amount_cents if is_extra else -fact.amount_cents
    session.flush()
    return adjustments.extra_of(row) if is_extra else adjustments.credit_of(row)


def _use_up(session: Session, row: BilledPeriod, made: Draft) -> None:
    for line in made.lines:
        if line.kind is Kind.EXTRA:
            session.get_one(Adjustment, adjustments.row_id(line.id)).billed_period_id = row.id
        elif line.kind is Kind.CREDIT:
            session.get_one(Adjustment, adjustments.row_id(line.id)).used_cents -= line.amount_cents
    session.flush()


def _live(contract_id: int) -> Any:  # noqa: ANN401  (a select)
    return select(BilledPeriod).where(BilledPeriod.contract_id == contract_id, BilledPeriod.cancelled_at.is_(None))


def _note_error(session: Session, contract_id: int, detail: str | None) -> None:
    """Told once, until it is another."""
    row = session.get_one(ContractBilling, contract_id)
    if row.invoicing_error == detail:
        return
    row.invoicing_error = detail
    session.flush()
    if detail is not None:
        events.record(session, "invoice.not_made", "contract", contract_id, detail=detail)
        log.warning("contract could not be invoiced", contract_id=contract_id, detail=detail)
