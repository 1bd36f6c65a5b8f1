"""One small driver a gateway: what a test does at its simulator, in the same words for all.

A driver that cannot do a thing does not have it: `having("chargeback")` are those that can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, ClassVar, Final

import httpx
from certificates import certify
from simulated_gateway import Provider, make_provider, tell
from starlette.applications import Starlette
from starlette.testclient import TestClient

from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import Access, ChargeOrder, GatewayApi, Payer
from billing_hooks.gateways.http import Http
from billing_hooks.gateways.mercado_pago import sign as mercado_pago_sign
from billing_hooks.gateways.standard import sign as standard_sign
from billing_hooks.gateways.stripe import sign as stripe_sign
from billing_hooks.simulators import asaas, efi, iugu, mercado_pago, pix, standard, stripe
from billing_hooks.simulators.hooks import HookQueue, Policy
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring

BASE_URL: Final = "https://gateway.test"
DUE: Final = date(2026, 12, 10)
#: Five days after the due date.
LATE: Final = timedelta(days=21)
PAYER: Final = Payer(
    "Maria Souza", "52998224725", "maria@example.com", "+55 31 99999-8888", "Rua das Flores", "10", "Centro",
    "88000000", "Florianópolis", "SC",
)  # fmt: skip


AUTHORITY: Final = certify("bank")
OURS: Final = certify("provedor", AUTHORITY)


def order(invoice_id: int, amount_cents: int = 9990, key: str = "", due_date: date = DUE) -> ChargeOrder:
    return ChargeOrder(
        key or f"invoice-{invoice_id}", invoice_id, amount_cents, due_date, "Fibra 300", PAYER, 200, 100,
    )  # fmt: skip


class Driver:
    """`simulator` is the gateway's. One without `credentials` has no API."""

    gateway = ""
    policy: ClassVar[Policy]
    secret = ""
    other_secret = ""
    credentials: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[Mapping[str, str]] = {}
    base_path = ""
    #: What follows /hooks/<gateway> in the URL that it calls.
    hook_path = ""
    #: The attribute of the simulator by which a test has our credentials refused.
    bearer_at = ""
    method = "pix"
    #: What its charges can be paid by.
    has_pix_code = True
    has_boleto_line = True
    #: How old a signature may be; None where it holds no moment.
    signature_age: ClassVar[timedelta | None] = None
    #: Some let nobody pay less than is asked for.
    takes_less = True
    #: Its API says that it has stopped sending to us.
    tells_of_its_queue = False
    #: How many tries a charge that is made and paid takes.
    events_of_a_payment = 2

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> Any:
        raise NotImplementedError

    @classmethod
    def app(cls, simulator: Any) -> Starlette:
        raise NotImplementedError

    @classmethod
    def access(cls) -> Access:
        base_url = BASE_URL + cls.base_path
        return Access(
            {**ADAPTERS[cls.gateway].settings, **cls.settings, "base_url": base_url}, cls.credentials, cls.secret
        )

    @classmethod
    def api_at(cls, client: httpx.Client) -> GatewayApi:
        api = ADAPTERS[cls.gateway].connect(cls.access(), Http(client))
        assert api is not None
        return api

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.queue = clock, HookQueue(self.policy, Random(1))
        self.simulator = self.simulate(self.queue, clock)

    def serve(self, database: Database, keyring: Keyring) -> None:
        """From now on there is a provider with an account at it."""
        base_url = BASE_URL + self.base_path if self.credentials else None
        self.provider: Provider = make_provider(
            database, keyring, self.clock, self.gateway, self.secret, self.app(self.simulator), self.queue,
            base_url=base_url, path=self.hook_path, settings=self.settings, credentials=self.credentials,
        )  # fmt: skip

    def client(self) -> TestClient:
        return TestClient(self.app(self.simulator), BASE_URL + self.base_path)

    def api(self) -> GatewayApi:
        return self.api_at(self.client())

    def charge(self, amount_cents: int = 9990) -> tuple[int, str]:
        """(invoice, charge)"""
        invoice_id = self.provider.invoice(amount_cents)
        return invoice_id, self.api().create(self.order(invoice_id, amount_cents)).charge_id

    def charge_again(self, invoice_id: int) -> str:
        """Another charge for the same invoice."""
        return self.api().create(self.order(invoice_id, key="again")).charge_id

    def order(self, invoice_id: int, amount_cents: int = 9990, key: str = "") -> ChargeOrder:
        return order(invoice_id, amount_cents, key)

    def tell(self) -> int:
        """All that is to be told, and all that follows; returns the tries."""
        return tell(self.provider)

    def post(self, headers: Mapping[str, str], body: bytes, path: str = "") -> int:
        url = f"/hooks/{self.gateway}{path or self.hook_path}"
        return int(self.provider.receiver.post(url, content=body, headers=dict(headers)).status_code)

    def sign_as_other(self) -> None:
        """What is told from now on bears the other secret."""
        self.simulator.secret = self.other_secret

    def unheard_of(self, charge_id: str) -> int:
        """Posts an authentic event that nobody knows, with fields that nobody knows; returns the status."""
        raise NotImplementedError

    def charges(self) -> int:
        """How many it has."""
        raise NotImplementedError

    def charge_of_nobodys(self) -> str:
        """One that somebody else made there; its reference is the number of an invoice of ours."""
        raise NotImplementedError

    def pay(self, charge_id: str) -> str:
        """As it is asked for. Returns the payment's id at the gateway."""
        self.simulator.pay(charge_id)
        return charge_id

    def pay_for_dispute(self, charge_id: str) -> str:
        """In a way that can be disputed, and given back in parts."""
        return self.pay(charge_id)

    def pay_amount(self, charge_id: str, cents: int) -> None:
        """Another amount than is asked for."""
        raise NotImplementedError

    def pay_late(self, charge_id: str) -> int:
        """All that is asked for five days after the due date; returns fine and interest."""
        raise NotImplementedError

    def refund(self, payment_id: str) -> None:
        raise NotImplementedError

    def refund_part(self, payment_id: str, cents: int) -> None:
        raise NotImplementedError

    def refund_rest(self, payment_id: str, cents: int) -> None:
        self.refund_part(payment_id, cents)

    def take_back(self, payment_id: str) -> None:
        """The payer's bank, or the card's holder."""
        raise NotImplementedError

    def win(self, payment_id: str) -> None:
        """What was taken back comes back."""
        raise NotImplementedError


