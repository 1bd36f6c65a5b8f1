"""What a provider does about debts, as data: steps, each an action and the days after which it comes. Pure.

    days before or after the due date      remind, give notice
    full days after the notice reached     throttle, walled garden, block
    days of restriction                    the next restriction, the proposal to end the contract

The strict reading of Anatel's RGC (Res. 765/2023, art. 70 and 71) is the default: notice, 15 full days, suspension at
once, and a person may end the contract 60 days later. `LEGACY_632` has the steps of the rule before it. A policy of
one's own may be gentler or, for businesses by contract, quicker; what no policy can do is restrict without a notice
that reached, or end a contract by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from billing_hooks.days import CutHours
from core.access import HoldEffect
from core.errors import InvalidInput


class Action(StrEnum):
    REMIND = "remind"
    #: The notice of debt without which nobody is suspended.
    NOTICE = "notice"
    THROTTLE = "throttle"
    WALLED_GARDEN = "walled_garden"
    BLOCK = "block"
    #: A person decides.
    PROPOSE_TERMINATION = "propose_termination"


class Basis(StrEnum):
    """What the days of a step count from."""

    DUE = "due"
    #: The notice of the invoice reached; the day itself does not count, nor does any before something was owed.
    NOTICE = "notice"
    #: The contract was first restricted for a debt that is owed still.
    RESTRICTION = "restriction"


class Proof(StrEnum):
    """How it is known that a notice reached."""

    DELIVERED = "delivered"
    READ = "read"
    #: It stood on the next bill, which is proof of its own delivery.
    PRINTED_ON_BILL = "printed_on_bill"
    PORTAL_VIEW = "portal_view"
    REGISTERED_LETTER = "registered_letter"
    RECORDED_CALL = "recorded_call"


RESTRICTIONS: Final = {
    Action.THROTTLE: HoldEffect.THROTTLE,
    Action.WALLED_GARDEN: HoldEffect.WALLED_GARDEN,
    Action.BLOCK: HoldEffect.BLOCK,
}
MESSAGES: Final = frozenset({Action.REMIND, Action.NOTICE})
_STRENGTH: Final = (Action.THROTTLE, Action.WALLED_GARDEN, Action.BLOCK, Action.PROPOSE_TERMINATION)
STEPS_MAX: Final = 20
DAYS_MAX: Final = 400
#: The shortest notice that a policy for persons may have (Res. 765/2023, art. 71: 15 days after the notice).
CONSUMER_NOTICE_DAYS: Final = 15
_COUNT_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """`days` may be negative for a reminder before the due date."""

    name: str
    action: Action
    basis: Basis
    days: int


@dataclass(frozen=True, slots=True)
class Guard:
    """What runs restrict in a day without asking a person first: never more than `count_max`, and beyond the floor no
    more than the share of all contracts, or than `times_usual` as many as on this day of earlier months."""

    count_floor: int = 20
    share_max: float = 0.1
    times_usual: float = 3.0
    #: None: no number but the share.
    count_max: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.count_floor <= _COUNT_MAX:
            raise InvalidInput(f"0 to {_COUNT_MAX} contracts", field="guard.count_floor")
        if not 0 <= self.share_max <= 1:
            raise InvalidInput("a share is from 0 to 1", field="guard.share_max")
        if not 0 < self.times_usual <= 1000:
            raise InvalidInput("more than 0 times, at most 1000", field="guard.times_usual")
        if self.count_max is not None and not 0 <= self.count_max <= _COUNT_MAX:
            raise InvalidInput(f"0 to {_COUNT_MAX} contracts", field="guard.count_max")


@dataclass(frozen=True, slots=True)
class Trust:
    """The trust unlock: so many days, so often within a period, up to a debt (None: any)."""

    days: int = 3
    times: int = 1
    period_days: int = 30
    debt_cents_max: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 30:
            raise InvalidInput("a trust unlock lasts 1 to 30 days", field="trust.days")
        if not 0 <= self.times <= 10 or not 1 <= self.period_days <= DAYS_MAX:
            raise InvalidInput("a trust unlock is given 0 to 10 times within 1 to 400 days", field="trust.times")


@dataclass(frozen=True, slots=True)
class PaymentWindow:
    """Full access for who is about to pay: a bank's app must work. So often a day for each invoice."""

    minutes: int = 15
    times_a_day: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.minutes <= 60 or not 0 <= self.times_a_day <= 10:
            raise InvalidInput("1 to 60 minutes, 0 to 10 times a day", field="payment_window")


STRICT_HOURS: Final = CutHours()
TRUSTS: Final = Trust()
WINDOW: Final = PaymentWindow()
ASKS_SOON: Final = Guard()


@dataclass(frozen=True, slots=True)
class Policy:
    """`minimum_cents`: nobody is restricted who owes less in all. `proofs`: those that start the days of a notice."""

    name: str
    steps: tuple[Step, ...]
    hours: CutHours = STRICT_HOURS
    minimum_cents: int = 0
    proofs: frozenset[Proof] = frozenset(Proof)
    guard: Guard = ASKS_SOON
    trust: Trust = TRUSTS
    payment_window: PaymentWindow = WINDOW

    def __post_init__(self) -> None:
        _check_steps(self.steps)
        if self.minimum_cents < 0:
            raise InvalidInput("cannot be negative", field="minimum_cents")
        if not self.proofs:
            raise InvalidInput("no notice would ever count as reached", field="proofs")

    def of(self, actions: Iterable[Action]) -> list[Step]:
        wanted = frozenset(actions)
        return [step for step in self.steps if step.action in wanted]

    def shortest_notice_days(self) -> int:
        return min((step.days for step in self.steps if step.basis is Basis.NOTICE), default=DAYS_MAX)


