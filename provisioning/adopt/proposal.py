"""What becomes of each PPP secret of a router: a service of a plan, perhaps held; or why it cannot be one.

A secret is taken whole or not at all. What of it has no counterpart here is told, and then it stays the router's own:
nothing that a subscriber has may be lost by our taking over (see `owning`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aaa.takeover.rates import Direction, RateLimit
from provisioning.adopt.effect import Effect, Effects, online_by
from provisioning.adopt.found import LISTS, PROFILES, SECRETS, Found, is_marked, says_blocked, words_of
from provisioning.adopt.joining import Joined, ServiceHere, differences
from provisioning.adopt.naming import PlanNames, PlansHere, ProposedPlan
from provisioning.adopt.ppp_secret import (
    Kind,
    ProposedService,
    Refused,
    check_name_of,
    check_password_of,
    hold_of,
    leave,
    mac_lock_of,
    person_in,
    reject,
    terms_of,
)
from provisioning.adopt.terms import Reader
from provisioning.routeros.client import Row

_DIALLED: Final = frozenset({"any", "pppoe"})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`service`: what it would be, if somebody said its plan."""

    login: str
    kind: Kind
    reason: str
    fix: str = ""
    service: ProposedService | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """`services`: with those that were taken before. `joined`: logins that are services here. `ours`: logins whose
    secret bears our mark. `blocks`: profiles and lists for those who do not pay."""

    plans: Mapping[str, ProposedPlan]
    services: Sequence[ProposedService]
    joined: Mapping[str, Joined]
    left_out: Sequence[LeftOut]
    ours: Sequence[str]
    blocks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Choices:
    """A person's word: `rates` (down, up) by profile, where nothing at the router tells; `blocked_plan` of those whose
    profile is for debtors only: a plan here, or a profile of the router."""

    rates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    blocked_plan: str | None = None


def propose(
    found: Found, box: str, choices: Choices, plans: PlansHere, services: Mapping[str, ServiceHere]
) -> Proposal:
    """`box`: what the router is called here. `services`: that are here, by login."""
    return _Proposer(found, box, choices, plans, services).propose()


