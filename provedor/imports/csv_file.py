"""Services out of a CSV file: idempotent, row by row; a bad row names its line and reason, the good ones land.

Columns: login, password, plan (by name), customer_name; and, where given, document, due_day, ipv4_address, ipv6_prefix,
delegated_ipv6_prefix, street, city, mac_lock and circuit_lock (values with | between them, or `learn`). They are
separated by commas or, as spreadsheets in Portuguese write them, by semicolons. A login that exists already is left as
it is.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TextIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import documents, parties, services
from core.audit import Actor
from core.database import Database
from core.errors import InvalidInput, ProvedorError
from core.keyring import Keyring
from core.models.party import Customer
from core.models.service import Plan

REQUIRED = ("login", "password", "plan", "customer_name")
_SERVICE_COLUMNS = ("ipv4_address", "ipv6_prefix", "delegated_ipv6_prefix")
_ADDRESS_COLUMNS = ("street", "city")
_LOCK_COLUMNS = ("mac_lock", "circuit_lock")


@dataclass(frozen=True, slots=True)
class RowResult:
    """`outcome` is created, exists or rejected; the reason never holds a password."""

    line: int
    login: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Importer:
    database: Database
    keyring: Keyring
    actor: Actor
    today: date

    def run(self, file: TextIO, *, dry_run: bool) -> Iterator[RowResult]:
        """One transaction a row. Raises InvalidInput where a required column is missing, or for what is no CSV."""
        try:
            header = file.readline()
            rows = csv.DictReader(itertools.chain([header], file), delimiter=_delimiter(header))
            missing = [name for name in REQUIRED if name not in (rows.fieldnames or ())]
            if missing:
                raise InvalidInput(f"the file has no column {', '.join(missing)}", field="columns")
            yield from self._rows(rows, dry_run=dry_run)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(f"is no CSV in UTF-8 from here on: {error}", field="file") from None

    def _rows(self, rows: csv.DictReader[str], *, dry_run: bool) -> Iterator[RowResult]:
        planned: set[str] = set()  # logins that a dry run would have made by now
        for row in rows:
            login = (row.get("login") or "").strip()
            try:
                _check_text(row)
                outcome = "exists" if login in planned else self._row(row, login, dry_run=dry_run)
            except ProvedorError as error:
                field = f"{error.field}: " if error.field else ""
                yield RowResult(rows.line_num, login, "rejected", field + error.detail)
            else:
                if dry_run and outcome == "created":
                    planned.add(login)
                yield RowResult(rows.line_num, login, outcome)

    def _row(self, row: dict[str, str], login: str, *, dry_run: bool) -> str:
        with self.database.transaction() as session, session.begin_nested() as attempt:
            found = services.find_by_login(session, login) if login else None
            if found is not None and found.cancelled_at is None:
                return "exists"
            self._create(session, row, login)
            if dry_run:
                attempt.rollback()
        return "created"

    def _create(self, session: Session, row: dict[str, str], login: str) -> None:
        plan = session.scalar(select(Plan).where(Plan.name == (row["plan"] or "").strip()))
        if plan is None:
            raise InvalidInput(f"there is no plan {row['plan']}", field="plan")
        customer_id = self._customer(session, row)
        contract = {"customer_id": customer_id, "due_day": _due_day(row), "started_on": self.today}
        values = {
            "contract_id": parties.create_contract(session, contract, [], self.actor).id,
            "plan_id": plan.id,
            "kind": "pppoe",
            "login": login,
            "password": row["password"] or "",
            "address": _given(row, _ADDRESS_COLUMNS),
            **_given(row, _SERVICE_COLUMNS),
            **{name: _lock(value) for name, value in _given(row, _LOCK_COLUMNS).items()},
        }
        services.create_service(session, self.keyring, values, self.actor)

    def _customer(self, session: Session, row: dict[str, str]) -> int:
        """The customer with this document, else a new one."""
        document = (row.get("document") or "").strip() or None
        if document:
            plain = documents.normalise_document(document)
            known = session.scalar(select(Customer.id).where(Customer.document == plain))
            if known is not None:
                return known
        name = (row["customer_name"] or "").strip()
        if not name:
            raise InvalidInput("a customer has a name", field="customer_name")
        values = {
            "name": name,
            "kind": "business" if document and len(document) > 14 else "person",
            "document": document,
        }
        return parties.create_customer(session, values, [], self.actor).id


def _delimiter(header: str) -> str:
    return ";" if header.count(";") > header.count(",") else ","


def _check_text(row: dict[str, str]) -> None:
    """PostgreSQL text holds no NUL, and no UTF-8 holds a lone surrogate."""
    for name, value in row.items():
        if isinstance(value, str) and ("\0" in value or any("\ud800" <= one <= "\udfff" for one in value)):
            raise InvalidInput("has a character that cannot be stored", field=name)


def _given(row: dict[str, str], columns: Iterable[str]) -> dict[str, str]:
    return {name: value for name in columns if (value := (row.get(name) or "").strip())}


def _lock(text: str) -> list[str]:
    """An empty one is yet to be learned."""
    if text.lower() == "learn":
        return []
    return [value.strip() for value in text.split("|") if value.strip()]


def _due_day(row: dict[str, str]) -> int:
    text = (row.get("due_day") or "10").strip()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 31:
        raise InvalidInput("is a day from 1 to 31", field="due_day")
    return int(text)
