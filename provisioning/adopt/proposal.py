"""What becomes of each PPP secret of a router: a service of a plan, perhaps held; or why it cannot be one.

A secret is taken whole or not at all. What of it has no counterpart here is told, and then it stays the router's own:
nothing that a subscriber has may be lost by our taking over (see `owning`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, NoReturn

from aaa.takeover.rates import Direction, RateLimit
from core.access import HoldEffect
from core.addresses import check_ipv4_address, check_ipv6_prefix
from core.documents import normalise_document
from core.errors import InvalidInput
from core.locks import canonical_mac
from core.logins import check_login, check_password
from core.policy import ServiceTerms
from provisioning.adopt.effect import Effect, Effects, online_by
from provisioning.adopt.found import LISTS, PROFILES, SECRETS, Found, is_marked, is_text, says_blocked, words_of
from provisioning.adopt.joining import Joined, ServiceHere, differences
from provisioning.adopt.terms import PlanTerms, Reader
from provisioning.routeros.client import Row

_DIALLED: Final = frozenset({"any", "pppoe"})
#: A CPF or a CNPJ, as people write them into a comment.
_DOCUMENT: Final = re.compile(
    r"(?:\b(?:CPF|CNPJ)\b[:\s]*)?(?<![\w.])(\d{3}\.?\d{3}\.?\d{3}-?\d{2}|[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?\d{2})(?![\w.])"
)
_NAME_CHARACTERS_MAX: Final = 200


class Kind(StrEnum):
    """Why a secret becomes no service: it cannot, or it is none."""

    REJECTED = "rejected"
    LEFT_OUT = "left_out"


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
class ProposedHold:
    effect: HoldEffect
    #: Where it comes from.
    note: str


@dataclass(frozen=True, slots=True)
class ProposedService:
    """`lost`: what of its secret has no counterpart here."""

    login: str
    password: str = field(repr=False)
    plan: str
    terms: ServiceTerms
    hold: ProposedHold | None
    customer: str
    document: str
    comment: str
    mac_lock: tuple[str, ...] | None
    online: bool
    limited_by: str
    lost: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class PlansHere:
    """`terms` by name, and which of them this router's were taken into before: whatever became of them, they are it."""

    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    taken: Collection[str] = ()


