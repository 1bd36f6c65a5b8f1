"""What every gateway's adapter answers.

    authenticate   octets and a secret in, the delivery's events out         pure
    read           a stored event in, what it says out                       pure
    connect        the account's credentials in, the gateway's API out       asks and orders over HTTP

An event whose authentication is weak, or that names a charge and tells nothing of it, says `AskBack`; what the API
then says of that charge is told in the same words as an event that says it all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from billing_hooks.gateways.http import Http
from billing_hooks.invoicing.words import Words
from core.errors import InvalidInput, Unauthenticated

EVENT_ID_LENGTH_MAX = 255

#: Deliveries without an id of their own that say the same are one event while they come within so long.
GATHERED: Final = timedelta(seconds=10)
#: How far apart the clocks of our nodes may be.
NODES_APART: Final = timedelta(seconds=2)


class WebhookNotAuthentic(Unauthenticated):
    """Unsigned, forged, stale, or signed for another account. It says no more, so that nobody learns from it."""

    def __init__(self) -> None:
        super().__init__("the webhook's signature is missing, wrong or too old")


class WebhookMalformed(InvalidInput):
    """Authentic, and not what the gateway's documents say; `field` names the place."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook's request as it came. `headers` know no case; `query` is what stands behind the question mark.

    `settings` are those of the account that it is tried against; `client_chain`, the certificates (DER) that its sender
    was verified by, from his own to the authority's, where it came over our TLS port.
    """

    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    client_chain: Sequence[bytes] = ()


class Again(NamedTuple):
    """The event that a repetition is, where it may carry news: looked at once more, and not before that moment."""

    event_id: str
    not_before: datetime


class Message(NamedTuple):
    """One event of a delivery: the id by which a repetition is known, and the octets that are kept."""

    event_id: str
    body: bytes
    #: Where the id is known already.
    again: Again | None = None


def gathered(name: str, body: bytes, now: datetime) -> Message:
    """An event that says only "ask about this", from a sender who gives it no id and says it again with each news.

    The id is the name and a span of GATHERED. The first of a span is asked about at once. What is told again within
    it may have happened after that question: where the answer was there before, it is asked about anew at once; else
    it is the event of the next span, and asked about when that begins, after all that was told in this one. A flood of
    repetitions is thus an entry a span, and a question a second.
    """
    span = int(now.timestamp() // GATHERED.total_seconds())
    ends = datetime.fromtimestamp((span + 1) * GATHERED.total_seconds(), UTC)
    return Message(f"{name}@{span}", body, Again(f"{name}@{span + 1}", ends + NODES_APART))


@dataclass(frozen=True, slots=True)
class PaymentReceived:
    """Money for an invoice, named by our id or by the id that the gateway gave its charge.

    `amount_cents` is what was paid; `surcharge_cents` of it are fine and interest, and `discount_cents` were let off:
    amount - surcharge + discount pays the invoice. `settled_at`: the money is there (a boleto is confirmed a day
    before), and `net_cents` of it, after the gateway's fee.
    """

    invoice_id: int | None
    charge_id: str | None
    payment_id: str
    amount_cents: int
    paid_at: datetime
    method: str
    #: None where the sender does not say: the invoice's.
    currency: str | None = None
    surcharge_cents: int = 0
    discount_cents: int = 0
    settled_at: datetime | None = None
    net_cents: int | None = None
    #: The amount is the sum of all that came for this charge until now: the gateway shows no parts.
    so_far: bool = False


@dataclass(frozen=True, slots=True)
class PaymentReversed:
    payment_id: str
    #: We gave it back ourselves, so that the invoice is not owed again.
    refund: bool = False
    #: A refund of so much of it in all; None: of everything.
    amount_cents: int | None = None


@dataclass(frozen=True, slots=True)
class ReversalUndone:
    """The money came back: a dispute was won."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class ChargeClosed:
    """Nobody can pay this charge any more: cancelled, deleted or expired at the gateway."""

    charge_id: str


