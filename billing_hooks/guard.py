"""May a run go on by itself, or does a person look first?

It may not while something keeps it from being believed (`alarms`), and not for more than its policies let a day's runs
restrict: a number, a share of all contracts, or some times as many as were usual on this day of earlier months. What
runs of the same day have restricted counts, or a mistake would get by in small parts; what a person forced does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import alarms
from billing_hooks.days import Calendar
from billing_hooks.invoicing.words import Words
from billing_hooks.models import BillingDecision, BillingRun, RunState
from billing_hooks.policy import Guard, Policy
from billing_hooks.suspension import Change
from core.cycles import begins_at
from core.models.party import Contract, ContractStatus

#: Of earlier months, whose runs on this day are what is usual.
_MONTHS_BACK: Final = 3


class StopKind(StrEnum):
    #: Who paid may look like a debtor.
    ALARM = "alarm"
    NUMBER = "number"
    SHARE = "share"
    UNUSUAL = "unusual"


@dataclass(frozen=True, slots=True)
class Stop:
    """One reason for which a run stops."""

    kind: StopKind
    words: Words


def find_stops(
    session: Session, plan: Sequence[Change], policies: Iterable[Policy], calendar: Calendar, now: datetime
) -> list[Stop]:
    """All reasons, so that a person is asked once; none for a run that restricts nobody."""
    placing: dict[str, set[int]] = defaultdict(set)
    for change in plan:
        if change.action == "place":
            placing[change.policy].add(change.contract_id)
    if not placing:
        return []
    found = [Stop(StopKind.ALARM, alarms.in_doubt(one)) for one in alarms.gather(session, calendar, now)]
    guards = {policy.name: policy.guard for policy in policies if policy.name in placing}
    for name, guard in guards.items():
        found += _too_many(session, name, guard, placing[name], now.astimezone(calendar.zone).date(), calendar.zone)
    return found


def _too_many(
    session: Session, policy: str, guard: Guard, placing: set[int], today: date, zone: tzinfo
) -> Iterable[Stop]:
    count = len(placing | _restricted_since(session, policy, begins_at(today, zone)))
    if guard.count_max is not None and count > guard.count_max:
        yield _stop(StopKind.NUMBER, policy, count, f"more than {guard.count_max}", f"mais de {guard.count_max}")
    if count <= guard.count_floor:
        return
    total = session.scalar(select(func.count()).where(Contract.status == ContractStatus.ACTIVE)) or 0
    if count > total * guard.share_max:
        share = f"{guard.share_max * 100:g}%"
        yield _stop(
            StopKind.SHARE, policy, count, f"{count} of {total} contracts, more than {share}",
            f"{count} de {total} contratos, mais de {share}",
        )  # fmt: skip
    usual = _usual(session, today, zone)
    if usual is not None and count > max(usual, guard.count_floor) * guard.times_usual:
        yield _stop(
            StopKind.UNUSUAL, policy, count, f"{usual} are usual on this day of the month",
            f"o usual neste dia do mês é {usual}",
        )  # fmt: skip


def _stop(kind: StopKind, policy: str, count: int, but: str, but_pt: str) -> Stop:
    return Stop(
        kind,
        Words(
            pt=f"contratos a restringir hoje pela política {policy}: {count}; {but_pt}",
            en=f"contracts to be restricted today by the policy {policy}: {count}; {but}",
        ),
    )


def _restricted_since(session: Session, policy: str, since: datetime) -> set[int]:
    """Whom runs that went by themselves restricted, or are about to."""
    own = (BillingRun.at >= since, BillingRun.state != RunState.STOPPED, BillingRun.forced_by.is_(None))
    placed = (BillingDecision.action == "place", BillingDecision.policy == policy, BillingDecision.outcome.is_(None))
    query = select(BillingDecision.contract_id).join(BillingRun, BillingRun.id == BillingDecision.run_id)
    return set(session.scalars(query.where(*own, *placed).distinct()))


def _usual(session: Session, today: date, zone: tzinfo) -> int | None:
    """How many the runs of this day restricted in earlier months, the most of them; None where there were no runs."""
    counts = []
    local_day = func.date(func.timezone(str(zone), BillingRun.at))
    for back in range(1, _MONTHS_BACK + 1):
        day = _months_before(today, back)
        near = local_day.between(day - timedelta(days=1), day + timedelta(days=1))
        own = BillingRun.state != RunState.STOPPED
        counts.append(session.scalar(select(func.sum(BillingRun.placed)).where(near, own)))
    known = [int(count) for count in counts if count is not None]
    return max(known) if known else None


def _months_before(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(years, month + 1, min(day.day, 28))
