"""OFX statements as Brazilian banks write them: SGML 1.x, XML 2.x, and what is neither. Pure.

A tag opens a value that ends at the next tag, closed or not, so files that close some of their tags read like those
that close all or none. What a header says of the encoding is not believed. Amounts have a point or a comma. Balances
that stand among the entries ("Saldo do dia") are none, and balances after them (BALAMT, which Itaú writes without its
comma) are not read. An entry without an id, or with zeros for one, gets one from what it says and how many before it
say the same.

A file ends with </OFX>: one that does not is cut, and refused.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from html import unescape
from typing import Final, NamedTuple

from billing_hooks.bank_files.base import (
    BankFileMalformed,
    BankLine,
    BankRows,
    Kind,
    Problem,
    Unreadable,
    cents_in_bounds,
    clean,
    day,
    decode,
    digits_of,
    end_to_end_id_in,
    is_number,
)

_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9_.]{0,40})>([^<]*)")
_START: Final = re.compile(r"<OFX>|OFXHEADER", re.IGNORECASE)
_LINE_END: Final = re.compile("\r\n|\n|\r")
_ACCOUNT: Final = frozenset({"BANKID", "BRANCHID", "ACCTID"})
_ACCOUNT_BLOCKS: Final = frozenset({"BANKACCTFROM", "CCACCTFROM"})
#: Words of which a balance's row is made; one that has any other word is an entry.
_BALANCE_WORDS: Final = frozenset({
    "saldo", "s", "a", "l", "d", "o", "anterior", "inicial", "final", "atual", "do", "da", "de", "dia", "em", "conta",
    "corrente", "c/c", "cc", "total", "disponivel", "disponível", "bloqueado", "parcial", "periodo", "período", "mes",
    "mês",
})  # fmt: skip
_REVERSAL: Final = re.compile(
    r"\b(devolu[cç][aã]o|devolvid[oa]|estorno|estornad[oa]|dev\.?\s+(pix|ted|cheque))\b", re.IGNORECASE
)
#: 1.234,56 or 1,234.56 or 1234.56 or 1234,56; 1.234 alone could be two things, and is neither.
_AMOUNT: Final = re.compile(
    r"([+-]?)(?:(\d{1,3}(?:\.\d{3})+),(\d+)|(\d{1,3}(?:,\d{3})+)\.(\d+)|(\d*)(?:[.,](\d*))?)", re.ASCII
)
_PIX: Final = re.compile(r"\bpix\b", re.IGNORECASE)
_BOLETO: Final = re.compile(r"\b(boletos?|cobran[cç]a|t[ií]tulos?)\b", re.IGNORECASE)


class _Tag(NamedTuple):
    line: int
    closes: bool
    name: str
    value: str


@dataclass(slots=True)
class _State:
    """Where in the file we are: whose statement, and what has been read of it."""

    bank: str = ""
    account: dict[str, str] = field(default_factory=dict)
    entry: dict[str, str] | None = None
    entry_line: int = 0
    lines: list[BankLine] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    period: dict[str, date] = field(default_factory=dict)
    first_account: str | None = None
    alike: Counter[tuple[str, ...]] = field(default_factory=Counter)
    closed: bool = False

    def account_name(self) -> str:
        return "/".join(filter(None, (self.account.get("BRANCHID", ""), self.account.get("ACCTID", ""))))


def is_ofx(octets: bytes) -> bool:
    return _START.search(decode(octets[:4096])) is not None


def read(octets: bytes) -> BankRows:
    """Raises BankFileMalformed with line and field."""
    text = decode(octets)
    state = _State()
    last = 1
    for tag in _tags(text):
        last = tag.line
        _take(state, tag)
    if not state.closed:
        raise BankFileMalformed("the file does not end with </OFX>: it is cut, or no OFX", line=last, field="OFX")
    return BankRows(
        format="ofx", layout="ofx", bank=state.bank, account=state.first_account or "", lines=tuple(state.lines),
        problems=tuple(state.problems), period_from=state.period.get("DTSTART"), period_until=state.period.get("DTEND"),
    )  # fmt: skip


def _tags(text: str) -> Iterator[_Tag]:
    line, place = 1, 0
    for found in _TAG.finditer(text):
        line += len(_LINE_END.findall(text, place, found.start()))
        place = found.start()
        slash, name, value = found.groups()
        yield _Tag(line, bool(slash), name.upper(), clean(unescape(value)))


def _take(state: _State, tag: _Tag) -> None:
    if tag.name == "STMTTRN":
        _finish(state)
        if not tag.closes:
            state.entry, state.entry_line = {}, tag.line
    elif tag.closes:
        if tag.name in {"BANKTRANLIST", "OFX"}:
            _finish(state)
        state.closed = tag.name == "OFX"
    elif state.entry is not None:
        state.entry.setdefault(tag.name, tag.value)
    elif tag.name in _ACCOUNT_BLOCKS:
        state.account = {}
    elif tag.name in _ACCOUNT:
        _take_account(state, tag)
    elif tag.name in {"DTSTART", "DTEND"}:
        _take_period(state, tag)


def _take_account(state: _State, tag: _Tag) -> None:
    state.account[tag.name] = tag.value
    if tag.name == "BANKID":
        state.bank = bank_code(tag.value)
    if tag.name == "ACCTID" and state.first_account is None:
        state.first_account = state.account_name()


def _take_period(state: _State, tag: _Tag) -> None:
    """The period is for show: one that cannot be read is none."""
    try:
        state.period.setdefault(tag.name, _day(tag.value, tag.name))
    except Unreadable:
        return


def _finish(state: _State) -> None:
    """The entry that was being read ends here."""
    entry, state.entry = state.entry, None
    if entry is None:
        return
    try:
        if not is_balance(_said(entry)):
            state.lines.append(_line(state, entry))
    except Unreadable as unreadable:
        state.problems.append(Problem(state.entry_line, unreadable.field, unreadable.detail))


def _line(state: _State, entry: dict[str, str]) -> BankLine:
    posted_on = _day(entry.get("DTPOSTED", ""), "DTPOSTED")
    amount_cents = statement_cents(entry.get("TRNAMT", ""), "TRNAMT")
    said, end_to_end_id = _said(entry), end_to_end_id_in(" ".join(entry.values()))
    fitid = entry.get("FITID", "")
    if not fitid.strip("0"):
        fitid = synthetic_id(state.alike, state.account_name(), posted_on, amount_cents, said)
    return BankLine(
        number=state.entry_line,
        kind=kind_of(amount_cents, said, debit=entry.get("TRNTYPE", "").upper() == "DEBIT"),
        bank=state.bank,
        account=state.account_name(),
        title=fitid,
        paid_cents=amount_cents,
        occurred_on=posted_on,
        credited_on=posted_on,
        check_number=entry.get("CHECKNUM", ""),
        payer_name=entry.get("NAME", ""),
        memo=entry.get("MEMO", ""),
        method=method_of(said, end_to_end_id),
        end_to_end_id=end_to_end_id,
    )


def _said(entry: dict[str, str]) -> str:
    return " ".join(filter(None, (entry.get("NAME", ""), entry.get("MEMO", ""))))


def _day(text: str, name: str) -> date:
    """YYYYMMDD, then an hour and a zone that we do not need: the bank's own day counts."""
    digits = text[:8]
    if len(digits) != 8 or not is_number(digits):
        raise Unreadable(name, f"{text[:40]!r} is no day")
    return day(int(digits[:4]), int(digits[4:6]), int(digits[6:8]), name)


