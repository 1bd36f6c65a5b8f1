"""Pix at any bank that serves the central bank's contract (BCB, "API Pix" 2.9.0); Efí's ways are settings.

The bank calls `<the URL that was registered>/pix` with an array of Pix: money that came, or one of them again when some
of it was given back. It knows no states and no event ids, so a Pix is an event by its endToEndId, and with each of its
devoluções in each of their states it is another. What authenticates the sender is a token in the URL's query (`hmac`)
and, as the contract has it, his certificate: with `webhook_ca` (the authorities of the bank's client certificates, as
the bank publishes them) nothing is taken but from who showed one of theirs, over the banks' port
(`provedor.bank_port`). Neither makes what he says true: the API is asked about every Pix.

Register https://HOST/hooks/pix?hmac=SECRET&ignorar= (`provedor gateway register`) at Efí, which adds `/pix` at the end
of it all; another bank may add it to the path. Efí first calls the URL with a body that holds no Pix, and wants a
success for that too; and once without a certificate, which has to be refused.

A charge is a cobrança com vencimento (`cobv`). Its txid is ours to choose and never used twice, so the same order is
the same charge. `componentesValor` says what of a late payment was fine and interest; a bank that leaves it out shows
a payment of too much. The bank's fee is not in the contract; Efí has it as `gnExtras.tarifa`. Not verified against a
bank: how long a period it answers for, and that Pix which were given back are listed by when they came.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote

import msgspec

from billing_hooks.gateways import pix_shown as shown
from billing_hooks.gateways.base import (
    EVENT_ID_LENGTH_MAX,
    Access,
    AskBack,
    Charge,
    ChargeOrder,
    Delivery,
    Fact,
    Irrelevant,
    Message,
    Notice,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.checks import check_base_url, check_choice, check_days, check_form, check_path
from billing_hooks.gateways.http import GatewayDenied, GatewayRefused, Http
from billing_hooks.gateways.mutual_tls import authorities_of
from billing_hooks.gateways.oauth import Token
from billing_hooks.gateways.reading import decode
from billing_hooks.gateways.writing import decimals, digits, present
from billing_hooks.invoicing.br_code import check_key
from billing_hooks.invoicing.words import Words
from core.clock import Clock, utc_now
from core.errors import InvalidInput

#: It stands in a URL, so of the characters that need no escape there (RFC 3986, unreserved).
SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{32,200}")
PAGE: Final = 100
OUR_PATH: Final = "/hooks/pix"
#: BCB: a Pix can be given back for 90 days.
REFUND_WINDOW: Final = timedelta(days=90)
NAME_LENGTH_MAX: Final = 200
NOTE_LENGTH_MAX: Final = 140
#: How a bank says that it does not know a Pix or a charge: the contract with 404, Efí for some with 400.
_UNKNOWN: Final = frozenset({400, 404})


class _Notified(msgspec.Struct, rename="camel"):
    """As much of a webhook's Pix as is needed to ask about it."""

    end_to_end_id: shown.EndToEndId
    status: shown.Word | None = None
    devolucoes: list[shown.Return] | shown.Return | None = None
    gn_extras: shown.Extras | None = None


class _Notification(msgspec.Struct):
    pix: list[msgspec.Raw] | None = None


class _Paging(msgspec.Struct, rename="camel"):
    quantidade_de_paginas: int = 1


class _Query(msgspec.Struct):
    paginacao: _Paging


class _Page(msgspec.Struct):
    parametros: _Query
    pix: list[shown.Pix] = []


class _Value(msgspec.Struct):
    original: shown.Reais


class _Charge(msgspec.Struct, rename={"pix_code": "pixCopiaECola"}):
    status: str
    valor: _Value
    pix_code: str | None = None


class _Webhook(msgspec.Struct, rename={"url": "webhookUrl"}):
    url: str = ""


