"""Pix at any bank that serves the central bank's contract (BCB, "API Pix" 2.9.0); Efí's ways are settings.

The bank calls `<the URL that was registered>/pix` with an array of Pix: money that came, or one of them again when some
of it was given back. It knows no states and no event ids, so a Pix is an event by its endToEndId, and with each of its
devoluções in each of their states it is another. What authenticates the sender is a token in the URL's query (`hmac`),
which says nothing of what he says: the API is asked about every Pix. (Mutual TLS towards us, which the contract has as
well, would stand in front of this.)

Register https://HOST/hooks/pix?hmac=SECRET&ignorar= at Efí, which adds `/pix` at the end of it all; another bank may
add it to the path. Efí first calls the URL with a body that holds no Pix, and wants a success for that too.

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
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, quote

import msgspec

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
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.http import GatewayRefused, Http
from billing_hooks.gateways.oauth import Token
from billing_hooks.gateways.reading import decode, moment, whole_cents
from core.clock import Clock, utc_now
from core.errors import InvalidInput

#: It stands in a URL, so of the characters that need no escape there (RFC 3986, unreserved).
SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{32,200}")
PAGE: Final = 100
#: BCB: a Pix can be given back for 90 days.
REFUND_WINDOW: Final = timedelta(days=90)
NAME_LENGTH_MAX: Final = 200
NOTE_LENGTH_MAX: Final = 140
#: How a bank says that it does not know a Pix or a charge: the contract with 404, Efí for some with 400.
_UNKNOWN: Final = frozenset({400, 404})
#: A devolução by the scheme's own mechanism (MED: fraud, or another bank's mistake) is none of ours.
_TAKEN_BACK: Final = "MED_"

#: BCB: `\d{1,10}\.\d{2}`.
Reais = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,10}\.[0-9]{2}$")]
#: BCB has 32 of them; Efí's examples are shorter.
EndToEndId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{1,64}$")]
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Txid = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$")]


class _Return(msgspec.Struct):
    """A devolução. In the BCB's example they are an object, in its schema and at the banks an array."""

    id: Word
    status: Word
    valor: Reais = "0.00"
    natureza: str | None = None


class _Extras(msgspec.Struct, rename="camel"):
    """Efí's. `id_envio`: a Pix that we sent."""

    id_envio: str | None = None
    tarifa: Reais | None = None


class _Notified(msgspec.Struct, rename="camel"):
    """As much of a webhook's Pix as is needed to ask about it."""

    end_to_end_id: EndToEndId
    status: Word | None = None
    devolucoes: list[_Return] | _Return | None = None
    gn_extras: _Extras | None = None


class _Notification(msgspec.Struct):
    pix: list[msgspec.Raw] | None = None


class _Part(msgspec.Struct):
    valor: Reais


class _Parts(msgspec.Struct):
    """valor = original + saque + troco + multa + juros - abatimento - desconto, of those that are there."""

    original: _Part | None = None
    saque: _Part | None = None
    troco: _Part | None = None
    multa: _Part | None = None
    juros: _Part | None = None
    abatimento: _Part | None = None
    desconto: _Part | None = None


class _Pix(msgspec.Struct, rename="camel"):
    end_to_end_id: EndToEndId
    valor: Reais
    horario: datetime
    #: None: paid to the key itself, or by a static code that names none.
    txid: Txid | None = None
    componentes_valor: _Parts | None = None
    devolucoes: list[_Return] | _Return | None = None
    gn_extras: _Extras | None = None


class _Paging(msgspec.Struct, rename="camel"):
    quantidade_de_paginas: int = 1


class _Query(msgspec.Struct):
    paginacao: _Paging


class _Page(msgspec.Struct):
    parametros: _Query
    pix: list[_Pix] = []


class _Value(msgspec.Struct):
    original: Reais


class _Charge(msgspec.Struct, rename={"pix_code": "pixCopiaECola"}):
    status: str
    valor: _Value
    pix_code: str | None = None