def having(verb: str, *, api: bool = False) -> list[type[Driver]]:
    """Those that can do this."""
    able = [one for one in DRIVERS if getattr(one, verb) is not getattr(Driver, verb, None)]
    return [one for one in able if one.credentials or not api]


class AsaasDriver(Driver):
    gateway = "asaas"
    policy = asaas.POLICY
    secret, other_secret = "a-token-of-more-than-32-characters", "another-token-of-more-than-32-characters"
    credentials: ClassVar = {"api_key": "$aact_hmlg_0123456789"}
    base_path, bearer_at = "/v3", "api_key"
    tells_of_its_queue = True

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> asaas.Asaas:
        hook_url = "https://provedor.example/hooks/asaas"
        return asaas.Asaas(cls.credentials["api_key"], cls.secret, queue, clock, hook_url)

    @classmethod
    def app(cls, simulator: asaas.Asaas) -> Starlette:
        return asaas.app_of(simulator)

    def sign_as_other(self) -> None:
        self.simulator.auth_token = self.other_secret

    def unheard_of(self, charge_id: str) -> int:
        told = {"id": "evt_9", "event": "THING_DONE", "new": [1], "payment": {"id": charge_id, "new": {}}}
        return self.post({"asaas-access-token": self.secret}, json.dumps(told).encode())

    def charges(self) -> int:
        return len(self.simulator.payments)

    def charge_of_nobodys(self) -> str:
        customer = self.simulator.add_customer({"name": "x", "cpfCnpj": "1"})["id"]
        reference = str(self.provider.invoice())
        wanted = {"customer": customer, "value": 10, "dueDate": "2026-12-01", "externalReference": reference}
        return str(self.simulator.add_payment(wanted).id)

    def pay_for_dispute(self, charge_id: str) -> str:
        self.simulator.pay(charge_id, "CREDIT_CARD")
        return charge_id

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, amount=Decimal(cents).scaleb(-2))

    def pay_late(self, charge_id: str) -> int:
        """Asaas tells them; the simulator does not reckon them."""
        self.simulator.payments[charge_id].interest_value = Decimal("2.10")
        self.pay_amount(charge_id, 9990 + 210)
        return 210

    def refund(self, payment_id: str) -> None:
        self.simulator.refund(payment_id)

    def refund_part(self, payment_id: str, cents: int) -> None:
        self.simulator.refund(payment_id, Decimal(cents).scaleb(-2))

    def take_back(self, payment_id: str) -> None:
        self.simulator.chargeback(payment_id)

    def win(self, payment_id: str) -> None:
        self.simulator.win_chargeback(payment_id)


