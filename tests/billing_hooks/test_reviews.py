"""A decision can be explained a year later, and a person may review and undo it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing_factories import guard_runs, make_invoice, run_to_end
from factories import make_contract, make_service
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import policies, reviews
from billing_hooks.explaining import explain
from billing_hooks.invoicing.words import Words
from billing_hooks.models import BillingDecision, BillingPolicy, BillingRun, Promise, Remedy, ReviewOutcome
from billing_hooks.policy import ANATEL_765, from_body
from billing_hooks.reviews import Conclusion
from billing_hooks.runs import Billing, RunUnsafe
from core import invoices, payments
from core.access import Access
from core.audit import Actor
from core.clock import ManualClock
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import Keyring
from core.models import AuditEntry, CustomerKind, Event, Invoice, Service

ZONE = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
PERSON = Actor("operator:ana", "192.0.2.7")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def billing(clock: ManualClock) -> Billing:
    return Billing(ZONE, clock)


@pytest.fixture
def restricted(session: Session, keyring: Keyring, billing: Billing) -> Service:
    """By a policy of the provider's own."""
    guard_runs(session)
    contract = make_contract(session)
    service = make_service(session, keyring, contract=contract)
    owe(session, contract.id, date(2026, 10, 20))
    run_to_end(session, billing)
    assert service.access is Access.WALLED_GARDEN
    return service


def owe(session: Session, contract_id: int, due: date) -> Invoice:
    values = {"contract_id": contract_id, "due_date": due, "amount_cents": 9990}
    invoice = invoices.create_invoice(session, values, PERSON, NOW)
    return invoices.mark_notified(session, invoice, NOW - timedelta(days=20), PERSON, NOW)


def decision_of(session: Session, service: Service) -> BillingDecision:
    return session.scalars(select(BillingDecision).where(BillingDecision.contract_id == service.contract_id)).one()


def words_of(session: Session, decision: BillingDecision) -> Words:
    return explain(decision, session.get_one(BillingRun, decision.run_id), ZONE)


def ask(session: Session, service: Service) -> int:
    decision = decision_of(session, service)
    review = reviews.ask(
        session, decision.id, asked_by="titular, por telefone", objection="já paguei", actor=PERSON, now=NOW
    )
    return review.id


def conclude(session: Session, billing: Billing, review_id: int, **values: Any) -> Any:
    conclusion = Conclusion(**{"answer": "o pagamento foi localizado", **values})
    return reviews.conclude(session, review_id, conclusion, billing, PERSON, NOW)


def test_a_decision_is_explained_by_the_policy_and_the_facts_of_its_day(
    session: Session, restricted: Service, clock: ManualClock
) -> None:
    decision = decision_of(session, restricted)
    said = words_of(session, decision)
    assert said.en == (
        f"Decided on 2026-11-24 10:00, automatically: restrict the services {restricted.id} (walled garden only), "
        f"because invoice {decision.invoice_id} is 35 days overdue and its notice has run. "
        "Rule: policy “guarded”, step "
        f"“suspension”, 15 full days after the notice. Invoice {decision.invoice_id}: R$ 99,90, due on 2026-10-20, "
        "notice reached on 2026-11-04 10:00. Done on 2026-11-24 10:00."
    )
    assert said.pt == (
        f"Decidido em 2026-11-24 10:00, automaticamente: restringir os serviços {restricted.id} (só a página de "
        f"aviso), porque fatura {decision.invoice_id} vencida há 35 dias, com o prazo do aviso cumprido. "
        "Regra: política "
        f"“guarded”, passo “suspension”, 15 dias completos depois do aviso. Fatura {decision.invoice_id}: R$ 99,90, "
        "vencimento 20/10/2026, aviso recebido em 2026-11-04 10:00. Feito em 2026-11-24 10:00."
    )
    # a year later the invoice is paid, and the policy is another
    row = session.scalars(select(BillingPolicy)).one()
    changed = {**row.body, "name": "guarded", "steps": [dict(row.body["steps"][1])]}
    policies.update_policy(session, row, from_body(changed), PERSON, default_for=CustomerKind.PERSON)
    invoice = session.get_one(Invoice, decision.invoice_id)
    payments.record_payment(session, invoice.id, amount_cents=9990, paid_at=NOW, method="pix", actor=PERSON, now=NOW)
    session.expire_all()
    assert words_of(session, decision_of(session, restricted)) == said


