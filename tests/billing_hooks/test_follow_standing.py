"""The word of another system as a verdict: what of ours stands against it, and what is left to that system. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.cases import Case, LiveHold
from billing_hooks.days import Calendar, Holidays
from billing_hooks.policy import ANATEL_765
from billing_hooks.standing import Debtor, Followed, OpenInvoice, standing
from billing_hooks.suspension import judge
from core.access import HoldEffect

ZONE = ZoneInfo("America/Sao_Paulo")
CALENDAR = Calendar(Holidays("BR"), ZONE)
OWED = OpenInvoice(1, date(2026, 1, 10), 9990, datetime(2026, 1, 12, tzinfo=UTC))

moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
effects = st.sampled_from([None, *HoldEffect])
holds = st.lists(st.sampled_from(HoldEffect).map(lambda effect: LiveHold(1, 7, effect)), max_size=1)
debtors = st.builds(
    Debtor,
    st.lists(st.just(OWED), max_size=1),
    promise_until=st.one_of(st.none(), moments),
    exempt=st.booleans(),
    paused=st.booleans(),
    incident=st.booleans(),
    followed=st.builds(Followed, st.just("matriz"), effects, st.text(max_size=9), st.booleans()),
)


@given(debtors, moments)
def test_no_step_of_ours_is_judged_and_what_protects_a_contract_here_protects_it(debtor: Debtor, now: datetime) -> None:
    verdict = standing(debtor, ANATEL_765, now, ZONE)
    assert debtor.followed is not None
    protected = debtor.exempt or debtor.paused or (debtor.promise_until or now) > now
    assert verdict.effect == (None if protected else debtor.followed.effect)
    assert (verdict.spared is not None) == (protected and debtor.followed.effect is not None)
    assert (verdict.messages, verdict.propose_termination, verdict.invoice_id) == ((), False, None)
    assert verdict.reason.startswith("matriz says: ")


@given(debtors, moments, holds)
def test_a_restriction_begins_on_our_days_and_hours_or_by_a_person_and_giving_back_knows_none(
    debtor: Debtor, now: datetime, live: list[LiveHold]
) -> None:
    case = Case(1, "Ana", ANATEL_765, debtor, live, frozenset({7}))
    verdict = standing(debtor, ANATEL_765, now, ZONE)
    change = judge(case, verdict, CALENDAR, now)
    assert debtor.followed is not None
    if change is not None and change.action == "place":
        assert not debtor.incident
        assert debtor.followed.at_once or CALENDAR.refusal(ANATEL_765.hours, now, case.places) is None
    if verdict.effect is None and live:
        assert change is not None
        assert change.action == "lift"


def test_without_another_system_our_own_policy_judges_as_before() -> None:
    debtor = Debtor([OWED])
    now = OWED.notified_at + timedelta(days=30) if OWED.notified_at else datetime(2026, 3, 1, tzinfo=UTC)
    assert standing(debtor, ANATEL_765, now, ZONE).effect is HoldEffect.WALLED_GARDEN
