"""What services used, by day and by billing cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.cycles import Cycle, cycle_of
from core.models.party import Contract
from core.models.service import Service
from core.models.usage import ServiceUsage

#: A year's comparison, and the month in which it is looked at.
KEPT_DAYS = 400
_COLUMNS = (ServiceUsage.down_octets, ServiceUsage.up_octets, ServiceUsage.seconds)


@dataclass(frozen=True, slots=True)
class Traffic:
    down_octets: int
    up_octets: int
    seconds: int

    @property
    def octets(self) -> int:
        return self.down_octets + self.up_octets


def by_day(session: Session, service_id: int, first: date, last: date) -> Sequence[ServiceUsage]:
    return session.scalars(
        select(ServiceUsage)
        .where(ServiceUsage.service_id == service_id, ServiceUsage.day.between(first, last))
        .order_by(ServiceUsage.day)
    ).all()


def since(session: Session, service_id: int, first: date) -> Traffic:
    """All of it from this day on."""
    sums = [func.coalesce(func.sum(column), 0) for column in _COLUMNS]
    found = select(*sums).where(ServiceUsage.service_id == service_id, ServiceUsage.day >= first)
    return Traffic(*(int(value) for value in session.execute(found).one()))


def cycle_of_service(session: Session, service: Service, today: date) -> Cycle:
    return cycle_of(session.get_one(Contract, service.contract_id).due_day, today)


def forget_usage(session: Session) -> None:
    """Days that nobody compares with any more."""
    session.execute(
        delete(ServiceUsage)
        .where(ServiceUsage.day < func.current_date() - KEPT_DAYS)
        .execution_options(synchronize_session=False)
    )
