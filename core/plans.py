"""Plans: what a service gets on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core import audit, changes, events, network, outbox, topics
from core.addresses import check_dns_servers
from core.attributes import check_vendor_attributes
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import InvalidInput, NotFound
from core.logins import check_name
from core.models.network import Vendor
from core.models.service import Plan
from core.models.system import ChangeKind
from core.plan_names import PlanNames
from core.schedule import check_windows, open_window

#: Rate in the walled garden and under a throttle where the plan says nothing.
DEFAULT_THROTTLE_KBPS = 1024
DEFAULT_INTERIM_S = 300
#: Fields that name something at the NAS.
_NAMES = (
    "address_pool", "address_list", "vrf", "ingress_filter", "egress_filter", "ipv6_pool", "delegated_ipv6_pool",
    "profile", "throttle_profile",
)  # fmt: skip
#: One line, one session: what is sold is a household's access, and a login that works twice is a login that is shared.
#: A new session ends the older one, so that a limit of one never keeps anybody out.
DEFAULT_SESSION_LIMIT = 1


def create_plan(
    session: Session, values: Mapping[str, Any], actor: Actor, names: PlanNames | None = None
) -> Plan:  # fmt: skip
    """`names`: who knows what the boxes have."""
    plain = {
        "throttle_down_kbps": DEFAULT_THROTTLE_KBPS,
        "throttle_up_kbps": DEFAULT_THROTTLE_KBPS,
        "interim_seconds": DEFAULT_INTERIM_S,
        "price_cents": 0,
        **{key: value for key, value in values.items() if value is not None},
        # None is a value here: any number of sessions.
        "session_limit": values.get("session_limit", DEFAULT_SESSION_LIMIT),
    }
    plan = Plan(**_canonical(plain))
    _check(plan)
    if names is not None:
        names.check(session, plan)
    session.add(plan)
    flush_unique(session, {"name": "name"})
    audit.record(session, actor, "create", "plan", plan.id, plain)
    events.record(session, "plan.created", "plan", plan.id)
    return plan


def get_plan(session: Session, plan_id: int) -> Plan:
    plan = session.get(Plan, plan_id)
    if plan is None:
        raise NotFound("plan", plan_id)
    return plan


def update_plan(
    session: Session, plan: Plan, values: Mapping[str, Any], actor: Actor, names: PlanNames | None = None
) -> Plan:  # fmt: skip
    """NASes whose emergency plan it is learn of it in the same commit; services on it follow in chunks."""
    changed = apply_changes(plan, _canonical(values))
    if "time_windows" in changed:
        plan.open_window = None  # the clock says which of the new ones is open
    _check(plan)
    if names is not None and changed.keys() & {*_NAMES, "name"}:
        names.check(session, plan)
    flush_unique(session, {"name": "name"})
    if changed:
        audit.record(session, actor, "update", "plan", plan.id, changed)
        events.record(session, "plan.changed", "plan", plan.id)
        network.refresh_emergency_policy(session, plan)
        if changed.keys() & {"session_limit", "session_limit_strict"}:
            changes.note(session, ChangeKind.PLAN, plan.id)
        outbox.enqueue(session, topics.PLAN_CHANGED, {"plan_id": plan.id, "after_service_id": 0})
    return plan


def follow_windows(session: Session, local_now: datetime) -> None:
    """Plans whose hours have come or gone: their services follow in chunks. Run by the clock."""
    for plan in session.scalars(select(Plan).where(func.jsonb_array_length(Plan.time_windows) > 0)).all():
        number = open_window(plan.time_windows, local_now)
        if number == plan.open_window:
            continue
        # It is no edit of the plan: its version stays.
        session.execute(update(Plan).where(Plan.id == plan.id).values(open_window=number, version=Plan.version))
        session.refresh(plan)
        events.record(session, "plan.hours_changed", "plan", plan.id, window=number)
        network.refresh_emergency_policy(session, plan)
        outbox.enqueue(session, topics.PLAN_CHANGED, {"plan_id": plan.id, "after_service_id": 0})


def _canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(values)
    if plain.get("time_windows"):
        plain["time_windows"] = check_windows(plain["time_windows"])
    if plain.get("dns_servers"):
        plain["dns_servers"] = check_dns_servers(plain["dns_servers"])
    if plain.get("vendor_attributes"):
        plain["vendor_attributes"] = check_vendor_attributes(plain["vendor_attributes"], frozenset(Vendor))
    return plain


def _check(plan: Plan) -> None:
    """MikroTik refuses a threshold above its burst; so do we, before a subscriber's session does."""
    if plan.session_limit_strict and plan.session_limit is None:
        raise InvalidInput(
            "a plan without a limit of sessions cannot enforce it strictly", field="session_limit_strict"
        )
    for field in _NAMES:
        if getattr(plan, field) is not None:
            check_name(getattr(plan, field), field=field)
    if plan.quota_bytes is not None and plan.prepaid is not None:
        raise InvalidInput("a prepaid plan has a balance, not a quota", field="quota_bytes")
    if plan.throttle_profile and not plan.profile:
        raise InvalidInput("a plan with a throttle_profile has a profile for full access too", field="throttle_profile")
    burst = plan.burst
    if burst is None:
        return
    for direction in ("down", "up"):
        if burst[f"{direction}_kbps"] < getattr(plan, f"{direction}_kbps"):
            raise InvalidInput(f"the burst's {direction}_kbps is below the plan's rate", field="burst")
        if burst[f"{direction}_threshold_kbps"] > burst[f"{direction}_kbps"]:
            raise InvalidInput(f"the {direction} threshold is above the burst itself", field="burst")
