"""What the plans of a router are called here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

from provisioning.adopt.terms import PlanTerms


@dataclass(frozen=True, slots=True)
class ProposedPlan:
    """`profile`: of the router. `terms`: None for a plan that is here and named by a person. `beyond`: what only the
    profile says, so that it is kept; `lost`: what nobody says any more."""

    name: str
    profile: str
    terms: PlanTerms | None
    beyond: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlansHere:
    """`terms` by name, and which of them this router's were taken into before: whatever became of them, they are it."""

    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    taken: Collection[str] = ()


class PlanNames:
    """A plan is called as its profile. One that differs from it by its rate or pool gets a name beside, and so does one
    whose name another plan has here."""

    def __init__(self, box: str, here: PlansHere) -> None:
        self.named: dict[str, ProposedPlan] = {}
        self._box, self._here = box, here
        self._known: dict[tuple[str, PlanTerms | None], str] = {}

    def name(self, plan: ProposedPlan, *, is_plain: bool) -> ProposedPlan:
        key = (plan.name, plan.terms)
        if key not in self._known:
            name = next(one for one in self._names(plan, is_plain=is_plain) if self._is_free(one, plan))
            self._known[key] = name
            self.named[name] = replace(plan, name=name)
        return self.named[self._known[key]]

    def _names(self, plan: ProposedPlan, *, is_plain: bool) -> Iterator[str]:
        assert plan.terms is not None  # noqa: S101  (who names one has its terms)
        rates = f"{_rate(plan.terms.down_kbps)}/{_rate(plan.terms.up_kbps)}"
        name = plan.name if is_plain else f"{plan.name} {rates}"
        digest = blake2b(repr(asdict(plan.terms)).encode(), digest_size=4).hexdigest()
        yield from (name, f"{name} ({self._box})", f"{name} ({self._box}) {digest}")
        yield from (f"{name} ({self._box}) {digest}-{number}" for number in range(2, 1000))

    def _is_free(self, name: str, plan: ProposedPlan) -> bool:
        if name in self.named or plan.terms is None:
            return False
        here = self._here.terms.get(name)
        return here is None or name in self._here.taken or here == plan.terms.columns()


def _rate(kbps: int) -> str:
    return f"{kbps // 1000}M" if kbps % 1000 == 0 else f"{kbps}k"
