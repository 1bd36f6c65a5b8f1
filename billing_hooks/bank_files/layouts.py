"""Layouts of fixed columns as data: one TOML file a bank and format, read once. Pure.

A layout names its records, by which columns each is known, and the fields in them. Columns are written as the banks'
documents write them, from 1 and with both ends ("38-57"), followed by the form where it is not text:

    cents       digits, the last two of which are centavos
    count       digits
    DDMMAA, DDMMAAAA, AAAAMMDD   a day; zeros or blanks are none

`base` takes everything of another layout that this one does not say itself. The header of each file says which
documents it was checked against and what of it is unverified.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from billing_hooks.bank_files.base import Kind
from core.errors import InvalidInput

FORMS: Final = frozenset({"text", "cents", "count", "DDMMAA", "DDMMAAAA", "AAAAMMDD"})
#: Fields of the records; a layout that misspells one does not load.
FIELDS: Final = frozenset({
    "bank", "company_document", "agreement", "agency", "account", "occurrence", "title", "document", "reference",
    "due_on", "nominal", "payer_name", "payer_document", "fee", "reasons", "interest", "fine", "discount", "rebate",
    "paid", "net", "occurred_on", "credited_on", "written_on", "records", "batches",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """From the first column to the last, counted from 1."""

    first: int
    last: int

    def of(self, text: str) -> str:
        return text[self.first - 1 : self.last]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    columns: Columns
    form: str = "text"


@dataclass(frozen=True, slots=True)
class Record:
    """`where` tells it from the others; `must` is what it says besides, or the file is none of this layout."""

    name: str
    where: tuple[tuple[Columns, str], ...]
    must: tuple[tuple[Columns, str], ...]
    fields: Mapping[str, Field]

    def is_this(self, text: str) -> bool:
        return all(columns.of(text) == wanted for columns, wanted in self.where)


@dataclass(frozen=True, slots=True)
class Boleto:
    """Where the bar code's free field (25 digits) has the title's number, and which columns of `title` those are."""

    free_field: tuple[Columns, ...]
    title: Columns


@dataclass(frozen=True, slots=True)
class OccurrenceCount:
    """A trailer's count of the lines with these occurrences."""

    columns: Columns
    codes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Layout:
    name: str
    #: Code of the bank in the clearing (COMPE); empty: any bank's, used where somebody names the layout.
    bank: str
    length: int
    records: Mapping[str, Record]
    #: The records that make one line together, in their order.
    details: tuple[str, ...]
    sequence: Columns
    #: Records whose sequence is counted; empty: all of them.
    sequence_where: tuple[tuple[Columns, str], ...]
    occurrences: Mapping[str, Kind]
    #: Reasons of a payment that was made at the notary's.
    notary_reasons: frozenset[str]
    #: `paid` is what came to the account, after the fee.
    paid_less_fee: bool
    boleto: Boleto | None
    #: A batch's trailer counts its own two records, or else only what stands between: which of the two a bank does.
    batch_counts: frozenset[str]
    occurrence_counts: tuple[OccurrenceCount, ...]

    @property
    def batched(self) -> bool:
        return "batch_header" in self.records


@cache
def layouts() -> Mapping[str, Layout]:
    folder = resources.files("billing_hooks.bank_files") / "layouts"
    raw = {
        entry.name.removesuffix(".toml"): tomllib.loads(entry.read_text("utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }
    return {name: _layout(name, _with_base(raw, name)) for name in raw}


def get_layout(name: str) -> Layout:
    layout = layouts().get(name)
    if layout is None:
        raise InvalidInput(f"there is no layout {name}; there are {', '.join(layouts())}", field="layout")
    return layout


def layout_for(bank: str, length: int) -> Layout | None:
    """The bank's own layout of so many columns."""
    return next((one for one in layouts().values() if (one.bank, one.length) == (bank, length)), None)


def boleto_of_bank(bank: str) -> Boleto | None:
    """Where a boleto of this bank has its title, if one of its layouts says so."""
    return next((one.boleto for one in layouts().values() if one.bank == bank and one.boleto is not None), None)


def _with_base(raw: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    own = raw[name]
    return _merged(_with_base(raw, own["base"]), own) if "base" in own else own


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged, everything else is the own one's; a field set to "" is none."""
    merged = dict(base)
    for key, value in own.items():
        is_table = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if is_table else value
    return merged


def _layout(name: str, raw: Mapping[str, Any]) -> Layout:
    records = {key: _record(key, value) for key, value in raw["records"].items()}
    return Layout(
        name=name,
        bank=raw["bank"],
        length=raw["length"],
        records=records,
        details=tuple(raw["details"]),
        sequence=_columns(raw["sequence"]["at"]),
        sequence_where=_wheres(raw["sequence"].get("where", {})),
        occurrences={code: Kind(kind) for kind, codes in raw["occurrences"].items() for code in codes},
        notary_reasons=frozenset(raw.get("notary_reasons", ())),
        paid_less_fee=raw.get("paid_less_fee", False),
        boleto=_boleto(raw.get("boleto")),
        batch_counts=frozenset(raw.get("batch_counts", ("all",))),
        occurrence_counts=tuple(
            OccurrenceCount(_columns(one["at"]), frozenset(one["codes"])) for one in raw.get("occurrence_counts", ())
        ),
    )


def _record(name: str, raw: Mapping[str, Any]) -> Record:
    fields = {key: _field(key, value) for key, value in raw.get("fields", {}).items() if value}
    return Record(name, _wheres(raw["where"]), _wheres(raw.get("must", {})), fields)


def _field(name: str, written: str) -> Field:
    columns, _, form = written.partition(" ")
    if name not in FIELDS or (form or "text") not in FORMS:
        raise ValueError(f"there is no field {name} with {written}")
    return Field(name, _columns(columns), form or "text")


def _boleto(raw: Mapping[str, Any] | None) -> Boleto | None:
    if raw is None:
        return None
    return Boleto(tuple(_columns(one) for one in raw["free_field"]), _columns(raw["title"]))


def _wheres(raw: Mapping[str, str]) -> tuple[tuple[Columns, str], ...]:
    return tuple((_columns(columns), wanted) for columns, wanted in raw.items())


def _columns(written: str) -> Columns:
    first, _, last = written.partition("-")
    return Columns(int(first), int(last or first))
