"""Which step of its policy has a contract reached? Pure: facts in, a verdict out.

An invoice weighs when it is overdue and not contested. A restriction is reached when the payer was given notice of
such an invoice and the full days of that notice have run; each further one by the days of restriction. The strongest
step that was reached counts, and the oldest invoice for which it was is the reason.

What stands against it is said with the verdict, so that nobody has to ask why a debtor is online: a promise of
payment, an exemption, a debt below the minimum, a pause that the customer asked for.

While an open incident touches the contract, a restriction that is there stays and none begins or gets harder; nobody is
told of a debt, by reminder or by notice, and nobody is asked to end the contract. Afterwards comes what is due then:
the notice, whose days count from there, and of reminders the last one at most.

Of a contract that follows another billing system (`billing_hooks.follow`) none of our steps is judged: the restriction
is what that system says, and only what stands against it is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from billing_hooks.policy import MESSAGES, RESTRICTIONS, Action, Basis, Policy, Step
from core.access import HoldEffect

#: A reminder that is later than this is left out: debts of a year ago, imported today, are no news to anybody.
REMINDER_LATE_DAYS: Final = 5
_ACTIONS: Final = {effect: action for action, effect in RESTRICTIONS.items()}


class Spared(StrEnum):
    """Why a contract that has reached a restriction has none."""

    PROMISE = "promise"
    EXEMPTION = "exemption"
    MINIMUM = "minimum"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """`owed_cents`: what is missing of it. `notified_at`: when the notice of debt reached the payer. `told`: the names
    of the message steps that were taken for it."""

    invoice_id: int
    due_date: date
    owed_cents: int
    notified_at: datetime | None = None
    contested: bool = False
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Followed:
    """The word of another billing system that is in charge of the contract: it stands instead of our steps.

    `effect` None: full access. `at_once`: no calendar of ours is asked before it begins.
    """

    source: str
    effect: HoldEffect | None
    reason: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Debtor:
    """What the verdict on one contract depends on."""

    invoices: Sequence[OpenInvoice]
    #: The first restriction for a debt that is owed still.
    restricted_since: datetime | None = None
    #: A promise of payment or a trust unlock holds until then.
    promise_until: datetime | None = None
    exempt: bool = False
    paused: bool = False
    #: The open incident that touches the contract, by its number and title.
    incident: str | None = None
    followed: Followed | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """That the payer is to be told of an invoice now, by this step."""

    step: Step
    invoice_id: int


@dataclass(frozen=True, slots=True)
class Standing:
    """`effect`: the restriction that belongs on the contract. `reached` is there also where the debtor is spared.

    `silenced`: what would be told now and waits for the end of an incident.
    """

    effect: HoldEffect | None
    reached: Step | None
    invoice_id: int | None
    spared: Spared | None
    messages: tuple[Message, ...]
    propose_termination: bool
    reason: str
    reason_pt: str
    silenced: tuple[Message, ...] = ()
    #: It may begin on any day and hour.
    at_once: bool = False

    @property
    def owes(self) -> bool:
        return self.effect is not None


_SPARED = {
    Spared.PROMISE: ("a promise of payment holds", "há promessa de pagamento em vigor"),
    Spared.EXEMPTION: ("the contract is exempt", "o contrato é isento de suspensão"),
    Spared.MINIMUM: ("less is owed than the minimum", "a dívida é menor que o mínimo"),
    Spared.PAUSED: ("paused by the customer", "pausado a pedido do cliente"),
}


def standing(debtor: Debtor, policy: Policy, now: datetime, zone: tzinfo) -> Standing:
    if debtor.followed is not None:
        return _followed(debtor, debtor.followed, now)
    today = now.astimezone(zone).date()
    weighing = sorted(
        (one for one in debtor.invoices if not one.contested and one.due_date < today),
        key=lambda one: (one.due_date, one.invoice_id),
    )
    due = tuple(_messages(debtor.invoices, policy, today))
    messages, silenced = ((), due) if debtor.incident else (due, ())
    reached, invoice = _reached(weighing, debtor, policy, today, zone)
    if reached is None or invoice is None:
        return Standing(
            None, None, None, None, messages, propose_termination=False,
            reason="nothing overdue and notified", reason_pt="nada vencido e notificado", silenced=silenced,
        )  # fmt: skip
    spared = _spared(debtor, policy, weighing, now)
    reason, reason_pt = _words(invoice, today)
    if spared is not None:
        words, words_pt = _SPARED[spared]
        reason, reason_pt = f"{reason}; spared: {words}", f"{reason_pt}; poupado: {words_pt}"
    reason, reason_pt = _with_incident(debtor, reason, reason_pt)
    proposes = reached.action is Action.PROPOSE_TERMINATION and not debtor.incident
    return Standing(
        None if spared else _effect(reached, policy), reached, invoice.invoice_id, spared, messages,
        propose_termination=proposes and spared is None, reason=reason, reason_pt=reason_pt, silenced=silenced,
    )  # fmt: skip


def _followed(debtor: Debtor, word: Followed, now: datetime) -> Standing:
    """No step of ours is taken and no message sent; what is promised or exempt here spares all the same."""
    said = word.reason or (word.effect.value if word.effect else "full")
    reason, reason_pt = _with_incident(debtor, f"{word.source} says: {said}", f"{word.source} diz: {said}")
    reached, spared = None, None
    if word.effect is not None:
        reached = Step(word.source, _ACTIONS[word.effect], Basis.RESTRICTION, 0)
        spared = _protected(debtor, now)
    if spared is not None:
        words, words_pt = _SPARED[spared]
        reason, reason_pt = f"{reason}; spared: {words}", f"{reason_pt}; poupado: {words_pt}"
    return Standing(
        None if spared else word.effect, reached, None, spared, (), propose_termination=False, reason=reason,
        reason_pt=reason_pt, at_once=word.at_once,
    )  # fmt: skip


def _with_incident(debtor: Debtor, reason: str, reason_pt: str) -> tuple[str, str]:
    if debtor.incident is None:
        return reason, reason_pt
    return f"{reason}; open incident {debtor.incident}", f"{reason_pt}; incidente aberto {debtor.incident}"


def notice_has_run(invoice: OpenInvoice, days: int, today: date, zone: tzinfo) -> bool:
    """Full days: the day on which the notice reached does not count. A notice from before the due date told of what
    might be owed; its days begin when something was."""
    if invoice.notified_at is None:
        return False
    told = max(invoice.notified_at.astimezone(zone).date(), invoice.due_date)
    return today > told + timedelta(days=days)


def _reached(
    weighing: Sequence[OpenInvoice], debtor: Debtor, policy: Policy, today: date, zone: tzinfo
) -> tuple[Step | None, OpenInvoice | None]:
    """The strongest step, and the oldest invoice that leads there."""
    found: tuple[Step | None, OpenInvoice | None] = None, None
    for step in policy.steps:
        if step.basis is Basis.NOTICE:
            leads = next((one for one in weighing if notice_has_run(one, step.days, today, zone)), None)
            found = (step, leads) if leads is not None else found
        elif step.basis is Basis.RESTRICTION and found[0] is not None and debtor.restricted_since is not None:
            since = debtor.restricted_since.astimezone(zone).date()
            found = (step, found[1]) if today >= since + timedelta(days=step.days) else found
    return found


def _effect(reached: Step, policy: Policy) -> HoldEffect | None:
    """A contract that may be ended keeps the restriction before that."""
    effects = [RESTRICTIONS[step.action] for step in policy.of(RESTRICTIONS)]
    return RESTRICTIONS.get(reached.action, effects[-1] if effects else None)


def _spared(debtor: Debtor, policy: Policy, weighing: Sequence[OpenInvoice], now: datetime) -> Spared | None:
    protected = _protected(debtor, now)
    if protected is None and sum(one.owed_cents for one in weighing) < policy.minimum_cents:
        return Spared.MINIMUM
    return protected


def _protected(debtor: Debtor, now: datetime) -> Spared | None:
    """Whatever is owed, and to whom."""
    if debtor.exempt:
        return Spared.EXEMPTION
    if debtor.promise_until is not None and now < debtor.promise_until:
        return Spared.PROMISE
    return Spared.PAUSED if debtor.paused else None


def _messages(invoices: Iterable[OpenInvoice], policy: Policy, today: date) -> Iterable[Message]:
    for invoice in invoices:
        if not invoice.contested:
            step = _message(invoice, policy, today)
            if step is not None:
                yield Message(step, invoice.invoice_id)


def _message(invoice: OpenInvoice, policy: Policy, today: date) -> Step | None:
    """The one to be sent now. The notice is never left out; of reminders whose day has come only the latest is sent,
    and none that speaks of a due date to come when that is past."""
    days = (today - invoice.due_date).days
    due = [step for step in policy.of(MESSAGES) if step.days <= days]
    for step in due:
        if step.action is Action.NOTICE and step.name not in invoice.told and invoice.notified_at is None:
            return step
    last = due[-1] if due else None
    if last is None or last.action is not Action.REMIND or last.name in invoice.told:
        return None
    stale = last.days < 0 < days or days > last.days + REMINDER_LATE_DAYS
    return None if stale else last


def _words(invoice: OpenInvoice, today: date) -> tuple[str, str]:
    days = (today - invoice.due_date).days
    return (
        f"invoice {invoice.invoice_id} is {days} days overdue and its notice has run",
        f"fatura {invoice.invoice_id} vencida há {days} dias, com o prazo do aviso cumprido",
    )
