"""What an import says of addresses that it found in use and that are out of our own pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from aaa.pools.adoption import Adoption, Became
from provedor.imports.accounts import Level
from provedor.imports.follow import Outcome

#: What is to be told of one that did not become a lease, and what to do.
_NOT_LEASED: Final[Mapping[Became, tuple[str, str]]] = {
    Became.TAKEN: ("is in use, and another service holds it", "find out who: two may have it at once"),
    Became.SECOND: ("is in use by a service that holds another address of the pool", "its next login gets that one"),
    Became.STRANGER: ("is in use by a login that is no service here", "create the service and import again"),
}


def tell_of_leases(adoptions: Sequence[Adoption], outcome: Outcome) -> None:
    for became, number in Counter(one.became for one in adoptions).items():
        outcome.count("lease", became.value, number)
    for one in adoptions:
        if one.became in _NOT_LEASED:
            reason, fix = _NOT_LEASED[one.became]
            outcome.tell(Level.NOTE, "address", f"{one.holder.address} of {one.holder.login}", reason, fix)
