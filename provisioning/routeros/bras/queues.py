"""Queue types, and trees of queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.errors import InvalidInput
from provisioning.routeros.bras.intent import Queues, QueueTree, QueueType
from provisioning.routeros.planning import Wanted
from provisioning.routeros.schema import Release

#: fq-codel and cake.
_MODERN_SINCE: Final = Release(7, 0)


def rows(queues: Queues, release: Release) -> Iterator[Wanted]:
    """Raises InvalidInput for a kind that this release does not have."""
    for number, one in enumerate(queues.types):
        if one.kind != "pcq" and release < _MODERN_SINCE:
            detail = f"RouterOS {release.major}.{release.minor} has no {one.kind}"
            raise InvalidInput(detail, field=f"queues.types[{number}].kind")
        yield Wanted("/queue/type", f"queues/{one.name}", {"name": one.name, "kind": one.kind, **_of_kind(one)})
    for tree in queues.trees:
        yield _tree(tree)


def _of_kind(one: QueueType) -> dict[str, str | None]:
    if one.kind == "pcq":
        return {"pcq-rate": one.rate, "pcq-classifier": one.classifier}
    if one.kind == "cake":
        return {"cake-diffserv": one.diffserv, "cake-nat": "yes" if one.nat else None}
    return {}


def _tree(tree: QueueTree) -> Wanted:
    values = {
        "name": tree.name,
        "parent": tree.parent,
        "packet-mark": ",".join(tree.packet_marks),
        "queue": tree.queue,
        "max-limit": tree.max_limit,
        "limit-at": tree.limit_at,
        "priority": str(tree.priority),
        "disabled": "no",
    }
    return Wanted("/queue/tree", f"queues/{tree.name}", values)