def test_a_message_is_kept_with_its_text_and_explained_by_its_own_invoice(
    session: Session, keyring: Keyring, billing: Billing
) -> None:
    contract = make_contract(session)
    make_service(session, keyring, contract=contract, login="ana")
    first = make_invoice(session, contract, due_date=date(2026, 11, 20))
    second = make_invoice(session, contract, due_date=date(2026, 11, 22))
    run_to_end(session, billing)
    told = session.scalars(select(BillingDecision).order_by(BillingDecision.id)).all()
    assert [(one.invoice_id, one.step, one.outcome) for one in told] == [
        (first.id, "notice of debt", None), (second.id, "notice of debt", None),
    ]  # fmt: skip
    assert f"A fatura {second.id}" in (told[1].text_pt or "")
    assert told[0].facts["logins"] == ["ana"]
    said = words_of(session, told[0])
    assert f"Invoice {first.id}:" in said.en
    assert f"Invoice {second.id}:" not in said.en


def test_of_two_messages_the_one_that_was_no_longer_right_says_so(
    session: Session, keyring: Keyring, billing: Billing
) -> None:
    contract = make_contract(session)
    make_service(session, keyring, contract=contract)
    first = make_invoice(session, contract, due_date=date(2026, 11, 20))
    make_invoice(session, contract, due_date=date(2026, 11, 22))
    billing.run(session)
    payments.record_payment(session, first.id, amount_cents=9990, paid_at=NOW, method="pix", actor=PERSON, now=NOW)
    run_to_end(session, billing)
    paid, told = session.scalars(select(BillingDecision).order_by(BillingDecision.id).limit(2)).all()
    assert (paid.done_at, "no longer right" in words_of(session, paid).en) == (None, True)
    assert "não era mais o caso" in words_of(session, paid).pt
    assert told.done_at is not None


def test_a_decision_upheld_changes_nothing_and_is_on_record(
    session: Session, billing: Billing, restricted: Service
) -> None:
    review_id = ask(session, restricted)
    with pytest.raises(Conflict, match="open already"):
        ask(session, restricted)
    review = conclude(session, billing, review_id, outcome=ReviewOutcome.UPHELD, answer="a fatura está em aberto")
    assert (review.asked_by, review.objection, review.noted_by) == ("titular, por telefone", "já paguei", PERSON.name)
    assert (review.reviewed_by, review.reviewed_at, review.remedy) == (PERSON.name, NOW, None)
    assert restricted.access is Access.WALLED_GARDEN
    with pytest.raises(Conflict, match="is concluded: upheld"):
        conclude(session, billing, review_id, outcome=ReviewOutcome.UPHELD)
    # who is told again that he is wrong may ask again
    assert ask(session, restricted) != review_id
    told = session.scalars(select(Event.type).where(Event.type.startswith("billing_review")).order_by(Event.id)).all()
    assert told == ["billing_review.asked", "billing_review.concluded", "billing_review.asked"]
    by = select(AuditEntry.action).where(AuditEntry.resource == "billing_review").order_by(AuditEntry.id)
    assert session.scalars(by).all() == ["ask", "review", "ask"]