class Pix:
    #: `scope` for the banks whose tokens need one; `webhook_ca` in PEM. Without it, `skip_mtls_checking`: Efí registers
    #: a webhook that asks for no certificate only where it is told so ("false": something in front of us asks for it).
    settings: Mapping[str, str] = {
        "base_url": "https://pix.api.efipay.com.br", "token_path": "/oauth/token", "api_path": "/v2", "pix_key": "",
        "scope": "", "payable_after_due_days": "30", "period_days": "30", "skip_mtls_checking": "true",
        "webhook_ca": "",
    }  # fmt: skip
    credentials: Sequence[str] = ("client_id", "client_secret", "certificate", "private_key")
    takes_discount = True

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock

    def check_secret(self, secret: str) -> None:
        if not SECRET.fullmatch(secret):
            raise InvalidInput(
                "stands in the webhook's URL (?hmac=…): 32 to 200 letters, digits, or one of -._~", field="secret"
            )

    def check_settings(self, settings: Mapping[str, str]) -> None:
        check_base_url(settings)
        check_path(settings, "token_path")
        check_path(settings, "api_path")
        check_choice(settings, "skip_mtls_checking", ("true", "false"))
        check_days(settings, "payable_after_due_days", 0)
        check_days(settings, "period_days", 1)
        check_form(settings, "scope", "[ -~]{0,500}", "a list of scopes, separated by spaces")
        if settings.get("webhook_ca"):
            authorities_of(settings["webhook_ca"])
        if settings.get("pix_key"):
            _check_key(settings["pix_key"])

    def charge_cents_min(self, settings: Mapping[str, str]) -> int:  # noqa: ARG002
        return 1

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:  # noqa: ARG002
        """One message a Pix; none of a body without any, by which a bank tries the URL."""
        token = parse_qs(delivery.query).get("hmac", [""])[-1].removesuffix("/pix")
        if not hmac.compare_digest(token.encode(), secret.encode()):
            raise WebhookNotAuthentic
        if not _is_certified(delivery):
            raise WebhookNotAuthentic
        told = decode(delivery.body, _Notification).pix if delivery.body.strip() else None
        return [Message(_event_id(bytes(item)), bytes(item)) for item in told or ()]

    def read(self, body: bytes) -> Notice:
        pix = decode(body, _Notified)
        if pix.gn_extras is not None and pix.gn_extras.id_envio is not None:
            return Irrelevant("a Pix that was sent")
        return AskBack(pix.end_to_end_id, pays=True)

    def connect(self, access: Access, http: Http) -> PixApi:
        return PixApi(access, http, self._clock)


class PixApi:
    def __init__(self, access: Access, http: Http, clock: Clock = utc_now) -> None:
        self._access, self._clock = access, clock
        client = access.credentials["client_id"], access.credentials["client_secret"]
        self._token = Token(http, access.settings["token_path"], client, clock, scope=access.settings["scope"])

    def fetch(self, reference: str) -> list[Fact]:
        """Of a Pix by its endToEndId; nothing of one that the bank does not know (yet)."""
        try:
            return shown.facts_of(decode(self._call("GET", f"/pix/{quote(reference, safe='')}"), shown.Pix))
        except GatewayRefused as refused:
            if refused.status_code not in _UNKNOWN:
                raise
            return []

    def since(self, moment: datetime) -> Iterator[Fact]:
        """What came since, and all that was given back of what came before and could be. A charge that was removed is
        not told: the contract keeps no moment of it."""
        now = self._clock()
        yield from self._listed(moment, now)
        yield from self._listed(moment - REFUND_WINDOW, moment, devolucaoPresente="true")

    def create(self, order: ChargeOrder) -> Charge:
        """A txid that is in use is this order's, or the bank refuses."""
        txid = shown.txid_of(order)
        try:
            charge = decode(self._call("PUT", f"/cobv/{txid}", json=self._wanted(order)), _Charge)
        except GatewayRefused:
            known = self._charge(txid)
            if known is None or not _fulfils(known, order):
                raise
            charge = known
        return Charge(txid, pix_code=charge.pix_code)

    def cancel(self, charge_id: str) -> None:
        removed = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
        try:
            self._call("PATCH", f"/cobv/{quote(charge_id, safe='')}", json=removed)
        except GatewayRefused:
            known = self._charge(charge_id)
            if known is not None and known.status == "ATIVA":
                raise

    def queue_alarm(self) -> Words | None:
        """A bank gives an event up after its last try and tells nobody; that it has no URL of ours to tell, it does."""
        key = self._access.settings["pix_key"]
        if not key:
            return None
        try:
            registered = decode(self._call("GET", _webhook_of(key)), _Webhook).url
        except GatewayDenied:  # it may not be asked for with these credentials
            return None
        except GatewayRefused as refused:
            if refused.status_code not in _UNKNOWN:
                raise
            registered = ""
        if OUR_PATH in registered:
            return None
        return Words(
            pt=f"o banco não tem webhook nosso para a chave {key}: provedor gateway register",
            en=f"the bank has no webhook of ours for the key {key}: provedor gateway register",
        )

    def register(self, receiver_url: str) -> None:
        """Have what comes to our key told to this URL, https://HOST/hooks/pix. A bank that adds its `/pix` at the end
        of it all adds it to the last of the query's words, which nobody reads."""
        webhook_url = f"{receiver_url}?hmac={self._access.secret}&ignorar="
        settings = self._access.settings
        skips = settings["skip_mtls_checking"] == "true" and not settings["webhook_ca"]
        headers = {"x-skip-mtls-checking": "true"} if skips else {}
        try:
            self._call("PUT", _webhook_of(self._key()), headers=headers, json={"webhookUrl": webhook_url})
        except GatewayRefused as refused:  # what the bank says may repeat the URL, and our secret in it
            shown = refused.detail.partition("hmac")[0]
            raise GatewayRefused(shown, status_code=refused.status_code) from None

    def _listed(self, first: datetime, last: datetime, **filters: str) -> Iterator[Fact]:
        """By the moment at which they came, in periods that a bank answers for."""
        period = timedelta(days=max(int(self._access.settings["period_days"]), 1))
        while first < last:
            until = min(first + period, last)
            span = {"inicio": _rfc3339(first), "fim": _rfc3339(until)}
            for page in self._pages(span | filters):
                for pix in page.pix:
                    yield from shown.facts_of(pix)
            first = until

    def _pages(self, query: Mapping[str, str]) -> Iterator[_Page]:
        number, count = 0, 1
        while number < count:
            paging = {"paginacao.paginaAtual": number, "paginacao.itensPorPagina": PAGE}
            page = decode(self._call("GET", "/pix", params={**query, **paging}), _Page)
            yield page
            number, count = number + 1, page.parametros.paginacao.quantidade_de_paginas

    def _charge(self, txid: str) -> _Charge | None:
        try:
            return decode(self._call("GET", f"/cobv/{quote(txid, safe='')}"), _Charge)
        except GatewayRefused as refused:
            if refused.status_code not in _UNKNOWN:
                raise
            return None

    def _wanted(self, order: ChargeOrder) -> dict[str, Any]:
        value: dict[str, Any] = {"original": decimals(order.amount_cents)}
        if order.fine_bp:
            value["multa"] = {"modalidade": 2, "valorPerc": decimals(order.fine_bp)}  # percent, once
        if order.interest_bp_month:
            value["juros"] = {"modalidade": 3, "valorPerc": decimals(order.interest_bp_month)}  # a month, by days
        if order.discount_until is not None:
            until = {"data": order.discount_until.isoformat(), "valorPerc": decimals(order.discount_cents)}
            value["desconto"] = {"modalidade": 1, "descontoDataFixa": [until]}  # an amount, until a day
        return {
            "calendario": {
                "dataDeVencimento": order.due_date.isoformat(),
                "validadeAposVencimento": int(self._access.settings["payable_after_due_days"]),
            },
            "devedor": _debtor(order),
            "valor": value,
            "chave": self._key(),
            "solicitacaoPagador": order.description[:NOTE_LENGTH_MAX],
        }

    def _key(self) -> str:
        key = self._access.settings["pix_key"]
        if not key:
            raise InvalidInput("the account has no Pix key yet, and charges are paid to one", field="settings.pix_key")
        return key

    def _call(self, method: str, path: str, headers: Mapping[str, str] = {}, **more: Any) -> bytes:  # noqa: ANN401
        return self._token.call(method, self._access.settings["api_path"] + path, headers, **more)