class Pix:
    #: `scope` for the banks whose tokens need one; `skip_mtls_checking`: Efí registers a webhook that asks for no
    #: certificate only where it is told so.
    settings: Mapping[str, str] = {
        "base_url": "https://pix.api.efipay.com.br", "token_path": "/oauth/token", "api_path": "/v2", "pix_key": "",
        "scope": "", "payable_after_due_days": "30", "period_days": "30", "skip_mtls_checking": "true",
    }  # fmt: skip
    credentials: Sequence[str] = ("client_id", "client_secret", "certificate", "private_key")

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock

    def check_secret(self, secret: str) -> None:
        if not SECRET.fullmatch(secret):
            raise InvalidInput(
                "stands in the webhook's URL (?hmac=…): 32 to 200 letters, digits, or one of -._~", field="secret"
            )

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:  # noqa: ARG002
        """One message a Pix; none of a body without any, by which a bank tries the URL."""
        token = parse_qs(delivery.query).get("hmac", [""])[-1].removesuffix("/pix")
        if not hmac.compare_digest(token.encode(), secret.encode()):
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
            return facts_of(decode(self._call("GET", f"/pix/{quote(reference, safe='')}"), _Pix))
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
        txid = txid_of(order)
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

    def queue_alarm(self) -> None:
        """A bank gives an event up after its last try and tells nobody."""

    def register(self, webhook_url: str) -> None:
        """Have what comes to our key told to this URL: /hooks/pix with `?hmac=SECRET&ignorar=` behind it."""
        skips = self._access.settings["skip_mtls_checking"] == "true"
        headers = {"x-skip-mtls-checking": "true"} if skips else {}
        path = f"/webhook/{quote(self._key(), safe='')}"
        try:
            self._call("PUT", path, headers=headers, json={"webhookUrl": webhook_url})
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
                    yield from facts_of(pix)
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
        value: dict[str, Any] = {"original": _reais(order.amount_cents)}
        if order.fine_bp:
            value["multa"] = {"modalidade": 2, "valorPerc": _reais(order.fine_bp)}  # percent, once
        if order.interest_bp_month:
            value["juros"] = {"modalidade": 3, "valorPerc": _reais(order.interest_bp_month)}  # percent a month, by days
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


# prv | invoice (19 digits) | order (7) | check (6): 35 characters, the most that a txid has. The check tells ours from
# another program's at the same account.
_OURS: Final = re.compile(r"(prv([0-9]{19})[0-9a-f]{7})([0-9a-f]{6})")
_INVOICE_ID_MAX: Final = (1 << 63) - 1


def txid_of(order: ChargeOrder) -> str:
    """The same for the same invoice and key, and another for another (BCB: `[a-zA-Z0-9]{26,35}`)."""
    body = f"prv{order.invoice_id:019}{_digest(order.key, 7)}"
    return body + _digest(body, 6)


def invoice_of_txid(txid: str | None) -> int | None:
    """The invoice of a charge that we made; None for anybody else's."""
    ours = _OURS.fullmatch(txid or "")
    if ours is None or ours[3] != _digest(ours[1], 6) or int(ours[2]) > _INVOICE_ID_MAX:
        return None
    return int(ours[2])


def _fulfils(charge: _Charge, order: ChargeOrder) -> bool:
    return charge.status in {"ATIVA", "CONCLUIDA"} and _cents(charge.valor.original) == order.amount_cents


def facts_of(pix: _Pix) -> list[Fact]:
    """What is true of a Pix as the API shows it."""
    received = _received(pix)
    return [received, *_given_back(pix)] if received is not None else []