@dataclass(frozen=True, slots=True)
class AskBack:
    """The API knows what this event is about.

    `pays`: the event says that money came, so an API that does not know of it yet is asked again. `otherwise`: what is
    true where the API knows of no money.
    """

    reference: str
    pays: bool = False
    otherwise: PaymentReversed | None = None


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """An event that changes nothing here."""

    type: str


#: What the API, or an event that says it all, tells.
Fact = PaymentReceived | PaymentReversed | ReversalUndone | ChargeClosed
Notice = Fact | AskBack | Irrelevant


@dataclass(frozen=True, slots=True)
class Payer:
    name: str
    document: str
    email: str | None = None
    phone: str | None = None
    street: str = ""
    number: str = ""
    district: str = ""
    postal_code: str = ""
    city: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """A charge to be made. The key makes the same order twice one charge, where the gateway knows such keys.

    `fine_bp` once and `interest_bp_month` pro rata after the due date, in hundredths of a percent. Who pays by
    `discount_until` pays `discount_cents` less, where the gateway takes that.
    """

    key: str
    invoice_id: int
    amount_cents: int
    due_date: date
    description: str
    payer: Payer
    fine_bp: int = 0
    interest_bp_month: int = 0
    notify_url: str = ""
    discount_cents: int = 0
    discount_until: date | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as the gateway has it: what somebody needs to pay it."""

    charge_id: str
    pix_code: str | None = None
    boleto_line: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """One of our accounts at a gateway, opened: base URL and the like, and what must not be shown."""

    settings: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: What authenticates its webhooks, for a gateway that is told their URL with each charge.
    secret: str = field(default="", repr=False)


class GatewayApi(Protocol):
    """The gateway's own API, for one account. Raises what `http` raises: GatewayAway, GatewayDenied, GatewayRefused."""

    def fetch(self, reference: str) -> Sequence[Fact]:
        """What is true now of what an event's `AskBack` names."""

    def since(self, moment: datetime) -> Iterable[Fact]:
        """Facts of everything that was paid, given back or closed since, for reconciliation."""

    def queue_alarm(self) -> Words | None:
        """What is wrong with the gateway's sending of events to us, where it tells."""

    def create(self, order: ChargeOrder) -> Charge: ...

    def cancel(self, charge_id: str) -> None:
        """Nobody may pay it any more; one that is closed or unknown stays so."""


class GatewayAdapter(Protocol):
    #: The names of an account's settings with their defaults, and of what it must keep secret.
    settings: Mapping[str, str]
    credentials: Sequence[str]
    #: Its charges can ask less of who pays early.
    takes_discount: bool

    def check_secret(self, secret: str) -> None:
        """Refuse a secret that could verify nothing. Raises InvalidInput."""

    def check_settings(self, settings: Mapping[str, str]) -> None:
        """Refuse values that no charge could be made with; all names are known. Raises InvalidInput."""

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:
        """The smallest amount that it makes a charge for, by an account's settings, all of them."""

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> Sequence[Message]:
        """The events of a delivery. Raises WebhookNotAuthentic or WebhookMalformed."""

    def read(self, body: bytes) -> Notice:
        """What an authentic event says. Raises WebhookMalformed."""

    def connect(self, access: Access, http: Http) -> GatewayApi | None:
        """None where the gateway has no API that we could ask."""


OUR_REFERENCE = "provedor-"
#: As the txid of a static Pix code: letters and digits only.
OUR_TXID = "FATURA"


def our_reference(invoice_id: int) -> str:
    """How our charges name their invoice at a gateway that others use beside us."""
    return f"{OUR_REFERENCE}{invoice_id}"


def our_txid(invoice_id: int) -> str:
    """How a static Pix code of ours names its invoice."""
    return f"{OUR_TXID}{invoice_id}"


def invoice_of_reference(reference: str | None) -> int | None:
    """The invoice that a charge or code of ours names; None for one that somebody else made."""
    for prefix in (OUR_REFERENCE, OUR_TXID):
        number = (reference or "").removeprefix(prefix)
        if number != reference and number.isascii() and number.isdigit() and len(number) <= 18:
            return int(number)
    return None