def bank_code(text: str) -> str:
    """341 of "0341" or "341": three digits, as the clearing writes it."""
    digits = digits_of(text).lstrip("0")
    return digits.zfill(3) if digits else text


def statement_cents(text: str, name: str) -> int:
    """A signed amount, with a point or a comma in front of the decimals, and thousands apart by the other or not."""
    plain = text.replace("R$", "").replace(" ", "").replace("\u2212", "-")
    if plain.endswith("-"):
        plain = "-" + plain[:-1]
    found = _AMOUNT.fullmatch(plain)
    whole, decimals = _digits(found[2] or found[4] or found[6], found[3] or found[5] or found[7]) if found else ("", "")
    if found is None or not whole + decimals:
        raise Unreadable(name, f"{text[:40]!r} is no amount")
    decimals = decimals.rstrip("0")
    if len(decimals) > 2:
        raise Unreadable(name, f"{text[:40]!r} has more than two decimals")
    amount = int(whole or "0") * 100 + int(decimals.ljust(2, "0"))
    return cents_in_bounds(-amount if found[1] == "-" else amount, name)


def _digits(whole: str | None, decimals: str | None) -> tuple[str, str]:
    return digits_of(whole or ""), decimals or ""


def is_balance(said: str) -> bool:
    """Whether an entry says a balance and nothing else: "Saldo Anterior", "S A L D O", "SALDO TOTAL DISPONÍVEL DIA"."""
    words = said.lower().replace(".", " ").split()
    return bool(words) and "".join(words).startswith("saldo") and all(word in _BALANCE_WORDS for word in words)


def kind_of(amount_cents: int, said: str, *, debit: bool = False) -> Kind:
    """Money in or out by the sign; out as well where the bank calls it a debit and wrote no sign."""
    if amount_cents > 0 and not debit:
        return Kind.CREDIT
    if amount_cents == 0:
        return Kind.OTHER
    return Kind.REVERSED if _REVERSAL.search(said) else Kind.DEBIT


def method_of(said: str, end_to_end_id: str) -> str:
    """How the money came, as far as the entry says it."""
    if end_to_end_id or _PIX.search(said):
        return "pix"
    return "boleto" if _BOLETO.search(said) else "transfer"


def synthetic_id(alike: Counter[tuple[str, ...]], account: str, posted_on: date, amount_cents: int, memo: str) -> str:
    """An id for an entry that has none, the same in every file that holds that day: the n-th that says just this."""
    says = (account, posted_on.isoformat(), str(amount_cents), memo)
    ordinal = alike[says]
    alike[says] += 1
    return "synthetic-" + hashlib.sha256("\n".join((*says, str(ordinal))).encode()).hexdigest()[:32]