class _Refused(Exception):
    def __init__(self, kind: Kind, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.fix = kind, reason, fix
        self.service: ProposedService | None = None


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
        self._plans = _Plans(box, plans)

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
            except _Refused as refused:
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
        """Raises _Refused where it can be nobody's here, however he came to be known."""
        if same > 1:
            _reject(f"{same} secrets have this name", "leave one of them at the router")
        self._refuse_others(login, secret)
        _check_login(login)
        _check_password(secret)

    def _join(self, secret: Row, here: ServiceHere) -> Joined:
        effect, lost = self._effects.of(secret), list[str]()
        read = None
        if effect.rate is not None and not effect.blocked:
            by_profile = effect.by_profile
            read = self._reader.read(effect.profile, effect.pool, effect.rate, effect.limit, by_profile=by_profile)
            lost += read.lost
        terms = _terms(secret, effect, lost)
        lost += _lost_queues(effect, self._effects, keeps_profile=here.policy.profile == effect.profile)
        mac_lock = _mac_lock(effect, lost)
        differing = differences(effect, read.terms if read else None, terms, mac_lock, here)
        return Joined(here, tuple(differing), tuple(lost), effect.queues, tuple(map(words_of, effect.other_queues)))

    def _service(self, login: str, secret: Row) -> ProposedService:
        effect = self._effects.of(secret)
        try:
            plan = self._plan(effect)
        except _Refused as refused:
            refused.service = self._of_plan(login, secret, effect, ProposedPlan("", effect.profile, None))
            raise
        return self._of_plan(login, secret, effect, plan)

    def _of_plan(self, login: str, secret: Row, effect: Effect, plan: ProposedPlan) -> ProposedService:
        lost: list[str] = list(plan.lost)
        terms = _terms(secret, effect, lost)
        lost += _lost_queues(effect, self._effects, keeps_profile=plan.terms is not None and bool(plan.terms.profile))
        comment = words_of(secret.get("comment", ""))
        customer, document = _person(comment)
        return ProposedService(
            login, secret["password"], plan.name, terms, _hold(effect), customer or login, document, comment,
            _mac_lock(effect, lost), bool(self._online.get(login)), effect.limited_by, tuple(lost),
        )  # fmt: skip

    def _refuse_others(self, login: str, secret: Row) -> None:
        service = secret.get("service", "any")
        if service not in _DIALLED:
            _leave(f"is a user of {service}", "")
        others = sorted(self._online.get(login, set()) - {"pppoe"})
        if others:
            _leave(
                f"is online by {', '.join(others)}", "set its secret's service at the router: pppoe for a subscriber"
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
            _reject(
                f"no rate is known of it: the profile {profile} has none, nor has a queue of its own",
                f"say it: --rate '{profile}=DOWN/UP', such as 200M/100M",
            )
        if effect.rate is None:
            _reject(
                f"{effect.limited_by} has the rate {words_of(effect.limit)}, which cannot be read", "change it there"
            )
        return self._made(effect, effect.rate, effect.limit, by_profile=effect.by_profile)

    def _plan_of_blocked(self, effect: Effect) -> ProposedPlan:
        """What he pays for is not what the profile of debtors says."""
        wanted = self._choices.blocked_plan
        if wanted is None:
            _reject(
                f"is in the profile {words_of(effect.profile)}, for those who do not pay: its plan is not known",
                "say one for them, --blocked-plan PLAN, or bring them by `import csv`",
            )
        if self._effects.profile(wanted):
            of_plan = self._effects.of({"name": "", "profile": wanted, "password": ""})
            if of_plan.rate is not None:
                return self._made(of_plan, of_plan.rate, of_plan.limit, by_profile=True)
        if wanted not in self._here.terms:
            _reject(f"there is no plan {wanted}, and no such profile with a rate", "name another: --blocked-plan PLAN")
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


class _Plans:
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


def _reject(reason: str, fix: str) -> NoReturn:
    raise _Refused(Kind.REJECTED, reason, fix)


def _leave(reason: str, fix: str) -> NoReturn:
    raise _Refused(Kind.LEFT_OUT, reason, fix)


def _check_login(login: str) -> None:
    if not is_text(login):
        _reject("its name is not UTF-8", "rename the secret at the router")
    try:
        checked = check_login(login)
    except InvalidInput as error:
        _reject(error.detail, "rename the secret at the router")
    if checked != login:
        _reject("its name is not in Unicode's composed form (NFC)", "rename the secret at the router")


def _check_password(secret: Row) -> None:
    if "password" not in secret:
        _reject("the API's user is not shown passwords", "give its group the policy `sensitive`")
    if not is_text(secret["password"]):
        _reject("its password is not UTF-8", "give it another at the router")
    try:
        check_password(secret["password"])
    except InvalidInput as error:
        _reject(error.detail, "give it another password at the router")


def _lost_queues(effect: Effect, effects: Effects, *, keeps_profile: bool) -> list[str]:
    found = []
    if len(effect.queues) > 1:
        found.append(f"{len(effect.queues)} queues limit its address")
    if effect.address and not keeps_profile and effects.said("default", "rate-limit"):
        found.append("the rate limit of the profile default would count before the queue of its address")
    return found


def _hold(effect: Effect) -> ProposedHold | None:
    if not effect.blocked:
        return None
    return ProposedHold(HoldEffect.BLOCK if effect.keeps_out else HoldEffect.WALLED_GARDEN, words_of(effect.blocked))


def _mac_lock(effect: Effect, lost: list[str]) -> tuple[str, ...] | None:
    if not effect.caller_id:
        return None
    mac = canonical_mac(effect.caller_id)
    if mac is None:
        lost.append(f"its caller-id {words_of(effect.caller_id)} is no MAC address")
        return None
    if mac != effect.caller_id.upper():  # which the router compares as text
        lost.append(f"its caller-id {words_of(effect.caller_id)} lets nobody in there: it is not written as {mac}")
    return (mac,)


def _terms(secret: Row, effect: Effect, lost: list[str]) -> ServiceTerms:
    address = prefix = None
    try:
        address = check_ipv4_address(effect.address) if effect.address else None
    except InvalidInput as error:
        _reject(f"remote-address: {error.detail}", "change it at the router")
    try:
        prefix = check_ipv6_prefix(effect.ipv6_prefix) if effect.ipv6_prefix else None
    except InvalidInput as error:
        lost.append(f"remote-ipv6-prefix: {error.detail}")
    if secret.get("ipv6-routes"):
        lost.append("ipv6-routes")
    return ServiceTerms(address, _routes(effect.routes, address, lost), prefix)


def _routes(text: str, address: str | None, lost: list[str]) -> tuple[str, ...]:
    """`192.0.2.0/28 100.64.0.9 1`, with commas between them: by the subscriber's own address, or by none."""
    routes = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        words = one.split()
        try:
            network = str(IPv4Network(words[0]))
            own = len(words) == 1 or IPv4Address(words[1]) in {IPv4Address(address or 0), IPv4Address(0)}
        except ValueError:
            own = False
        if own and address is not None:
            routes.append(network)
        else:
            lost.append(f"its route {words_of(one)} is not by a fixed address of its own")
    return tuple(routes)


def _person(comment: str) -> tuple[str, str]:
    """The customer's name, and a document where there is one in it whose check digits fit."""
    for match in _DOCUMENT.finditer(comment):
        try:
            document = normalise_document(match[1])
        except InvalidInput:
            continue
        rest = f"{comment[: match.start()].rstrip(' -–|;,/(:')} {comment[match.end() :].lstrip(' -–|;,/):')}"
        return rest.strip()[:_NAME_CHARACTERS_MAX], document
    return comment[:_NAME_CHARACTERS_MAX], ""


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


def _rate(kbps: int) -> str:
    return f"{kbps // 1000}M" if kbps % 1000 == 0 else f"{kbps}k"
