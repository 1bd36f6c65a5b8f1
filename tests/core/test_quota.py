"""Quotas, prepaid balances and plans with hours: what is used up, held, and given back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import make_contract, make_plan, make_service
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import holds, plans, policies, prepaid, quota, services, usage
from core.access import Access, HoldEffect, HoldReason
from core.audit import Actor
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models.network import Session as LiveSession
from core.models.service import Hold, Plan, Service
from core.models.system import Change, Event, OutboxItem
from core.models.usage import Prepaid, ServiceUsage

ZONE = ZoneInfo("America/Sao_Paulo")
#: A Wednesday, 9:00 there; the cycle of a contract due on the 10th began on the 10th.
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = date(2026, 11, 25)
GIB = 1 << 30
ACTOR = Actor("test")


def use(session: Session, service: Service, octets: int = 0, *, day: date = TODAY, seconds: int = 0) -> None:
    """As the shipper writes it: half of it in each direction."""
    added = {"down_octets": octets - octets // 2, "up_octets": octets // 2, "seconds": seconds}
    statement = insert(ServiceUsage).values(service_id=service.id, day=day, **added)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["service_id", "day"],
            set_={name: getattr(ServiceUsage, name) + value for name, value in added.items()},
        )
    )


def make_quota(session: Session, keyring: Keyring, **values: Any) -> Service:
    plan = make_plan(session, **{"quota_bytes": 100 * GIB, **values})
    return make_service(session, keyring, plan=plan, contract=make_contract(session, due_day=10))


def live(session: Session, service: Service) -> list[Hold]:
    return holds.live_holds(session, service.id)


def told(session: Session, kind: str) -> list[dict[str, Any]]:
    return [event.payload for event in session.scalars(select(Event).where(Event.type == kind).order_by(Event.id))]


def test_a_used_up_quota_throttles_until_the_next_cycle(session: Session, keyring: Keyring) -> None:
    service = make_quota(session, keyring)
    use(session, service, 60 * GIB, day=date(2026, 11, 10))
    use(session, service, 50 * GIB, day=date(2026, 11, 9))  # the cycle before
    quota.check(session, NOW, ZONE)
    assert live(session, service) == []
    use(session, service, 40 * GIB)
    quota.check(session, NOW, ZONE)
    quota.check(session, NOW, ZONE)
    (hold,) = live(session, service)
    assert (hold.reason, hold.effect, hold.until) == (
        HoldReason.QUOTA, HoldEffect.THROTTLE, datetime(2026, 12, 10, 3, tzinfo=UTC),
    )  # fmt: skip
    session.refresh(service)
    assert service.access is Access.THROTTLED
    assert session.scalars(select(OutboxItem).where(OutboxItem.topic == "provisioning.service_out_of_step")).all()


def test_the_next_cycle_gives_the_speed_back(session: Session, keyring: Keyring) -> None:
    service = make_quota(session, keyring)
    use(session, service, 100 * GIB)
    quota.check(session, NOW, ZONE)
    after = datetime(2026, 12, 10, 3, 1, tzinfo=UTC)
    session.execute(update(Hold).values(until=datetime(2026, 11, 24, tzinfo=UTC)))  # the database's clock is the day's
    holds.expire_holds(session, now=after)
    quota.check(session, after, ZONE)
    assert live(session, service) == []
    session.refresh(service)
    assert service.access is Access.FULL


@pytest.mark.parametrize("values", [{"quota_bytes": 200 * GIB}, {"quota_bytes": None}])
def test_a_plan_that_gives_more_lifts_what_its_quota_held(
    session: Session, keyring: Keyring, values: dict[str, Any]
) -> None:
    service = make_quota(session, keyring)
    use(session, service, 100 * GIB)
    quota.check(session, NOW, ZONE)
    admin = holds.place_hold(
        session, service.id, reason=HoldReason.QUOTA, effect=HoldEffect.BLOCK, actor=ACTOR, now=NOW
    )  # fmt: skip
    plans.update_plan(session, session.get_one(Plan, service.plan_id), values, ACTOR)
    quota.check(session, NOW, ZONE)
    assert [hold.id for hold in live(session, service)] == [admin.id], "somebody's own hold stays"


def test_most_and_all_of_a_quota_are_told_once_each(session: Session, keyring: Keyring) -> None:
    service = make_quota(session, keyring, quota_effect=HoldEffect.WALLED_GARDEN)
    for octets, percents in ((79 * GIB, []), (1 * GIB, [80]), (5 * GIB, [80]), (15 * GIB, [80, 100])):
        use(session, service, octets)
        quota.check(session, NOW, ZONE)
        assert [event["percent"] for event in told(session, "quota.used")] == percents
    assert told(session, "quota.used")[-1]["resets_on"] == "2026-12-10"
    assert live(session, service)[0].effect is HoldEffect.WALLED_GARDEN


def make_prepaid(session: Session, keyring: Keyring, what: Prepaid = Prepaid.VOLUME) -> Service:
    plan = make_plan(session, prepaid=what, quota_effect=HoldEffect.WALLED_GARDEN)
    return make_service(session, keyring, plan=plan)


def credit(session: Session, service: Service, **amount: int) -> None:
    prepaid.add_credit(session, service, actor=ACTOR, now=NOW, zone=ZONE, **amount)


def test_a_prepaid_service_is_held_until_it_is_recharged(session: Session, keyring: Keyring) -> None:
    service = make_prepaid(session, keyring)
    use(session, service, 5 * GIB)  # from before it was prepaid
    prepaid.check(session, NOW, ZONE)
    assert live(session, service)[0].effect is HoldEffect.WALLED_GARDEN
    credit(session, service, octets=10 * GIB)
    assert live(session, service) == []
    use(session, service, 9 * GIB)
    prepaid.check(session, NOW, ZONE)
    assert live(session, service) == []
    use(session, service, 2 * GIB, day=TODAY + timedelta(days=1))
    prepaid.check(session, NOW + timedelta(days=1), ZONE)
    assert len(live(session, service)) == 1
    credit(session, service, octets=2 * GIB)
    assert live(session, service) == []


def test_time_is_counted_down_as_well(session: Session, keyring: Keyring) -> None:
    service = make_prepaid(session, keyring, Prepaid.TIME)
    credit(session, service, seconds=3600)
    use(session, service, seconds=3599, octets=50 * GIB)
    prepaid.check(session, NOW, ZONE)
    assert live(session, service) == []
    use(session, service, seconds=1)
    prepaid.check(session, NOW, ZONE)
    assert len(live(session, service)) == 1


def test_usage_is_taken_off_once_whatever_day_it_comes(session: Session, keyring: Keyring) -> None:
    service = make_prepaid(session, keyring)
    credit(session, service, octets=100 * GIB)
    for day in range(4):
        for _ in range(3):
            use(session, service, GIB, day=TODAY + timedelta(days=day))
            prepaid.check(session, NOW + timedelta(days=day), ZONE)
    balance = session.get_one(prepaid.PrepaidBalance, service.id)
    assert balance.octets == 88 * GIB


def test_nodes_hear_of_a_balance_that_changed_while_nobody_is_online(session: Session, keyring: Keyring) -> None:
    service = make_prepaid(session, keyring)
    credit(session, service, octets=10 * GIB)
    session.add(
        LiveSession(nas_id=1, box="b", acct_session_id="s", service_id=service.id, login="x", started_at=NOW,
                    updated_at=NOW, nas_address="127.0.0.1")
    )  # fmt: skip
    session.flush()
    session.info.pop("noted_changes", None)
    use(session, service, GIB)
    prepaid.check(session, NOW, ZONE)
    assert not session.info.get("noted_changes"), "he is online: it would change with every report"
    session.execute(update(LiveSession).values(stopped_at=NOW, stop_kind="stop"))
    prepaid.count(session, service.id, NOW, ZONE)
    assert ("balance", service.id) in session.info.pop("noted_changes")
    prepaid.check(session, NOW, ZONE)
    assert not session.info.get("noted_changes"), "nothing was used since"


def test_who_comes_to_a_prepaid_plan_has_nothing_until_the_first_credit(session: Session, keyring: Keyring) -> None:
    plan, contract = make_plan(session, prepaid=Prepaid.VOLUME), make_contract(session)
    values = {"contract_id": contract.id, "plan_id": plan.id, "kind": "pppoe", "login": "new",
              "password": "secret"}  # fmt: skip
    new = services.create_service(session, keyring, values, ACTOR)
    moved = make_quota(session, keyring)
    services.update_service(session, keyring, moved, {"plan_id": plan.id}, ACTOR)
    owed = session.scalars(select(OutboxItem).where(OutboxItem.topic == "core.prepaid_due").order_by(OutboxItem.id))
    assert [one.payload for one in owed] == [{"service_id": new.id}, {"service_id": moved.id}]
    prepaid.count(session, new.id, NOW, ZONE)
    assert [len(live(session, one)) for one in (new, moved)] == [1, 0]


@pytest.mark.parametrize(
    ("amount", "field"), [({"seconds": 60}, "octets"), ({}, "octets"), ({"octets": 1, "seconds": 1}, "octets")]
)
def test_a_credit_is_of_what_the_plan_counts(
    session: Session, keyring: Keyring, amount: dict[str, int], field: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        credit(session, make_prepaid(session, keyring), **amount)
    assert error.value.field == field


def test_a_plan_that_is_not_prepaid_takes_no_credit_and_holds_nobody(session: Session, keyring: Keyring) -> None:
    service = make_prepaid(session, keyring)
    prepaid.check(session, NOW, ZONE)
    session.execute(update(Plan).values(prepaid=None))
    session.expire_all()
    prepaid.check(session, NOW, ZONE)
    assert live(session, service) == []
    with pytest.raises(Conflict, match="not prepaid"):
        credit(session, service, octets=1)


NIGHT = {
    "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "until": "06:00",
    "down_kbps": 800_000, "up_kbps": 400_000,
}  # fmt: skip


def test_at_its_hours_a_plan_is_another(session: Session, keyring: Keyring) -> None:
    plan = plans.create_plan(session, {"name": "n", "down_kbps": 200, "up_kbps": 100, "time_windows": [NIGHT]}, ACTOR)
    service = make_service(session, keyring, plan=plan)
    version = plan.version

    def rates(at: datetime) -> tuple[int | None, int | None]:
        plans.follow_windows(session, at.astimezone(ZONE))
        policies.refresh_plan_chunk(session, plan.id, 0)
        session.refresh(service)
        policy = policies.read(session, service.policy_fingerprint)
        assert policy is not None
        return policy.down_kbps, policy.up_kbps

    assert rates(NOW) == (200, 100)
    assert rates(datetime(2026, 11, 26, 3, tzinfo=UTC)) == (800_000, 400_000)  # midnight there
    assert rates(datetime(2026, 11, 26, 9, tzinfo=UTC)) == (200, 100)
    assert [event["window"] for event in told(session, "plan.hours_changed")] == [0, None]
    session.refresh(plan)
    assert plan.version == version, "nobody edited it"


def test_new_hours_count_from_the_clocks_next_look(session: Session) -> None:
    plan = plans.create_plan(session, {"name": "n", "down_kbps": 200, "up_kbps": 100, "time_windows": [NIGHT]}, ACTOR)
    plans.follow_windows(session, datetime(2026, 11, 26, 1, tzinfo=ZONE))
    assert plan.open_window == 0
    plans.update_plan(session, plan, {"time_windows": []}, ACTOR)
    assert (plan.open_window, plan.terms().down_kbps) == (None, 200)


def test_usage_is_summed_by_cycle_and_forgotten_after_a_year(session: Session, keyring: Keyring) -> None:
    service = make_quota(session, keyring)
    use(session, service, 10, day=date(2025, 1, 1))
    use(session, service, 7, seconds=5)
    cycle = usage.cycle_of_service(session, service, TODAY)
    assert cycle.start == date(2026, 11, 10)
    assert usage.since(session, service.id, cycle.start) == usage.Traffic(4, 3, 5)
    usage.forget_usage(session)
    assert [row.day for row in usage.by_day(session, service.id, date(2020, 1, 1), date(2030, 1, 1))] == [TODAY]
    assert session.scalars(select(Change)).all() == []