class EfiDriver(Driver):
    gateway = "efi"
    policy = efi.POLICY
    secret, other_secret = "a_token-of-more-than-32-characters", "another_token-of-more-than-32-characters"
    credentials: ClassVar = {"client_id": "Client_Id_1", "client_secret": "Client_Secret_1"}
    base_path, hook_path, bearer_at = "/v1", f"?token={secret}", "client_secret"
    method = "boleto"
    events_of_a_payment = 3

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> efi.Efi:
        return efi.Efi(cls.credentials["client_id"], cls.credentials["client_secret"], queue, clock)

    @classmethod
    def app(cls, simulator: efi.Efi) -> Starlette:
        return efi.app_of(simulator)

    def order(self, invoice_id: int, amount_cents: int = 9990, key: str = "") -> ChargeOrder:
        """Each charge is given the URL that it tells."""
        return replace(order(invoice_id, amount_cents, key), notify_url="http://testserver/hooks/efi")

    def sign_as_other(self) -> None:
        for charge in self.simulator.charges.values():
            charge.notification_url = f"http://testserver/hooks/efi?token={self.other_secret}"

    def unheard_of(self, charge_id: str) -> int:
        token = self.simulator.charges[int(charge_id)].token
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.post(headers, f"new=1&notification={token}&news=".encode())

    def charges(self) -> int:
        return len(self.simulator.charges)

    def charge_of_nobodys(self) -> str:
        notification_url = f"http://testserver/hooks/efi{self.hook_path}"
        billet = {"customer": {"name": "x", "cpf": "1" * 11}, "expire_at": "2026-12-01"}
        body: dict[str, Any] = {
            "items": [{"name": "x", "value": 1000, "amount": 1}], "payment": {"banking_billet": billet},
            "metadata": {"custom_id": str(self.provider.invoice()), "notification_url": notification_url},
        }  # fmt: skip
        return str(self.simulator.add_charge(body).id)

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, cents)

    def pay_late(self, charge_id: str) -> int:
        """2 % once and 0.033 % a day, five days, of 99.90: 2.00 and 0.17."""
        self.simulator.pay(charge_id, 9990 + 217, DUE + timedelta(days=5))
        return 217

    def refund(self, payment_id: str) -> None:
        self.simulator.move(payment_id, "refunded", "Pagamento devolvido", "paid")

    def take_back(self, payment_id: str) -> None:
        self.simulator.move(payment_id, "contested", "Pagamento em contestação", "paid")

    def win(self, payment_id: str) -> None:
        self.simulator.win(payment_id)


class IuguDriver(Driver):
    gateway = "iugu"
    policy = iugu.POLICY
    secret, other_secret = "an authorization of more than 32 characters", "another authorization, of other characters"
    credentials: ClassVar = {"api_token": "0123456789ABCDEF0123456789ABCDEF"}
    base_path, bearer_at = "/v1", "api_token"
    events_of_a_payment = 3

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> iugu.Iugu:
        return iugu.Iugu(cls.credentials["api_token"], cls.secret, queue, clock)

    @classmethod
    def app(cls, simulator: iugu.Iugu) -> Starlette:
        return iugu.app_of(simulator)

    def sign_as_other(self) -> None:
        self.simulator.authorization = self.other_secret

    def unheard_of(self, charge_id: str) -> int:
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": self.secret}
        return self.post(
            headers, f"event=invoice.from_the_future&data%5Bid%5D={charge_id}&data%5Bnew%5D=1&new=".encode()
        )

    def charges(self) -> int:
        return len(self.simulator.invoices)

    def charge_of_nobodys(self) -> str:
        body = {
            "email": "a@example.com", "due_date": "2026-12-01", "payer": {"name": "x", "cpf_cnpj": "1"},
            "items": [{"description": "x", "quantity": 1, "price_cents": 1000}],
            "external_reference": str(self.provider.invoice()),
        }  # fmt: skip
        return str(self.simulator.add(body).id)

    def pay_for_dispute(self, charge_id: str) -> str:
        self.simulator.pay(charge_id, method="credit_card")
        return charge_id

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, cents)

    def pay_late(self, charge_id: str) -> int:
        """2 % once and 0.033 % a day, five days, of 99.90: 1.99 and 0.16."""
        self.simulator.pay(charge_id)
        return 215

    def refund(self, payment_id: str) -> None:
        self.simulator.refund(payment_id)

    def refund_part(self, payment_id: str, cents: int) -> None:
        self.simulator.refund(payment_id, cents)

    def take_back(self, payment_id: str) -> None:
        self.simulator.protest(payment_id)

    def win(self, payment_id: str) -> None:
        self.simulator.win(payment_id)


