"""What plans name, against what the managed boxes have."""

from __future__ import annotations

from provedor.doctor.check import NotAsked, Wrong
from provedor.node import resolve_runtime
from provedor.settings import Settings
from provisioning.napalm.plan_names import known_boxes, lacking

#: The rest is told by `provedor provision names NAS`.
SHOWN_MAX = 10


def check_names(settings: Settings) -> str:
    """A reply that names what its box does not have leaves a subscriber without service, or without a limit."""
    with resolve_runtime(settings).database.transaction() as session:
        boxes = len(list(known_boxes(session)))
        missing = lacking(session)
    if not boxes:
        raise NotAsked("no box was looked at that is managed by a NAPALM driver")
    if missing:
        more = f"; and {len(missing) - SHOWN_MAX} more" if len(missing) > SHOWN_MAX else ""
        raise Wrong("; ".join(missing[:SHOWN_MAX]) + more)
    return f"{boxes} boxes have what plans name"
