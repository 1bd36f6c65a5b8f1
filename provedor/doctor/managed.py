"""Boxes that a NAPALM driver manages: another SSH host key than the approved one, and names that plans use."""

from __future__ import annotations

from sqlalchemy import func, select

from core.models.network import Nas
from provedor.doctor.check import NotAsked, Wrong
from provedor.node import resolve_runtime
from provedor.settings import Settings
from provisioning.napalm.host_keys import fingerprint
from provisioning.napalm.models import ManagedDevice
from provisioning.napalm.plan_names import lacking

#: The rest is told by `provedor provision names NAS`.
SHOWN_MAX = 10


def check_managed(settings: Settings) -> str:
    """A reply that names what its box does not have leaves a subscriber without service, or without a limit."""
    with resolve_runtime(settings).database.transaction() as session:
        boxes = session.scalar(select(func.count()).select_from(ManagedDevice)) or 0
        refused = session.execute(
            select(Nas.name, ManagedDevice.refused_host_key)
            .join(Nas, Nas.id == ManagedDevice.nas_id)
            .where(ManagedDevice.refused_host_key.is_not(None))
            .order_by(Nas.name)
        ).all()
        wrong = [
            f"NAS {name} shows the SSH host key {fingerprint(key or '')}, not the approved one" for name, key in refused
        ]
        wrong += lacking(session)
    if not boxes:
        raise NotAsked("no box was looked at that a NAPALM driver manages")
    if wrong:
        more = f"; and {len(wrong) - SHOWN_MAX} more" if len(wrong) > SHOWN_MAX else ""
        raise Wrong("; ".join(wrong[:SHOWN_MAX]) + more)
    return f"{boxes} have what plans name"
