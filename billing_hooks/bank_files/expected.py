"""Which bank file is missing: of an account, for a bank's day, after the hour by which it had to be there.

A file tells of a day that lies in its period (as it says itself, or from its first line's day to its last one's), or on
which the bank wrote it. It is expected by an hour of the bank's next day. While one is missing, or is still being
read, who paid at that bank may look like a debtor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.base import same_account
from billing_hooks.days import Calendar
from billing_hooks.invoicing.words import Words, day
from billing_hooks.models import BankFile, BankFileStatus, ExpectedBankFile
from core import audit
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import InvalidInput, NotFound
from core.language import Language

#: How far back a file is missed; what is older, a person knows of or wants no more.
LOOK_BACK: Final = timedelta(days=14)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Told:
    """A file of an account: the days of which it tells, and whether its lines are done."""

    bank: str
    account: str
    first: date | None
    last: date | None
    written_on: date | None
    done: bool

    def tells_of(self, day: date) -> bool:
        in_period = self.first is not None and self.last is not None and self.first <= day <= self.last
        return in_period or self.written_on == day


def alarms(session: Session, calendar: Calendar, now: datetime) -> list[Words]:
    """What is missing now: each account once."""
    wanted = session.scalars(select(ExpectedBankFile).order_by(ExpectedBankFile.id)).all()
    files = _files(session, now) if wanted else []
    return [words for one in wanted if (words := missing(one, files, calendar, now)) is not None]


def missing_of(session: Session, one: ExpectedBankFile, calendar: Calendar, now: datetime) -> Words | None:
    """Of one account."""
    return missing(one, _files(session, now), calendar, now)


def missing(one: ExpectedBankFile, files: Sequence[Told], calendar: Calendar, now: datetime) -> Words | None:
    """What of this account is missing. Pure."""
    own = [file for file in files if file.bank == one.bank and same_account(file.account, one.account)]
    days = [day for day in _due_days(one, calendar, now) if not any(file.tells_of(day) for file in own if file.done)]
    if not days:
        return None
    absent = [day for day in days if not any(file.tells_of(day) for file in own)]
    what = _absent(absent, one.hour, _next_bank_day(absent[-1], calendar)) if absent else _being_read(days)
    return Words(
        f"banco {one.bank}, conta {one.account}: {what.pt}", f"bank {one.bank}, account {one.account}: {what.en}"
    )


def create_expectation(session: Session, values: Mapping[str, Any], actor: Actor) -> ExpectedBankFile:
    """Raises InvalidInput, or Conflict for an account of which a file is expected already."""
    row = ExpectedBankFile(**_checked(values))
    session.add(row)
    flush_unique(session, {"bank_account": "account"})
    audit.record(session, actor, "create", "expected_bank_file", row.id, _shown(values))
    return row


def get_expectation(session: Session, expectation_id: int) -> ExpectedBankFile:
    row = session.get(ExpectedBankFile, expectation_id)
    if row is None:
        raise NotFound("expected bank file", expectation_id)
    return row


def replace_expectation(
    session: Session, row: ExpectedBankFile, values: Mapping[str, Any], actor: Actor
) -> ExpectedBankFile:
    """A later `since` is how a person says that the files of the days before do not come."""
    changed = apply_changes(row, _checked(values))
    flush_unique(session, {"bank_account": "account"})
    if changed:
        audit.record(session, actor, "update", "expected_bank_file", row.id, changed)
    return row


def delete_expectation(session: Session, row: ExpectedBankFile, actor: Actor) -> None:
    session.delete(row)
    session.flush()
    audit.record(session, actor, "delete", "expected_bank_file", row.id, {"bank": row.bank, "account": row.account})


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    weekdays = sorted(set(values["weekdays"]))
    if not weekdays or not set(weekdays) <= set(range(5)):
        raise InvalidInput("weekdays are 0 (Monday) to 4, and one at least: a bank's days", field="weekdays")
    if not 0 <= values["hour"] <= 23:
        raise InvalidInput("is 0 to 23", field="hour")
    return {**values, "weekdays": weekdays}


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in values.items()}


def _due_days(one: ExpectedBankFile, calendar: Calendar, now: datetime) -> Iterator[date]:
    """Bank days whose file has to be there by now."""
    local = now.astimezone(calendar.zone)
    day = max(one.since, local.date() - LOOK_BACK)
    while day < local.date():
        if day.weekday() in one.weekdays and calendar.banks_open(day):
            deadline = datetime.combine(_next_bank_day(day, calendar), time(one.hour), calendar.zone)
            if deadline <= local:
                yield day
        day += _DAY


def _next_bank_day(day: date, calendar: Calendar) -> date:
    following = day + _DAY
    while not calendar.banks_open(following):
        following += _DAY
    return following


def _files(session: Session, now: datetime) -> list[Told]:
    """Of the time that is looked back on. One that was refused tells of nothing."""
    since = now - LOOK_BACK - 7 * _DAY
    told = (BankFile.bank, BankFile.account, BankFile.period_from, BankFile.period_until, BankFile.written_on)
    read = BankFile.status.in_([BankFileStatus.READ, BankFileStatus.DONE])
    query = select(*told, BankFile.status).where(BankFile.imported_at >= since, read)
    return [Told(*row[:5], done=row[5] is BankFileStatus.DONE) for row in session.execute(query)]


def _being_read(days: Sequence[date]) -> Words:
    return Words(
        f"o arquivo de {_listed(days, 'pt_BR')} ainda está sendo lido",
        f"the file of {_listed(days, 'en')} is still being read",
    )


def _absent(days: Sequence[date], hour: int, deadline: date) -> Words:
    return Words(
        f"nenhum arquivo fala de {_listed(days, 'pt_BR')}, esperado até as {hour} h de {day(deadline, 'pt_BR')}",
        f"no file tells of {_listed(days, 'en')}, expected by {hour} h of {day(deadline, 'en')}",
    )


def _listed(days: Sequence[date], language: Language) -> str:
    return ", ".join(day(one, language) for one in days)
