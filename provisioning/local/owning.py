"""Rows of a router's own become those of our services, by a person's word."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from core import audit, events
from core.audit import Actor
from core.errors import Conflict
from core.keyring import Keyring
from provisioning.jobs.facts import keep_owned
from provisioning.local import store
from provisioning.local.models import LocalAccess, LocalMode
from provisioning.routeros.planning.desired import Owned


def own(
    session: Session, keyring: Keyring, kept: LocalAccess, rows: Owned, services: Mapping[str, int], actor: Actor
) -> None:
    """The next look takes them, and comes at once. Whoever calls is alone at the box. Raises Conflict where it is not
    kept."""
    check_kept(kept)
    keep_owned(session, keyring, kept.nas_id, rows, ())
    for service_id in services.values():
        audit.record(session, actor, "own", "service", service_id, {"nas_id": kept.nas_id})
    events.record(session, "local_access.owned", "nas", kept.nas_id, services=len(services))
    store.look_now(session, kept)


def check_kept(kept: LocalAccess) -> None:
    """Raises Conflict."""
    if kept.approved_by is None or kept.mode is LocalMode.LEAVING:
        raise Conflict("the box is not kept yet: `provedor provision local serve`, or standby", field="nas_id")