def _check_steps(steps: tuple[Step, ...]) -> None:
    if not 0 < len(steps) <= STEPS_MAX:
        raise InvalidInput(f"a policy has 1 to {STEPS_MAX} steps", field="steps")
    names = [step.name for step in steps]
    if len(set(names)) != len(names):
        raise InvalidInput("two steps have one name", field="steps")
    for number, step in enumerate(steps):
        _check_step(step, f"steps.{number}")
    restricting = [step for step in steps if step.action in RESTRICTIONS]
    if restricting and not any(step.action is Action.NOTICE for step in steps):
        raise InvalidInput("who is to be restricted has to be given notice by a step before", field="steps")
    if restricting and restricting[0].basis is not Basis.NOTICE:
        raise InvalidInput("the first restriction counts its days from the notice", field="steps")
    _check_order(steps)


def _check_step(step: Step, field: str) -> None:
    if not step.name or len(step.name) > 64:
        raise InvalidInput("a step has a name of at most 64 characters", field=f"{field}.name")
    if step.action in MESSAGES and step.basis is not Basis.DUE:
        raise InvalidInput("messages count their days from the due date", field=f"{field}.basis")
    if step.action not in MESSAGES and step.basis is Basis.DUE:
        raise InvalidInput("restrictions count their days from the notice or from each other", field=f"{field}.basis")
    if not (-DAYS_MAX if step.action is Action.REMIND else 0) <= step.days <= DAYS_MAX:
        raise InvalidInput(f"days are at most {DAYS_MAX}, and not negative but for reminders", field=f"{field}.days")
    if step.action is Action.PROPOSE_TERMINATION and step.basis is not Basis.RESTRICTION:
        raise InvalidInput("a contract is not ended that was not restricted before", field=f"{field}.basis")


def _check_order(steps: tuple[Step, ...]) -> None:
    """Each restriction is stronger than the one before, or it would never be seen."""
    strengths = [_STRENGTH.index(step.action) for step in steps if step.action in _STRENGTH]
    if strengths != sorted(set(strengths)):
        raise InvalidInput("restrictions come from the gentlest to the strongest, each once", field="steps")
    for basis in (Basis.NOTICE, Basis.RESTRICTION):
        days = [step.days for step in steps if step.basis is basis]
        if days != sorted(days):
            raise InvalidInput(f"steps by {basis} come in the order of their days", field="steps")


def check_for_persons(policy: Policy) -> None:
    """What consumers' law adds: raises InvalidInput for a notice that is too short."""
    if policy.shortest_notice_days() < CONSUMER_NOTICE_DAYS:
        raise InvalidInput(
            f"consumers are suspended {CONSUMER_NOTICE_DAYS} full days after the notice at the earliest "
            "(Anatel, Res. 765/2023, art. 71)",
            field="steps",
        )


_BEFORE: Final = (
    Step("reminder before the due date", Action.REMIND, Basis.DUE, -3),
    Step("notice of debt", Action.NOTICE, Basis.DUE, 1),
)
ANATEL_765: Final = Policy(
    "Anatel 765",
    (
        *_BEFORE,
        Step("reminder before the suspension", Action.REMIND, Basis.DUE, 12),
        Step("suspension", Action.WALLED_GARDEN, Basis.NOTICE, 15),
        Step("end of contract", Action.PROPOSE_TERMINATION, Basis.RESTRICTION, 60),
    ),
)
LEGACY_632: Final = Policy(
    "Anatel 632 (legacy)",
    (
        *_BEFORE,
        Step("partial suspension", Action.THROTTLE, Basis.NOTICE, 15),
        Step("total suspension", Action.BLOCK, Basis.RESTRICTION, 30),
        Step("end of contract", Action.PROPOSE_TERMINATION, Basis.RESTRICTION, 60),
    ),
)
BUSINESS: Final = Policy(
    "Business",
    (
        *_BEFORE,
        Step("second reminder", Action.REMIND, Basis.DUE, 10),
        Step("suspension", Action.WALLED_GARDEN, Basis.NOTICE, 20),
        Step("end of contract", Action.PROPOSE_TERMINATION, Basis.RESTRICTION, 60),
    ),
)
PRESETS: Final[Mapping[str, Policy]] = {"anatel_765": ANATEL_765, "legacy_632": LEGACY_632, "business": BUSINESS}


def to_body(policy: Policy) -> dict[str, Any]:
    """As JSON values; `from_body` reads them."""
    return {**asdict(policy), "hours": asdict(policy.hours) | {"weekdays": sorted(policy.hours.weekdays)},
            "proofs": sorted(policy.proofs), "steps": [asdict(step) for step in policy.steps]}  # fmt: skip


def from_body(body: Mapping[str, Any]) -> Policy:
    """Raises InvalidInput naming the field."""
    try:
        return msgspec.convert(dict(body), Policy)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidInput):
            raise error.__cause__ from None
        raise InvalidInput(str(error), field="policy") from None
