"""A decision in words, by what it was judged by then: its facts, and the policy as it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Any, Final

from billing_hooks.decisions import NO_LONGER_RIGHT
from billing_hooks.invoicing.words import Words, day, money
from billing_hooks.models import BillingDecision, BillingRun, RunState
from billing_hooks.sheets import effect_name
from core.language import Language

_DECIDED: Final = {
    "place": Words("restringir os serviços {services} ({effect})", "restrict the services {services} ({effect})"),
    "ease": Words("aliviar a restrição de {services} ({effect})", "ease the restriction of {services} ({effect})"),
    "lift": Words("liberar os serviços {services}", "give access back to the services {services}"),
    "tell": Words("avisar o cliente", "tell the customer"),
    "propose": Words("propor a rescisão a uma pessoa", "propose the end of the contract to a person"),
}
_BASIS: Final = {
    "due": Words("dias do vencimento", "days from the due date"),
    "notice": Words("dias completos depois do aviso", "full days after the notice"),
    "restriction": Words("dias depois da primeira restrição", "days after the first restriction"),
}


def explain(row: BillingDecision, run: BillingRun, zone: tzinfo) -> Words:
    """Whole sentences: what was decided when, why, by which rule, on which facts, and what came of it."""
    return Words(
        pt=" ".join(filter(None, _sentences(row, run, zone, "pt_BR"))),
        en=" ".join(filter(None, _sentences(row, run, zone, "en"))),
    )


def _sentences(row: BillingDecision, run: BillingRun, zone: tzinfo, language: Language) -> list[str]:
    reason = row.reason if language == "en" else row.reason_pt
    what = _DECIDED[row.action].of(language).format(
        services=", ".join(map(str, row.service_ids)), effect=effect_name(row.effect).of(language)
    )  # fmt: skip
    by_itself = Words("automaticamente", "automatically") if run.forced_by is None else Words(
        f"a mando de {run.forced_by}", f"by order of {run.forced_by}"
    )  # fmt: skip
    decided = Words(
        "Decidido em {at}, {by}: {what}, porque {reason}.", "Decided on {at}, {by}: {what}, because {reason}."
    )
    return [
        decided.of(language).format(at=_moment(run.at, zone), by=by_itself.of(language), what=what, reason=reason),
        _rule(row, run.policies, language),
        *(_invoice(one, zone, language) for one in row.facts.get("invoices", ()) if _counts(one, row)),
        _outcome(row, run, zone, language),
    ]


def _rule(row: BillingDecision, policies: Mapping[str, Any], language: Language) -> str:
    """The step as the policy had it; by its names alone where that was not kept. Or who is in charge instead."""
    if row.facts.get("followed"):
        source = row.facts["followed"]
        return Words(
            f"Regra: o contrato segue outro sistema de cobrança, “{source}”.",
            f"Rule: the contract follows another billing system, “{source}”.",
        ).of(language)
    if row.step is None:
        return Words(f"Política: {row.policy}.", f"Policy: {row.policy}.").of(language)
    steps = policies.get(row.policy, {}).get("steps", [])
    step = next((one for one in steps if one["name"] == row.step), None)
    rule = Words(
        f"Regra: política “{row.policy}”, passo “{row.step}”", f"Rule: policy “{row.policy}”, step “{row.step}”"
    )
    days = f", {step['days']} {_BASIS[step['basis']].of(language)}" if step is not None else ""
    return f"{rule.of(language)}{days}."


def _counts(invoice: Mapping[str, Any], row: BillingDecision) -> bool:
    """Of a message its own invoice; of the rest, all that was open; none of ours where another system is in charge."""
    if row.facts.get("followed"):
        return False
    return row.action != "tell" or invoice["invoice_id"] == row.invoice_id


def _invoice(invoice: Mapping[str, Any], zone: tzinfo, language: Language) -> str:
    due = day(date.fromisoformat(invoice["due_date"]), language)
    number, owed, notified = invoice["invoice_id"], money(invoice["owed_cents"]), invoice["notified_at"]
    pt, en = f"Fatura {number}: {owed}, vencimento {due}", f"Invoice {number}: {owed}, due on {due}"
    if notified is not None:
        at = _moment(datetime.fromisoformat(notified), zone)
        pt, en = f"{pt}, aviso recebido em {at}", f"{en}, notice reached on {at}"
    if invoice["contested"]:
        pt, en = f"{pt}, contestada", f"{en}, contested"
    return Words(f"{pt}.", f"{en}.").of(language)


def _outcome(row: BillingDecision, run: BillingRun, zone: tzinfo, language: Language) -> str:
    if row.done_at is not None:
        at = _moment(row.done_at, zone)
        return Words(f"Feito em {at}.", f"Done on {at}.").of(language)
    if run.state is RunState.STOPPED:
        return Words(
            f"A rodada parou e nada foi feito: {run.stopped_reason_pt}.",
            f"The run was stopped and nothing was done: {run.stopped_reason}.",
        ).of(language)
    if row.outcome == NO_LONGER_RIGHT:
        return Words("Na hora de fazer, não era mais o caso.", "When it was to be done, it was no longer right.").of(
            language
        )
    if row.outcome is not None:
        return Words(f"Não foi feito: {row.outcome}.", f"Not done: {row.outcome}.").of(language)
    return Words("Ainda não foi feito.", "Not done yet.").of(language)


def _moment(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