def _webhook_of(key: str) -> str:
    return f"/webhook/{quote(key, safe='')}"


def _is_certified(delivery: Delivery) -> bool:
    """Whether who sent it showed a certificate of one of the account's authorities, where it has any."""
    authorities = delivery.settings.get("webhook_ca", "")
    return not authorities or any(one in delivery.client_chain for one in authorities_of(authorities))


def _check_key(key: str) -> None:
    try:
        check_key(key)
    except InvalidInput as wrong:
        raise InvalidInput(wrong.detail, field="settings.pix_key") from None


def _fulfils(charge: _Charge, order: ChargeOrder) -> bool:
    return charge.status in {"ATIVA", "CONCLUIDA"} and shown.cents_of(charge.valor.original) == order.amount_cents


def _event_id(item: bytes) -> str:
    """By what is told: a Pix, or with it each devolução in its state. One that cannot be read is kept for a person."""
    try:
        pix = decode(item, _Notified)
    except WebhookMalformed:
        return f"unread:{hashlib.sha256(item).hexdigest()}"
    returns = sorted(f"{one.id}={one.status}" for one in shown.returns_of(pix.devolucoes))
    event_id = ":".join([pix.end_to_end_id, *filter(None, [pix.status]), *returns])
    if len(event_id) <= EVENT_ID_LENGTH_MAX:
        return event_id
    return f"{pix.end_to_end_id}:{hashlib.sha256(event_id.encode()).hexdigest()}"


def _debtor(order: ChargeOrder) -> dict[str, str]:
    """A CPF has 11 digits; anything else is a CNPJ, in which letters may stand (IN RFB 2.229/2024)."""
    payer = order.payer
    person = len(payer.document) == 11 and payer.document.isdigit()
    street = ", ".join(filter(None, [payer.street, payer.number, payer.district]))
    given = {
        "cpf" if person else "cnpj": payer.document, "nome": payer.name[:NAME_LENGTH_MAX],
        "logradouro": street[:NAME_LENGTH_MAX], "cidade": payer.city, "uf": payer.state,
        "cep": digits(payer.postal_code),
    }  # fmt: skip
    return present(given)


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