@pytest.mark.parametrize(
    "remedy",
    [
        {"remedy": Remedy.PROMISE, "until": NOW + timedelta(days=3)},
        {"remedy": Remedy.EXEMPTION},
        {"remedy": Remedy.EXEMPTION, "review_on": date(2027, 1, 4)},
        {"remedy": Remedy.CONTEST},
    ],
)
def test_a_decision_undone_is_access_given_back_in_the_same_transaction(
    session: Session, billing: Billing, restricted: Service, remedy: dict[str, Any]
) -> None:
    review = conclude(session, billing, ask(session, restricted), outcome=ReviewOutcome.UNDONE, **remedy)
    assert restricted.access is Access.FULL
    assert (review.outcome, review.remedy) == (ReviewOutcome.UNDONE, remedy["remedy"])
    assert run_to_end(session, billing) == []
    case, _ = billing.look(session, restricted.contract_id)
    kept = session.scalars(select(Promise.note)).all()
    assert (case.debtor.exempt, kept, case.debtor.invoices[0].contested) == (
        remedy["remedy"] is Remedy.EXEMPTION,
        ["o pagamento foi localizado"] if remedy["remedy"] is Remedy.PROMISE else [],
        remedy["remedy"] is Remedy.CONTEST,
    )


def test_a_remedy_that_leaves_the_restriction_is_refused_whole(
    session: Session, billing: Billing, restricted: Service
) -> None:
    decision = decision_of(session, restricted)
    owe(session, restricted.contract_id, date(2026, 10, 25))
    review_id = ask(session, restricted)
    with pytest.raises(Conflict, match="would stay restricted: invoice") as refused, session.begin_nested():
        conclude(session, billing, review_id, outcome=ReviewOutcome.UNDONE, remedy=Remedy.CONTEST)
    assert refused.value.field == "remedy"
    session.expire_all()
    assert session.get_one(Invoice, decision.invoice_id).contested is False
    assert reviews.get_review(session, review_id).reviewed_at is None
    conclude(session, billing, review_id, outcome=ReviewOutcome.UNDONE, remedy=Remedy.EXEMPTION)
    assert restricted.access is Access.FULL


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"outcome": ReviewOutcome.UNDONE}, "remedy"),
        ({"outcome": ReviewOutcome.UPHELD, "remedy": Remedy.CONTEST}, "remedy"),
        ({"outcome": ReviewOutcome.UNDONE, "remedy": Remedy.PROMISE}, "until"),
        ({"outcome": ReviewOutcome.UNDONE, "remedy": Remedy.CONTEST, "until": NOW}, "until"),
        ({"outcome": ReviewOutcome.UNDONE, "remedy": Remedy.CONTEST, "review_on": NOW.date()}, "review_on"),
    ],
)
def test_a_conclusion_that_does_not_fit_together_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Conclusion(answer="x", **values)
    assert refused.value.field == field


def test_what_a_stopped_run_would_have_done_is_explained_and_is_no_decision_to_review(
    session: Session, keyring: Keyring, billing: Billing
) -> None:
    guard_runs(session, count_floor=0)
    contract = make_contract(session)
    service = make_service(session, keyring, contract=contract)
    owe(session, contract.id, date(2026, 10, 20))
    with pytest.raises(RunUnsafe):
        billing.run(session)
    said = words_of(session, decision_of(session, service))
    assert "The run was stopped and nothing was done: contracts to be restricted today" in said.en
    assert "A rodada parou e nada foi feito" in said.pt
    with pytest.raises(Conflict, match="nothing was done"):
        ask(session, service)
    run_id = decision_of(session, service).run_id
    billing.force(session, run_id, PERSON)
    assert "a mando de operator:ana" in words_of(session, decision_of(session, service)).pt
    with pytest.raises(NotFound):
        reviews.get_review(session, 999_999)


def test_a_decision_from_before_facts_were_kept_is_explained_by_what_there_is(session: Session) -> None:
    contract = make_contract(session)
    run = BillingRun(at=NOW, considered=1, policies={})
    session.add(run)
    session.flush()
    old = BillingDecision(
        run_id=run.id, contract_id=contract.id, action="lift", policy=ANATEL_765.name, reason="paid", reason_pt="paga",
        service_ids=[5], outcome="the service is cancelled",
    )  # fmt: skip
    session.add(old)
    session.flush()
    said = words_of(session, old)
    assert said.en == (
        "Decided on 2026-11-24 10:00, automatically: give access back to the services 5, because paid. "
        "Policy: Anatel 765. Not done: the service is cancelled."
    )
