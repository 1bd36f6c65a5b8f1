"""Which rows of a router become ours when a person asks: login by login, and those that an intent names.

A row is ours from then on as if it bore our mark: the next look of local access changes it as it would change its own,
writes the mark, and keeps what people wrote behind it. Nobody is taken over who would lose by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from provisioning.adopt.found import QUEUES, SECRETS, is_marked
from provisioning.adopt.joining import Joined
from provisioning.adopt.proposal import Proposal
from provisioning.local.rows import FAMILY
from provisioning.routeros.planning import Desired
from provisioning.routeros.planning.desired import Owned
from provisioning.routeros.planning.matching import is_fixed, key_of
from provisioning.routeros.planning.plan import Actual
from provisioning.routeros.schema import MENUS


@dataclass(frozen=True, slots=True)
class Owning:
    """`rows` of the `services`, by login; `refused` logins and why; `told`: what else is to be known of a login."""

    rows: Owned = field(default_factory=dict)
    services: Mapping[str, int] = field(default_factory=dict)
    refused: Sequence[tuple[str, str]] = ()
    told: Sequence[tuple[str, str]] = ()


def rows_to_own(proposal: Proposal, logins: Iterable[str] | None, *, differing: bool) -> Owning:
    """Of these logins, or all that are here. `differing`: those too who get something else here than at the router."""
    rows: dict[tuple[str, tuple[str, ...]], str] = {}
    services: dict[str, int] = {}
    refused: list[tuple[str, str]] = []
    told: list[tuple[str, str]] = []
    for login in dict.fromkeys(proposal.joined if logins is None else logins):
        joined = proposal.joined.get(login)
        why = _not_here(proposal, login) if joined is None else _refusal(joined, differing=differing)
        if joined is None or why:
            refused.append((login, why))
            continue
        mark = f"{FAMILY}/{joined.here.service_id}"
        services[login] = joined.here.service_id
        rows[SECRETS, (login,)] = mark
        rows |= {(QUEUES, (name,)): mark for name in joined.queues if joined.here.policy.ipv4_address}
        told += [(login, f"the queue {name} limits him, too, and stays as it is") for name in joined.other_queues]
    return Owning(rows, services, refused, told)


def rows_named(desired: Desired, actual: Actual, owned: Owned) -> Owned:
    """Those that have the key of a wanted one, and are nobody's of ours. Rows that every router has stay its own."""
    rows: dict[tuple[str, tuple[str, ...]], str] = {}
    for wanted in desired.rows:
        menu = MENUS[wanted.menu]
        if not menu.key or wanted.mark is None or wanted.values.get("name") in menu.builtin:
            continue
        key = key_of(menu, wanted.values)
        for row in actual[wanted.menu]:
            if key_of(menu, row) == key and not is_fixed(row) and not is_marked(row) and (menu.path, key) not in owned:
                rows[menu.path, key] = wanted.mark
    return rows


def _refusal(joined: Joined, *, differing: bool) -> str:
    if joined.here.elsewhere:
        return joined.here.elsewhere
    if joined.lost:
        return f"would lose: {'; '.join(joined.lost)}"
    if joined.differences and not differing:
        return f"differs: {'; '.join(joined.differences)}"
    return ""


def _not_here(proposal: Proposal, login: str) -> str:
    if login in proposal.ours:
        return "is kept by us already"
    left = next((one for one in proposal.left_out if one.login == login), None)
    if left is not None:
        return left.reason
    if any(one.login == login for one in proposal.services):
        return "is no service here yet: --take first"
    return "has no secret at the router"
