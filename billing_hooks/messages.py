"""What a debtor is told, and the proof that it reached: reminders, and the notice without which nobody is suspended.

A message is its text, by what rule and about which invoice, and an event; whoever delivers it says over REST when it
reached and how that is known. The days of a notice count from there (Anatel, Res. 765/2023, art. 70 and 71), by the
kinds of proof that the policy takes. The notice says what art. 71 asks for: why, how much and of which month, the
dates of suspension and of the contract's end, that the debt may be registered with credit bureaus after that, and how
soon the service returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks import policies
from billing_hooks.cases import Case, read_cases
from billing_hooks.days import Calendar
from billing_hooks.invoicing.words import Words, money
from billing_hooks.models import DebtMessage
from billing_hooks.policy import RESTRICTIONS, Action, Basis, Policy, Proof, Step
from billing_hooks.standing import Message, OpenInvoice
from core import audit, events, invoices
from core.audit import Actor
from core.errors import Conflict, NotFound

#: Res. 765/2023, art. 78: the service returns within a day of the payment being known. Ours does in a second.
RESTORED_WITHIN_H: Final = 24


def text_of(message: Message, case: Case, calendar: Calendar, today: date) -> Words:
    invoice = _invoice(message, case)
    if message.step.action is Action.NOTICE:
        return _notice(invoice, case, calendar, today)
    return _reminder(invoice, today)


def reason_of(message: Message, case: Case, today: date) -> Words:
    """What the payer is told about."""
    invoice = _invoice(message, case)
    days, number = (today - invoice.due_date).days, invoice.invoice_id
    if days > 0:
        return Words(pt=f"fatura {number} vencida há {days} dias", en=f"invoice {number} is {days} days overdue")
    if days == 0:
        return Words(pt=f"fatura {number} vence hoje", en=f"invoice {number} is due today")
    return Words(pt=f"fatura {number} vence em {-days} dias", en=f"invoice {number} is due in {-days} days")


def record(session: Session, case: Case, message: Message, words: Words) -> bool:
    """Owe this message; False where the invoice had it from this step already."""
    values = {
        "contract_id": case.contract_id, "invoice_id": message.invoice_id, "policy": case.policy.name,
        "step": message.step.name, "is_notice": message.step.action is Action.NOTICE,
        "text_en": words.en, "text_pt": words.pt,
    }  # fmt: skip
    row = insert(DebtMessage).values(values).on_conflict_do_nothing().returning(DebtMessage.id)
    message_id = session.scalar(row)
    if message_id is None:
        return False
    events.record(
        session, "debt_message.owed", "contract", case.contract_id, message_id=message_id, step=message.step.name,
        invoice_id=message.invoice_id, text_en=words.en, text_pt=words.pt,
    )  # fmt: skip
    return True


def record_reached(
    session: Session, message_id: int, proof: Proof, at: datetime, evidence: Mapping[str, Any], actor: Actor,
    now: datetime,
) -> DebtMessage:  # fmt: skip
    """It reached the payer; the first proof that the policy takes counts, and starts the days of a notice.

    Raises NotFound, Conflict for a kind of proof that the policy does not take, InvalidInput for a moment to come.
    """
    message = session.scalar(select(DebtMessage).where(DebtMessage.id == message_id).with_for_update())
    if message is None:
        raise NotFound("message", message_id)
    (case,) = read_cases(session, [message.contract_id], policies.load(session), now)
    policy = case.policy
    if proof not in policy.proofs:
        raise Conflict(f"{proof} is no proof by the policy {policy.name}", field="proof")
    if message.reached_at is not None:
        return message
    if message.is_notice:
        invoice = invoices.get_invoice(session, message.invoice_id, lock=True)
        invoices.mark_notified(session, invoice, at, actor, now)
    message.reached_at, message.proof, message.evidence = at, proof, dict(evidence)
    session.flush()
    audit.record(session, actor, "prove", "debt_message", message.id, {"proof": proof, "reached_at": at.isoformat()})
    events.record(session, "debt_message.reached", "contract", message.contract_id, message_id=message.id, proof=proof)
    return message


def suspension_day(case: Case, calendar: Calendar, told_on: date) -> date | None:
    """The first day on which the contract may be restricted if its notice reaches on that day."""
    steps = [step for step in case.policy.of(RESTRICTIONS) if step.basis is Basis.NOTICE]
    if not steps:
        return None
    return calendar.next_day(case.policy.hours, told_on + timedelta(days=steps[0].days + 1), case.places)


def _invoice(message: Message, case: Case) -> OpenInvoice:
    return next(one for one in case.debtor.invoices if one.invoice_id == message.invoice_id)


def _notice(invoice: OpenInvoice, case: Case, calendar: Calendar, today: date) -> Words:
    cut = suspension_day(case, calendar, today)
    ends = _end_of_contract(case.policy, cut)
    owed, due, month = money(invoice.owed_cents), invoice.due_date, f"{invoice.due_date:%m/%Y}"
    en = (
        f"Invoice {invoice.invoice_id} of {month}, {owed}, was due on {due:%Y-%m-%d} and is not paid. "
        + (f"If it stays unpaid, your service may be suspended from {cut:%Y-%m-%d} on" if cut else "")
        + (f", and the contract ended from {ends:%Y-%m-%d} on; " if ends else ". ")
        + ("after that the debt may be registered with credit bureaus. " if ends else "")
        + "Once the payment is known, your service returns at once, and at the latest within "
        + f"{RESTORED_WITHIN_H} hours."
    )
    pt = (
        f"A fatura {invoice.invoice_id}, referente a {month}, de {owed}, venceu em {due:%d/%m/%Y} e não foi paga. "
        + (f"Se continuar em aberto, seu serviço poderá ser suspenso a partir de {cut:%d/%m/%Y}" if cut else "")
        + (f" e o contrato, rescindido a partir de {ends:%d/%m/%Y}; " if ends else ". ")
        + ("depois da rescisão o débito poderá ser inscrito em órgãos de proteção ao crédito. " if ends else "")
        + "Confirmado o pagamento, seu serviço volta na hora, e no máximo em "
        + f"{RESTORED_WITHIN_H} horas."
    )
    return Words(pt=pt, en=en)


def _reminder(invoice: OpenInvoice, today: date) -> Words:
    owed, due = money(invoice.owed_cents), invoice.due_date
    if due >= today:
        return Words(
            en=f"Reminder: invoice {invoice.invoice_id}, {owed}, is due on {due:%Y-%m-%d}.",
            pt=f"Lembrete: a fatura {invoice.invoice_id}, de {owed}, vence em {due:%d/%m/%Y}.",
        )
    return Words(
        en=f"Reminder: invoice {invoice.invoice_id}, {owed}, was due on {due:%Y-%m-%d} and is not paid yet.",
        pt=f"Lembrete: a fatura {invoice.invoice_id}, de {owed}, venceu em {due:%d/%m/%Y} e ainda não foi paga.",
    )


def _end_of_contract(policy: Policy, cut: date | None) -> date | None:
    proposal: Step | None = next(iter(policy.of([Action.PROPOSE_TERMINATION])), None)
    return cut + timedelta(days=proposal.days) if cut is not None and proposal is not None else None