class MercadoPagoDriver(Driver):
    gateway = "mercadopago"
    policy = mercado_pago.POLICY
    secret, other_secret = "0123456789abcdef" * 4, "f" * 64
    credentials: ClassVar = {"access_token": "APP_USR-0123456789"}
    bearer_at = "access_token"
    has_boleto_line = False
    signature_age = timedelta(hours=97)
    takes_less = False

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> mercado_pago.MercadoPago:
        url = "http://testserver/hooks/mercadopago"
        return mercado_pago.MercadoPago(cls.credentials["access_token"], cls.secret, queue, clock, url)

    @classmethod
    def app(cls, simulator: mercado_pago.MercadoPago) -> Starlette:
        return mercado_pago.app_of(simulator)

    def unheard_of(self, charge_id: str) -> int:
        seconds = str(int(self.clock().timestamp()))
        signature = mercado_pago_sign(self.secret, charge_id, "r", seconds)
        told = {"id": 9, "type": "thing", "action": "thing.done", "new": [1], "data": {"id": charge_id, "new": 1}}
        headers = {"x-signature": f"ts={seconds},v1={signature}", "x-request-id": "r"}
        return self.post(headers, json.dumps(told).encode(), f"?data.id={charge_id}&type=thing&new=1")

    def charges(self) -> int:
        return len(self.simulator.payments)

    def charge_of_nobodys(self) -> str:
        payer, reference = {"email": "m@example.com"}, str(self.provider.invoice())
        wanted = {"transaction_amount": 10, "payment_method_id": "pix", "payer": payer, "external_reference": reference}
        return str(self.simulator.add_payment(wanted).id)

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, Decimal(cents).scaleb(-2))

    def refund(self, payment_id: str) -> None:
        self.simulator.refund(payment_id)

    def refund_part(self, payment_id: str, cents: int) -> None:
        self.simulator.refund(payment_id, Decimal(cents).scaleb(-2))

    def take_back(self, payment_id: str) -> None:
        self.simulator.charge_back(payment_id)

    def win(self, payment_id: str) -> None:
        self.simulator.close_chargeback(payment_id, "reimbursed")


class PixDriver(Driver):
    gateway = "pix"
    policy = pix.POLICY
    secret, other_secret = "a-secret_of.more~than-32-characters", "another-secret_of.more~than-32-characters"
    credentials: ClassVar = {
        "client_id": "Client_Id_0123", "client_secret": "Client_Secret_4567", "certificate": OURS.pem,
        "private_key": OURS.key_pem(),
    }  # fmt: skip
    settings: ClassVar = {"pix_key": "5f84a4c5-c5cb-4599-9f13-7eb4d419dacc"}
    hook_path, bearer_at = f"?hmac={secret}&ignorar=/pix", "client_secret"
    has_boleto_line = False
    events_of_a_payment = 1

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> pix.Bank:
        client = cls.credentials["client_id"], cls.credentials["client_secret"]
        bank = pix.Bank(*client, frozenset({cls.settings["pix_key"]}), queue, clock)
        bank.register(cls.settings["pix_key"], "https://testserver/hooks/pix", skips_mtls=True)
        return bank

    @classmethod
    def app(cls, simulator: pix.Bank) -> Starlette:
        return pix.app_of(simulator)

    def sign_as_other(self) -> None:
        self.provider.sender.url = f"http://testserver/hooks/pix?hmac={self.other_secret}&ignorar=/pix"

    def unheard_of(self, charge_id: str) -> int:  # noqa: ARG002
        return self.post({}, b'{"evento": "teste_webhook", "pix": [], "new": 1}')

    def charges(self) -> int:
        return len(self.simulator.charges)

    def charge_of_nobodys(self) -> str:
        """As another program at the same bank makes it."""
        txid, wanted = self.charge()[1], "7978c0c97ea847e78e8849634473c1f1"
        self.simulator.add_charge(wanted, self.simulator.charges[txid].wanted)
        return wanted

    def pay(self, charge_id: str) -> str:
        return str(self.simulator.pay(charge_id).end_to_end_id)

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, Decimal(cents).scaleb(-2))

    def pay_late(self, charge_id: str) -> int:
        """2 % once and 1 % a month by days, five of them, of 99.90: 2.00 and 0.17."""
        self.simulator.pay(charge_id)
        return 217

    def refund(self, payment_id: str) -> None:
        self.refund_part(payment_id, 9990)

    def refund_part(self, payment_id: str, cents: int) -> None:
        self._give_back(payment_id, cents, "ORIGINAL")

    def take_back(self, payment_id: str) -> None:
        """By the scheme's own mechanism: nobody wins it back."""
        self._give_back(payment_id, 9990, "MED_FRAUDE")

    def _give_back(self, payment_id: str, cents: int, kind: str) -> None:
        id_ = f"d{len(self.simulator.pix[payment_id].refunds)}"
        self.simulator.refund(payment_id, id_, Decimal(cents).scaleb(-2), kind)
        self.simulator.end_refund(payment_id, id_, settled=True)


