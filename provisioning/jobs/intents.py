"""What a provider says of a BRAS, kept by its NAS entry."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from core import audit, events
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.network import Nas
from provisioning.jobs.engines import BoxKind, kind_of
from provisioning.jobs.models import BrasIntent
from provisioning.napalm.bng import BngIntent, bng_intent_of
from provisioning.routeros.bras import Intent, intent_of


def get_intent(session: Session, nas_id: int, *, lock: bool = False) -> BrasIntent:
    """Raises NotFound."""
    row = session.get(BrasIntent, nas_id, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise NotFound("intent of NAS", nas_id, "say what its box should be (`provedor provision intent`)")
    return row


def set_intent(session: Session, nas: Nas, body: Mapping[str, Any], actor: Actor) -> BrasIntent:
    """The box itself changes when a plan was approved. Raises InvalidInput or Conflict."""
    intent: Intent | BngIntent
    if check_manageable(nas) is BoxKind.ROUTEROS:
        intent = intent_of(body)
        _check_snmp(nas, intent)
    else:
        intent = bng_intent_of(body)
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(intent))  # as it is read back, lists and all
    row = session.get(BrasIntent, nas.id, with_for_update=True, populate_existing=True)
    if row is None:
        row = BrasIntent(nas_id=nas.id, body=said)
        session.add(row)
    elif row.body == said:
        return row
    row.body, row.in_step_at = said, None
    session.flush()
    audit.record(session, actor, "update", "bras_intent", nas.id, {"body": said})
    events.record(session, "bras_intent.changed", "nas", nas.id)
    return row


def read_intent(row: BrasIntent) -> Intent:
    return intent_of(row.body)


def read_bng_intent(row: BrasIntent) -> BngIntent:
    return bng_intent_of(row.body)


def _check_snmp(nas: Nas, intent: Intent) -> None:
    if intent.management is not None and intent.management.snmp is not None and not nas.snmp:
        raise Conflict(f"NAS {nas.name} has no SNMP access: set `snmp` and `snmp_secret`", field="snmp")


def check_manageable(nas: Nas) -> BoxKind:
    """One box, that we may change. Raises Conflict or InvalidInput."""
    kind = kind_of(nas)
    if ip_network(nas.address).num_addresses != 1:
        raise InvalidInput("the entry is of a network: give each box an entry of its own", field="address")
    return kind