def _received(pix: _Pix) -> PaymentReceived | None:
    """None of one that was cash for the payer and no payment."""
    cash_cents, surcharge_cents, discount_cents = _parts(pix)
    amount_cents = whole_cents(_cents(pix.valor), "valor") - cash_cents
    if amount_cents <= 0:
        return None
    came_at = moment(pix.horario, "horario")
    fee = pix.gn_extras.tarifa if pix.gn_extras is not None else None
    return PaymentReceived(
        invoice_id=invoice_of_txid(pix.txid),
        charge_id=pix.txid or None,
        payment_id=pix.end_to_end_id,
        amount_cents=amount_cents,
        paid_at=came_at,
        method="pix",
        currency="BRL",
        surcharge_cents=surcharge_cents,
        discount_cents=discount_cents,
        settled_at=came_at,
        net_cents=amount_cents - _cents(fee) if fee is not None else None,
    )


def _parts(pix: _Pix) -> tuple[int, int, int]:
    """(cash that was handed out, fine and interest, discount) of its amount; parts that make no sense are none."""
    parts = pix.componentes_valor or _Parts()
    cash_cents = _sum(parts.saque, parts.troco)
    surcharge_cents = _sum(parts.multa, parts.juros)
    discount_cents = _sum(parts.abatimento, parts.desconto)
    original_cents = _sum(parts.original)
    sum_cents = original_cents + cash_cents + surcharge_cents - discount_cents
    if sum_cents != _cents(pix.valor) or discount_cents > original_cents:
        return 0, 0, 0
    return cash_cents, surcharge_cents, discount_cents


def _given_back(pix: _Pix) -> list[Fact]:
    """What we gave back is a refund. What was taken from us as a whole by the scheme is owed again."""
    done = [one for one in _returns(pix.devolucoes) if one.status == "DEVOLVIDO"]
    cents = sum(_cents(one.valor) for one in done)
    if not cents:
        return []
    refund = not all((one.natureza or "").startswith(_TAKEN_BACK) for one in done)
    whole = cents >= _cents(pix.valor)
    return [PaymentReversed(pix.end_to_end_id, refund=refund, amount_cents=None if whole else cents)]


def _event_id(item: bytes) -> str:
    """By what is told: a Pix, or with it each devolução in its state. One that cannot be read is kept for a person."""
    try:
        pix = decode(item, _Notified)
    except WebhookMalformed:
        return f"unread:{hashlib.sha256(item).hexdigest()}"
    returns = sorted(f"{one.id}={one.status}" for one in _returns(pix.devolucoes))
    event_id = ":".join([pix.end_to_end_id, *filter(None, [pix.status]), *returns])
    if len(event_id) <= EVENT_ID_LENGTH_MAX:
        return event_id
    return f"{pix.end_to_end_id}:{hashlib.sha256(event_id.encode()).hexdigest()}"


def _returns(devolucoes: list[_Return] | _Return | None) -> list[_Return]:
    return [devolucoes] if isinstance(devolucoes, _Return) else devolucoes or []


def _debtor(order: ChargeOrder) -> dict[str, str]:
    """A CPF has 11 digits; anything else is a CNPJ, in which letters may stand (IN RFB 2.229/2024)."""
    payer = order.payer
    person = len(payer.document) == 11 and payer.document.isdigit()
    street = ", ".join(filter(None, [payer.street, payer.number, payer.district]))
    postal_code = "".join(filter(str.isdigit, payer.postal_code))
    given = {
        "cpf" if person else "cnpj": payer.document, "nome": payer.name[:NAME_LENGTH_MAX],
        "logradouro": street[:NAME_LENGTH_MAX], "cidade": payer.city, "uf": payer.state, "cep": postal_code,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value}


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _sum(*parts: _Part | None) -> int:
    return sum(_cents(part.valor) for part in parts if part is not None)


def _cents(reais: str) -> int:
    """Of a `Reais`."""
    return int(reais.replace(".", ""))


def _reais(cents: int) -> str:
    """Also of a percentage in hundredths."""
    return f"{cents // 100}.{cents % 100:02}"


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
