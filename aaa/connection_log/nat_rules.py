"""NAT rules with their times of validity: entered and ended, each with an audit entry, never changed or deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from aaa.connection_log.models import NatOrder, NatRule
from aaa.connection_log.nat import DeterministicNat
from core import audit
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound

_ENDS: Final = ("inside_first", "inside_last", "outside_first", "outside_last")


def create_rule(session: Session, values: Mapping[str, Any], actor: Actor) -> NatRule:
    """Raises InvalidInput where the ranges do not fit, Conflict where another rule has these ports meanwhile."""
    ends = {name: _address(values[name], name) for name in _ENDS}
    order = NatOrder(values["order"])
    nat = DeterministicNat(
        **ends, ports_per_subscriber=values["ports_per_subscriber"], first_port=values["first_port"],
        last_port=values["last_port"], order=order,
    )  # fmt: skip
    valid_from, valid_until = values["valid_from"], values.get("valid_until")
    if valid_until is not None and valid_until <= valid_from:
        raise InvalidInput("is not later than valid_from", field="valid_until")
    _refuse_overlap(session, nat, valid_from, valid_until)
    plain = {name: f"{address}/32" for name, address in ends.items()}
    rule = NatRule(**{**values, **plain, "order": order})
    session.add(rule)
    session.flush()
    audit.record(session, actor, "create", "nat_rule", rule.id, {name: str(value) for name, value in values.items()})
    return rule


def get_rule(session: Session, rule_id: int) -> NatRule:
    found = session.get(NatRule, rule_id)
    if found is None:
        raise NotFound("NAT rule", rule_id)
    return found


def end_rule(session: Session, rule: NatRule, actor: Actor, now: datetime) -> NatRule:
    """One that has ended stays as it is; one that lies ahead never began."""
    if rule.valid_until is None or rule.valid_until > now:
        rule.valid_until = max(now, rule.valid_from)
        session.flush()
        audit.record(session, actor, "end", "nat_rule", rule.id, {"valid_until": rule.valid_until.isoformat()})
    return rule


def _refuse_overlap(session: Session, nat: DeterministicNat, valid_from: datetime, until: datetime | None) -> None:
    """Two rules may not give away the same port of the same address at the same time."""
    query = select(NatRule).where(
        NatRule.outside_first <= f"{nat.outside_last}/32",
        NatRule.outside_last >= f"{nat.outside_first}/32",
        NatRule.first_port <= nat.last_port,
        NatRule.last_port >= nat.first_port,
        or_(NatRule.valid_until.is_(None), NatRule.valid_until > valid_from),
    )
    if until is not None:
        query = query.where(NatRule.valid_from < until)
    other = session.scalars(query.limit(1)).first()
    if other is not None:
        raise Conflict(
            f"rule {other.id} ({other.name}) has ports of these addresses at that time", field="outside_first"
        )


def _address(value: str, field: str) -> IPv4Address:
    try:
        return IPv4Address(value)
    except AddressValueError:
        raise InvalidInput("is no IPv4 address", field=field) from None