class StandardDriver(Driver):
    """An invoice is its own charge, and who sends it names the payment."""

    gateway = "standard"
    policy = standard.POLICY
    secret = "whsec_YSBnYXRld2F5J3Mgc2VjcmV0IG9mIG9jdGV0cw=="
    other_secret = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBvY3RldHM="
    signature_age = timedelta(minutes=5)
    events_of_a_payment = 1

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> standard.Standard:
        return standard.Standard(cls.secret, queue, clock)

    @classmethod
    def app(cls, simulator: standard.Standard) -> Starlette:
        return standard.app_of(simulator)

    def unheard_of(self, charge_id: str) -> int:  # noqa: ARG002
        body = b'{"type": "customer.moved", "data": {"new": 1}, "new": [1]}'
        return self.post(standard_sign(self.secret, "msg_9", body, self.clock()), body)

    def charge(self, amount_cents: int = 9990) -> tuple[int, str]:
        invoice_id = self.provider.invoice(amount_cents)
        return invoice_id, str(invoice_id)

    def charge_again(self, invoice_id: int) -> str:
        return str(invoice_id)

    def charge_of_nobodys(self) -> str:
        return "987654"

    def pay(self, charge_id: str) -> str:
        return str(self.simulator.pay(charge_id, 9990))

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, cents)

    def refund(self, payment_id: str) -> None:
        self.simulator.refund(payment_id)

    def take_back(self, payment_id: str) -> None:
        self.simulator.reverse(payment_id)


class StripeDriver(Driver):
    gateway = "stripe"
    policy = stripe.POLICY
    secret, other_secret = "whsec_0123456789abcdef0123456789abcdef", "whsec_fedcba9876543210fedcba9876543210"
    credentials: ClassVar = {"api_key": "sk_test_0123456789"}
    bearer_at = "api_key"
    method = "boleto"
    has_pix_code = False
    signature_age = timedelta(minutes=5)
    events_of_a_payment = 4
    tells_of_its_queue = True

    @classmethod
    def simulate(cls, queue: HookQueue, clock: ManualClock) -> stripe.Stripe:
        hook_url = "https://provedor.example/hooks/stripe"
        return stripe.Stripe(cls.credentials["api_key"], cls.secret, queue, clock, hook_url=hook_url)

    @classmethod
    def app(cls, simulator: stripe.Stripe) -> Starlette:
        return stripe.app_of(simulator)

    def unheard_of(self, charge_id: str) -> int:
        told = {"id": "evt_9", "type": "thing.done", "new": 1, "data": {"object": {"object": "thing", "id": charge_id}}}
        body = json.dumps(told).encode()
        return self.post({"stripe-signature": stripe_sign(self.secret, body, self.clock())}, body)

    def charges(self) -> int:
        return len(self.simulator.intents)

    def charge_of_nobodys(self) -> str:
        form = {"amount": "1000", "currency": "brl", "metadata[invoice]": str(self.provider.invoice())}
        return str(self.simulator.add_intent(form).id)

    def pay_amount(self, charge_id: str, cents: int) -> None:
        self.simulator.pay(charge_id, cents)

    def refund(self, payment_id: str) -> None:
        self.simulator.refund(payment_id)

    def refund_part(self, payment_id: str, cents: int) -> None:
        self.simulator.refund(payment_id, cents)

    def take_back(self, payment_id: str) -> None:
        self.simulator.dispute(payment_id)

    def win(self, payment_id: str) -> None:
        self.simulator.close_dispute(payment_id, "won")


DRIVERS: Final = (
    AsaasDriver, EfiDriver, IuguDriver, MercadoPagoDriver, PixDriver, StandardDriver, StripeDriver,
)  # fmt: skip