class _Proposer:
    def __init__(
        self, found: Found, box: str, choices: Choices, plans: PlansHere, services: Mapping[str, ServiceHere]
    ) -> None:
        self._found, self._choices, self._here, self._services = found, choices, plans, services
        self._effects = Effects(found)
        self._reader = Reader(found, self._effects)
        self._online = online_by(found)
        self._plans = PlanNames(box, plans)

    def propose(self) -> Proposal:
        secrets = list(self._found.of(SECRETS))
        logins = Counter(row.get("name", "") for row in secrets)
        services: list[ProposedService] = []
        joined: dict[str, Joined] = {}
        left_out: list[LeftOut] = []
        for secret in secrets:
            if is_marked(secret):
                continue
            login = secret.get("name", "")
            try:
                self._check(login, secret, logins[login])
                if login in self._services:
                    joined[login] = self._join(secret, self._services[login])
                services.append(self._service(login, secret))
            except Refused as refused:
                if login not in joined:
                    left_out.append(
                        LeftOut(words_of(login), refused.kind, refused.reason, refused.fix, refused.service)
                    )
        services, shared = _without_shared_addresses(services)
        ours = [words_of(row.get("name", "")) for row in secrets if is_marked(row)]
        used = {one.plan for one in services}
        plans = {name: plan for name, plan in self._plans.named.items() if name in used}
        return Proposal(plans, services, joined, [*left_out, *shared], ours, list(self._blocks()))

    def _check(self, login: str, secret: Row, same: int) -> None:
        """Raises Refused where it can be nobody's here, however he came to be known."""
        if same > 1:
            reject(f"{same} secrets have this name", "leave one of them at the router")
        self._refuse_others(login, secret)
        check_name_of(login)
        check_password_of(secret)

    def _join(self, secret: Row, here: ServiceHere) -> Joined:
        effect, lost = self._effects.of(secret), list[str]()
        read = None
        if effect.rate is not None and not effect.blocked:
            by_profile = effect.by_profile
            read = self._reader.read(effect.profile, effect.pool, effect.rate, effect.limit, by_profile=by_profile)
            lost += read.lost
        terms = terms_of(secret, effect, lost)
        lost += _lost_queues(effect, self._effects, keeps_profile=here.policy.profile == effect.profile)
        mac_lock = mac_lock_of(effect, lost)
        differing = differences(effect, read.terms if read else None, terms, mac_lock, here)
        return Joined(here, tuple(differing), tuple(lost), effect.queues, tuple(map(words_of, effect.other_queues)))

    def _service(self, login: str, secret: Row) -> ProposedService:
        effect = self._effects.of(secret)
        try:
            plan = self._plan(effect)
        except Refused as refused:
            refused.service = self._of_plan(login, secret, effect, ProposedPlan("", effect.profile, None))
            raise
        return self._of_plan(login, secret, effect, plan)

    def _of_plan(self, login: str, secret: Row, effect: Effect, plan: ProposedPlan) -> ProposedService:
        lost: list[str] = list(plan.lost)
        terms = terms_of(secret, effect, lost)
        lost += _lost_queues(effect, self._effects, keeps_profile=plan.terms is not None and bool(plan.terms.profile))
        comment = words_of(secret.get("comment", ""))
        customer, document = person_in(comment)
        return ProposedService(
            login, secret["password"], plan.name, terms, hold_of(effect), customer or login, document, comment,
            mac_lock_of(effect, lost), bool(self._online.get(login)), effect.limited_by, tuple(lost),
        )  # fmt: skip

    def _refuse_others(self, login: str, secret: Row) -> None:
        service = secret.get("service", "any")
        if service not in _DIALLED:
            leave(f"is a user of {words_of(service)}", "")
        others = sorted(self._online.get(login, set()) - {"pppoe"})
        if others:
            leave(
                f"is online by {', '.join(map(words_of, others))}",
                "set its secret's service at the router: pppoe for a subscriber",
            )

    def _plan(self, effect: Effect) -> ProposedPlan:
        if self._effects.is_blocking(effect.profile) and (effect.by_profile or not effect.limit):
            return self._plan_of_blocked(effect)
        said = self._choices.rates.get(words_of(effect.profile))
        if not effect.limit and said is not None:
            rate = RateLimit(Direction(said[1]), Direction(said[0]))
            return self._made(effect, rate, f"{said[1]}k/{said[0]}k", by_profile=False)
        if not effect.limit:
            profile = words_of(effect.profile)
            reject(
                f"no rate is known of it: the profile {profile} has none, nor has a queue of its own",
                f"say it: --rate '{profile}=DOWN/UP', such as 200M/100M",
            )
        if effect.rate is None:
            reject(
                f"{effect.limited_by} has the rate {words_of(effect.limit)}, which cannot be read", "change it there"
            )
        return self._made(effect, effect.rate, effect.limit, by_profile=effect.by_profile)

    def _plan_of_blocked(self, effect: Effect) -> ProposedPlan:
        """What he pays for is not what the profile of debtors says."""
        wanted = self._choices.blocked_plan
        if wanted is None:
            reject(
                f"is in the profile {words_of(effect.profile)}, for those who do not pay: its plan is not known",
                "say one for them, --blocked-plan PLAN, or bring them by `import csv`",
            )
        if self._effects.profile(wanted):
            of_plan = self._effects.of({"name": "", "profile": wanted, "password": ""})
            if of_plan.rate is not None:
                return self._made(of_plan, of_plan.rate, of_plan.limit, by_profile=True)
        if wanted not in self._here.terms:
            reject(f"there is no plan {wanted}, and no such profile with a rate", "name another: --blocked-plan PLAN")
        return self._plans.named.setdefault(wanted, ProposedPlan(wanted, "", None))

    def _made(self, effect: Effect, rate: RateLimit, limit: str, *, by_profile: bool) -> ProposedPlan:
        read = self._reader.read(effect.profile, effect.pool, rate, limit, by_profile=by_profile)
        label = words_of(effect.profile) or "default"
        own_pool = effect.pool != self._effects.said(effect.profile, "remote-address")
        plan = ProposedPlan(label, effect.profile, read.terms, read.beyond, read.lost)
        return self._plans.name(plan, is_plain=by_profile and not own_pool)

    def _blocks(self) -> Iterator[str]:
        for row in self._found.of(PROFILES):
            if self._effects.is_blocking(row.get("name", "")):
                yield f"profile {words_of(row.get('name', ''))}"
        lists = {row.get("list", "") for row in self._found.rows.get(LISTS, ())}
        yield from (f"list {words_of(one)}" for one in sorted(lists) if says_blocked(one))


def _lost_queues(effect: Effect, effects: Effects, *, keeps_profile: bool) -> list[str]:
    found = []
    if len(effect.queues) > 1:
        found.append(f"{len(effect.queues)} queues limit its address")
    if effect.address and not keeps_profile and effects.said("default", "rate-limit"):
        found.append("the rate limit of the profile default would count before the queue of its address")
    return found


def _without_shared_addresses(
    services: Sequence[ProposedService],
) -> tuple[list[ProposedService], list[LeftOut]]:
    owners = Counter(one.terms.ipv4_address for one in services if one.terms.ipv4_address)
    shared = [one for one in services if owners[one.terms.ipv4_address or ""] > 1]
    told = [
        LeftOut(one.login, Kind.REJECTED, f"has the address {one.terms.ipv4_address}, as have others",
                "give each an address of its own")
        for one in shared
    ]  # fmt: skip
    return [one for one in services if owners[one.terms.ipv4_address or ""] <= 1], told
