"""Plans and decisions of runs as spreadsheets (XLSX): who, what, why, by which rule, and with which message.

Everything that is text is written as text: a customer whose name begins with "=" is no formula. Rows are written as
they come, to temporary files, so that a hundred thousand take no more memory than ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import IO, Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from billing_hooks.decisions import NO_LONGER_RIGHT
from billing_hooks.invoicing.words import Words
from billing_hooks.models import BillingDecision
from billing_hooks.suspension import Change
from core.errors import InvalidInput
from core.explain.names import NAMES
from core.language import Language

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: What a sheet can hold (Excel 2007 and later), without the headers.
ROWS_MAX: Final = 1_048_575
_TEXT_MAX: Final = 32_767
#: Decisions read at once.
_PAGE: Final = 1000

ACTIONS: Final = {
    "place": Words("restringir", "restrict"),
    "ease": Words("aliviar", "ease"),
    "lift": Words("liberar", "give back"),
    "wait": Words("esperar", "wait"),
    "spare": Words("poupar", "spare"),
    "propose": Words("propor rescisão", "propose the end"),
    "tell": Words("avisar", "tell"),
}
_NO_LONGER: Final = Words("não era mais o caso", NO_LONGER_RIGHT)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a plan, or a decision with what became of it."""

    customer: str
    contract_id: int
    logins: Sequence[str]
    action: str
    effect: str | None
    service_ids: Sequence[int]
    policy: str
    step: str | None
    invoice_id: int | None
    reason: Words
    message: Words | None
    done_at: datetime | None = None
    outcome: str | None = None


_Cell = str | int | datetime | None
_Column = tuple[Words, int, Callable[[Row, Language], _Cell]]
#: Header, width in characters, and what stands there.
_WHAT: Final[tuple[_Column, ...]] = (
    (Words("Cliente", "Customer"), 30, lambda row, _: row.customer),
    (Words("Contrato", "Contract"), 10, lambda row, _: row.contract_id),
    (Words("Login", "Login"), 20, lambda row, _: ", ".join(row.logins)),
    (Words("O quê", "What"), 16, lambda row, language: action_name(row.action).of(language)),
    (Words("Efeito", "Effect"), 18, lambda row, language: effect_name(row.effect).of(language)),
    (Words("Serviços", "Services"), 12, lambda row, _: ", ".join(map(str, row.service_ids))),
    (Words("Por quê", "Why"), 60, lambda row, language: row.reason.of(language)),
    (Words("Política", "Policy"), 20, lambda row, _: row.policy),
    (Words("Passo", "Step"), 26, lambda row, _: row.step),
    (Words("Fatura", "Invoice"), 10, lambda row, _: row.invoice_id),
    (Words("Mensagem", "Message"), 80, lambda row, language: row.message.of(language) if row.message else None),
)
_BECAME: Final[tuple[_Column, ...]] = (
    (Words("Feito em", "Done at"), 18, lambda row, _: row.done_at),
    (Words("Resultado", "Outcome"), 30, lambda row, language: outcome_words(row.outcome).of(language)),
)


def of_change(change: Change) -> Row:
    return Row(
        change.customer, change.contract_id, change.logins, change.action, change.effect, change.service_ids,
        change.policy, change.step, change.invoice_id, Words(change.reason_pt, change.reason), change.words,
    )  # fmt: skip


def of_decision(row: BillingDecision) -> Row:
    return Row(
        row.facts.get("customer", ""), row.contract_id, row.facts.get("logins", []), row.action, row.effect,
        row.service_ids, row.policy, row.step, row.invoice_id, Words(row.reason_pt, row.reason),
        Words(row.text_pt or "", row.text_en) if row.text_en is not None else None, row.done_at, row.outcome,
    )  # fmt: skip


def decisions_of(session: Session, run_id: int) -> Iterator[Row]:
    """Of a run, in their order, read as they are written."""
    after = 0
    while True:
        of_run = (BillingDecision.run_id == run_id, BillingDecision.id > after)
        page = session.scalars(select(BillingDecision).where(*of_run).order_by(BillingDecision.id).limit(_PAGE)).all()
        if not page:
            return
        after = page[-1].id
        yield from map(of_decision, page)


def write_plan(file: IO[bytes], rows: Iterable[Row], language: Language, zone: tzinfo) -> int:
    """Returns how many rows there are. Raises InvalidInput for more than a sheet can hold."""
    return _write(file, Words("Simulação", "Dry run").of(language), _WHAT, rows, language, zone)


def write_decisions(file: IO[bytes], rows: Iterable[Row], language: Language, zone: tzinfo) -> int:
    """The same with what became of each."""
    return _write(file, Words("Decisões", "Decisions").of(language), (*_WHAT, *_BECAME), rows, language, zone)


def action_name(action: str) -> Words:
    return ACTIONS.get(action, Words(action, action))


def effect_name(effect: str | None) -> Words:
    return Words(*NAMES[effect]) if effect is not None else Words("", "")


def outcome_words(outcome: str | None) -> Words:
    if outcome is None:
        return Words("", "")
    return _NO_LONGER if outcome == NO_LONGER_RIGHT else Words(outcome, outcome)


def _write(
    file: IO[bytes], title: str, columns: Sequence[_Column], rows: Iterable[Row], language: Language, zone: tzinfo
) -> int:
    count = 0
    with Workbook(file, {"constant_memory": True}) as book:
        sheet = book.add_worksheet(title)
        bold, moment = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for place, (header, width, _) in enumerate(columns):
            sheet.set_column(place, place, width)
            sheet.write_string(0, place, header.of(language), bold)
        for count, row in enumerate(rows, 1):
            if count > ROWS_MAX:
                raise InvalidInput(f"a sheet holds {ROWS_MAX} rows; choose one action", field="action")
            for place, (_, _, value) in enumerate(columns):
                cell = value(row, language)
                if isinstance(cell, datetime):
                    sheet.write_datetime(count, place, cell.astimezone(zone).replace(tzinfo=None), moment)
                else:
                    _write_plain(sheet, count, place, cell)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, count, len(columns) - 1)
    return count


def _write_plain(sheet: Worksheet, row: int, place: int, cell: str | int | None) -> None:
    if isinstance(cell, int):
        sheet.write_number(row, place, cell)
    elif cell:
        sheet.write_string(row, place, cell[:_TEXT_MAX])
