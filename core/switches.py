"""Provider-wide switches that take effect while everything runs."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit, events, outbox
from core.audit import Actor
from core.models.system import Setting

_ENFORCEMENT = "enforcement"


def enforcement_frozen(session: Session) -> bool:
    """Whether enforcement stands still for every NAS (`Nas.enforcement_frozen` is the switch of one)."""
    setting = session.get(Setting, _ENFORCEMENT)
    return bool(setting and setting.value.get("frozen"))


def freeze_enforcement(session: Session, frozen: bool, actor: Actor) -> None:
    row = insert(Setting).values(key=_ENFORCEMENT, value={"frozen": frozen})
    session.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": row.excluded.value}))
    if not frozen:
        outbox.hasten(session, "provisioning.")
    audit.record(session, actor, "freeze" if frozen else "resume", "enforcement", "all", {})
    events.record(session, "enforcement.frozen" if frozen else "enforcement.resumed", "enforcement", 0)
