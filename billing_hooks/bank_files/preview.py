"""How the first lines of a CSV read by a mapping, and which invoices they would pay: nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from billing_hooks.bank_files import facts, spreadsheet
from billing_hooks.bank_files.base import BankLine, Problem, decode
from billing_hooks.bank_files.matching import Match, match
from billing_hooks.bank_files.spreadsheet import CsvMapping

LINES_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Preview:
    """Lines as they read, each with the invoice that it names or why it names none, and those that cannot be read."""

    lines: Sequence[tuple[BankLine, Match]]
    problems: Sequence[Problem]


def preview(session: Session, octets: bytes, mapping: CsvMapping) -> Preview:
    """Raises BankFileMalformed with line and column."""
    text = decode(octets, mapping.encoding)
    head = "".join(text.splitlines(keepends=True)[: mapping.lines_before + 1 + LINES_MAX])
    rows = spreadsheet.read(head.encode(), replace(mapping, encoding="utf-8"))
    among = facts.candidates(session, rows.lines)
    return Preview([(line, match(line, among)) for line in rows.lines], rows.problems)
