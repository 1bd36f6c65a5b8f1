"""One step of a plan, over the API."""

from __future__ import annotations

from provisioning.routeros.client import RouterOs
from provisioning.routeros.planning import Add, Change, Move, Step


def apply_step(client: RouterOs, step: Step) -> None:
    """Raises RouterOsError."""
    if isinstance(step, Add):
        before = {} if step.before is None else {"place-before": step.before[".id"]}
        client.call(f"{step.menu}/add", {**step.values, **before})
    elif isinstance(step, Change):
        _change(client, step)
    elif isinstance(step, Move):
        before = {} if step.before is None else {"destination": step.before[".id"]}
        client.call(f"{step.menu}/move", {"numbers": step.row_id, **before})
    else:
        client.call(f"{step.menu}/remove", {".id": step.row_id})


def _change(client: RouterOs, step: Change) -> None:
    which = {} if step.row_id is None else {".id": step.row_id}
    given = {name: value for name, value in step.values.items() if value is not None}
    if given:
        client.call(f"{step.menu}/set", {**which, **given})
    for name in step.values.keys() - given.keys():
        client.call(f"{step.menu}/unset", {**which, "value-name": name})
