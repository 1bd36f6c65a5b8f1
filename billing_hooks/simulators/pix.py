"""A simulated bank with the central bank's API Pix: charges with a due date, Pix, refunds and its webhook (BCB 2.9.0).

It refuses what a real one refuses: a wrong client (401), no token or one that expired (401), and with a problem
(RFC 7807, `https://pix.bcb.gov.br/api/v2/error/…`) a charge or query against the contract, a txid that was used, a Pix
key of somebody else's, an unknown charge, Pix or devolução. Where it is served with TLS it may ask for a certificate
(`serving.Tls`). A webhook holds the Pix of one key that came together, and is tried nine times over five and a half
hours, each for itself (Efí's times: the contract has none).

    POST /oauth/token      PUT/GET/PATCH /v2/cobv/{txid}      GET /v2/pix?…, /v2/pix/{e2eid}
    PUT/GET /v2/pix/{e2eid}/devolucao/{id}                    PUT/GET /v2/webhook/{chave}
    POST /_simulate/charges/{txid}/pay                        {"valor"}: another amount than is asked for
    POST /_simulate/charges/{chave}/{pay-key|tell}            a Pix to the key itself; tell what waits for others
    POST /_simulate/charges/{chave}/together                  {"pix": 3}: so many are told in one request
    POST /_simulate/charges/{e2eid}/{refund|settle|reject}    {"id", "valor", "natureza"}

`homologation` is Efí's: charges of up to R$ 10.00 are paid at once, a txid that was used is 409 and an unknown Pix 400
in its own words, and a webhook is registered only where its URL answers a test. Of a charge's revisions there is the
removal alone; interest by working days (modalidade 5 to 8) is not reckoned.
"""

from __future__ import annotations

import itertools
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.simulators.codes import pix_code
from billing_hooks.simulators.hooks import Event, HookQueue, Policy
from billing_hooks.simulators.simulation import Options, Simulation
from billing_hooks.simulators.web import Refused, api, simulated_routes
from core.clock import Clock

_MINUTE_S: Final = 60
POLICY: Final = Policy(
    pauses_s=tuple(minutes * _MINUTE_S for minutes in (0, 5, 5, 5, 10, 20, 40, 80, 160)),
    success=lambda status: 200 <= status < 300,
    timeout_s=60.0,
)
TOKEN_LIFE_S: Final = 3600
REFUND_WINDOW: Final = timedelta(days=90)
ITEMS_MAX: Final = 1000
#: Efí, homologação: what is paid at once.
PAID_AT_ONCE_MAX: Final = Decimal("10.00")
_TXID: Final = re.compile(r"[a-zA-Z0-9]{26,35}")
_REFUND_ID: Final = re.compile(r"[a-zA-Z0-9]{1,35}")
_MONEY: Final = re.compile(r"[0-9]{1,10}\.[0-9]{2}")
_CPF: Final = re.compile(r"[0-9]{11}")
#: Letters since 2.9.0 (IN RFB 2.229/2024).
_CNPJ: Final = re.compile(r"[A-Z0-9]{12}[0-9]{2}")
_CENT: Final = Decimal("0.01")
_REMOVED: Final = "REMOVIDA_PELO_USUARIO_RECEBEDOR"


def problem(status: int, kind: str, title: str, detail: str, property_: str | None = None) -> Refused:
    body: dict[str, Any] = {
        "type": f"https://pix.bcb.gov.br/api/v2/error/{kind}", "title": title, "status": status, "detail": detail,
    }  # fmt: skip
    if property_ is not None:
        body["violacoes"] = [{"razao": detail, "propriedade": property_}]
    return Refused(status, body)


def _invalid_charge(property_: str, why: str = "não respeita o schema") -> Refused:
    return problem(400, "CobVOperacaoInvalida", "Cobrança inválida.", f"O campo {property_} {why}.", property_)


@dataclass(slots=True)
class Charge:
    """A cobv. `wanted` is what was asked for, as it was asked."""

    txid: str
    wanted: Mapping[str, Any]
    created_at: datetime
    original: Decimal
    due_date: date
    payable_until: date
    status: str = "ATIVA"
    revision: int = 0
    pix: list[Pix] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        location = f"pix.example.com/qr/v2/cobv/{self.txid}"
        return {
            **self.wanted, "calendario": {"criacao": _moment(self.created_at), **self.wanted["calendario"]},
            "txid": self.txid, "revisao": self.revision, "status": self.status,
            "loc": {"id": 1, "location": location, "tipoCob": "cobv"}, "location": location,
            "pixCopiaECola": pix_code(location),
            **({"pix": [one.shown() for one in self.pix]} if self.pix else {}),
        }  # fmt: skip

    def parts(self, on: date) -> dict[str, Decimal]:
        """What is owed on a day, in the words of componentesValor."""
        days, value = (on - self.due_date).days, self.wanted["valor"]
        parts = {"original": self.original}
        if days > 0 and "multa" in value:
            parts["multa"] = _surcharge(value["multa"], {1: Decimal(1), 2: self.original / 100})
        if days > 0 and "juros" in value:
            percent = self.original * days / 100
            rates = {1: Decimal(days), 2: percent, 3: percent / 30, 4: percent / 365}
            parts["juros"] = _surcharge(value["juros"], rates)
        for one in value.get("desconto", {}).get("descontoDataFixa", ()):
            if on <= date.fromisoformat(one["data"]):
                parts["desconto"] = max(parts.get("desconto", Decimal(0)), Decimal(one["valorPerc"]))
        return parts


@dataclass(slots=True)
class Refund:
    id: str
    value: Decimal
    asked_at: datetime
    kind: str = "ORIGINAL"
    status: str = "EM_PROCESSAMENTO"
    settled_at: datetime | None = None

    def shown(self) -> dict[str, Any]:
        times = {"solicitacao": _moment(self.asked_at)}
        if self.settled_at is not None:
            times["liquidacao"] = _moment(self.settled_at)
        return {
            "id": self.id, "rtrId": f"D{self.id:0>31}"[:32], "valor": str(self.value), "natureza": self.kind,
            "horario": times, "status": self.status,
        }  # fmt: skip


@dataclass(slots=True)
class Pix:
    end_to_end_id: str
    key: str
    value: Decimal
    at: datetime
    txid: str | None = None
    parts: Mapping[str, Decimal] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        parts = {name: {"valor": str(value)} for name, value in self.parts.items()}
        more = {
            "txid": self.txid, "componentesValor": parts,
            "devolucoes": [refund.shown() for refund in self.refunds.values()],
        }  # fmt: skip
        return {
            "endToEndId": self.end_to_end_id, "valor": str(self.value), "chave": self.key,
            "horario": _moment(self.at), **{name: value for name, value in more.items() if value},
        }  # fmt: skip


@dataclass(slots=True)
class Bank:
    """The whole of it, for one client with these Pix keys. `together`: so many Pix of one key are told in one request.

    `probe` calls a URL with a body and returns the status, as Efí does before it registers a webhook.
    """

    client_id: str
    client_secret: str
    keys: frozenset[str]
    queue: HookQueue
    clock: Clock
    homologation: bool = False
    probe: Callable[[str, Mapping[str, Any]], int] | None = None
    together: int = 1
    away: int | None = None
    charges: dict[str, Charge] = field(default_factory=dict)
    pix: dict[str, Pix] = field(default_factory=dict)
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Token to the moment at which it expires.
    tokens: dict[str, datetime] = field(default_factory=dict)
    #: Key to what is not told yet.
    untold: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def today(self) -> date:
        return self.clock().astimezone(BRASILIA).date()

    def grant(self) -> dict[str, Any]:
        token = f"token-{next(self._numbers)}"
        self.tokens[token] = self.clock() + timedelta(seconds=TOKEN_LIFE_S)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE_S,
            "scope": "cobv.write pix.read",
        }

    def is_good(self, token: str) -> bool:
        return token in self.tokens and self.clock() < self.tokens[token]

    def add_charge(self, txid: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As it is when it was made, also where it is paid at once."""
        if not _TXID.fullmatch(txid):
            raise _invalid_charge("cobv.txid")
        if txid in self.charges:
            raise self._txid_in_use()
        charge = self._checked(txid, body)
        self.charges[txid], shown = charge, charge.shown()
        if self.homologation and charge.original <= PAID_AT_ONCE_MAX:
            self.pay(txid)
        return shown

    def find_charge(self, txid: str) -> Charge:
        if txid not in self.charges:
            raise problem(404, "CobVNaoEncontrada", "Não Encontrado", "Cobrança não encontrada para o txid informado.")
        return self.charges[txid]

    def remove(self, txid: str, body: Mapping[str, Any]) -> Charge:
        charge = self.find_charge(txid)
        if charge.status != "ATIVA":
            raise _invalid_charge("cobv.status", "não pode mudar: a cobrança não está ATIVA")
        if body != {"status": _REMOVED}:
            raise _invalid_charge("cobv.status", f"só pode ser {_REMOVED}, sem outras alterações")
        charge.status, charge.revision = _REMOVED, charge.revision + 1
        return charge

    def pay(self, txid: str, value: Decimal | None = None) -> Pix:
        """As much as is owed today; another amount comes from a bank that lets its customers write one."""
        charge = self.find_charge(txid)
        if charge.status != "ATIVA" or self.today() > charge.payable_until:
            raise _invalid_charge("cobv.status", f"é {charge.status}: não pode mais ser paga")
        parts = charge.parts(self.today())
        owed = sum(parts.values(), Decimal(0)) - 2 * parts.get("desconto", Decimal(0))
        pix = self._come(charge.wanted["chave"], value or owed, txid, parts if value in {None, owed} else {})
        charge.status = "CONCLUIDA"
        charge.pix.append(pix)
        return pix

    def pay_key(self, key: str, value: Decimal, txid: str | None = None) -> Pix:
        """To the key itself, or by a static code, whose txid is anybody's."""
        if key not in self.keys:
            raise problem(404, "NaoEncontrado", "Não Encontrado", "A chave não existe.")
        return self._come(key, value, txid, {})

    def find_pix(self, end_to_end_id: str) -> Pix:
        if end_to_end_id in self.pix:
            return self.pix[end_to_end_id]
        if self.homologation:
            raise _efi(400, "pix_nao_encontrado", "Nenhum pix encontrado para o identificador informado")
        raise problem(404, "PixNaoEncontrado", "Não Encontrado", "Pix não encontrado para o e2eid informado.")

    def refund(self, end_to_end_id: str, id_: str, value: Decimal, kind: str = "ORIGINAL") -> Refund:
        """It is in process until it is settled or rejected, which alone is told."""
        pix = self.find_pix(end_to_end_id)
        standing = sum((one.value for one in pix.refunds.values() if one.status != "NAO_REALIZADO"), Decimal(0))
        if not _REFUND_ID.fullmatch(id_) or id_ in pix.refunds:
            raise _invalid_refund("O id não respeita o schema ou já foi utilizado.")
        if standing + value > pix.value:
            raise _invalid_refund("A devolução excederia o valor do pix originário.")
        if self.clock() > pix.at + REFUND_WINDOW:
            raise _invalid_refund("A janela de 90 dias para solicitar a devolução passou.")
        pix.refunds[id_] = Refund(id_, value, self.clock(), kind)
        return pix.refunds[id_]

    def find_refund(self, end_to_end_id: str, id_: str) -> Refund:
        refunds = self.find_pix(end_to_end_id).refunds
        if id_ not in refunds:
            raise problem(404, "PixDevolucaoNaoEncontrada", "Não Encontrado", "Devolução não encontrada.")
        return refunds[id_]

    def end_refund(self, end_to_end_id: str, id_: str, *, settled: bool) -> Refund:
        refund = self.find_refund(end_to_end_id, id_)
        if refund.status != "EM_PROCESSAMENTO":
            raise _invalid_refund(f"A devolução está {refund.status}.")
        refund.status = "DEVOLVIDO" if settled else "NAO_REALIZADO"
        refund.settled_at = self.clock() if settled else None
        self._tell(self.pix[end_to_end_id])
        return refund

    def register(self, key: str, url: str, *, skips_mtls: bool) -> dict[str, Any]:
        if key not in self.keys:
            raise _invalid_webhook("O parâmetro chave não corresponde a uma chave deste usuário recebedor.")
        if not url.startswith("https://"):
            raise _invalid_webhook("O campo webhook.webhookUrl não respeita o schema.")
        if self.homologation and not skips_mtls:
            raise _efi(400, "webhook_invalido", "A autenticação de TLS mútuo não está configurada na URL informada")
        if self.probe is not None:
            status = self.probe(url, {"evento": "teste_webhook", "data_criacao": _moment(self.clock())})
            if not POLICY.success(status):
                raise _efi(400, "webhook_invalido", f"A URL {url} respondeu com o código HTTP {status}")
        self.webhooks[key] = {"webhookUrl": url, "chave": key, "criacao": _moment(self.clock())}
        return self.webhooks[key]

    def find_webhook(self, key: str) -> dict[str, Any]:
        if key not in self.webhooks:
            raise problem(404, "WebhookNaoEncontrado", "Não Encontrado", "Não há webhook para esta chave.")
        return self.webhooks[key]

    def tell(self, key: str) -> None:
        """What waits of this key, in one request."""
        items = self.untold.pop(key, [])
        if not items:
            return
        octets = json.dumps({"pix": items}, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"}
        self.queue.put(Event(f"hook-{next(self._numbers)}", lambda _: (headers, octets)), self.clock())

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        first, last = _time(query, "inicio"), _time(query, "fim")
        number, count = _whole(query, "paginaAtual", 0, 0), _whole(query, "itensPorPagina", 100, 1)
        if last < first or count > ITEMS_MAX:
            raise _invalid_query("fim é anterior a inicio, ou itensPorPagina é maior que 1000")
        found = [pix for pix in self.pix.values() if first <= pix.at <= last and _matches(pix, query)]
        page = found[number * count : (number + 1) * count]
        paging = {
            "paginaAtual": number, "itensPorPagina": count, "quantidadeDePaginas": -(-len(found) // count),
            "quantidadeTotalDeItens": len(found),
        }  # fmt: skip
        asked = {"inicio": query["inicio"], "fim": query["fim"], "paginacao": paging}
        return {"parametros": asked, "pix": [pix.shown() for pix in page]}

    def _come(self, key: str, value: Decimal, txid: str | None, parts: Mapping[str, Decimal]) -> Pix:
        now = self.clock()
        id_ = f"E00416968{now:%Y%m%d%H%M}{next(self._numbers):011}"
        self.pix[id_] = Pix(id_, key, value, now, txid, parts)
        self._tell(self.pix[id_])
        return self.pix[id_]

    def _tell(self, pix: Pix) -> None:
        """As it is now."""
        waiting = self.untold.setdefault(pix.key, [])
        waiting.append(pix.shown())
        if len(waiting) >= self.together:
            self.tell(pix.key)

    def _txid_in_use(self) -> Refused:
        if self.homologation:
            return _efi(409, "txid_duplicado", "Campo txid informado já foi utilizado em outra cobrança")
        return _invalid_charge("cobv.txid", "encontra-se em uso")

    def _checked(self, txid: str, body: Mapping[str, Any]) -> Charge:
        calendar, value = _object(body, "calendario"), _object(body, "valor")
        if body.get("chave") not in self.keys:
            raise _invalid_charge("cobv.chave", "corresponde a uma conta que não pertence a este usuário recebedor")
        _check_debtor(_object(body, "devedor"))
        _check_surcharges(value)
        due_date, validity = _day(calendar.get("dataDeVencimento")), calendar.get("validadeAposVencimento", 30)
        if due_date < self.today():
            raise _invalid_charge("cobv.calendario.dataDeVencimento", "é anterior à data de criação da cobrança")
        _check_discount(value, due_date)
        if not isinstance(validity, int) or validity < 0:
            raise _invalid_charge("cobv.calendario.validadeAposVencimento", "é menor do que zero")
        if len(str(body.get("solicitacaoPagador", ""))) > 140:
            raise _invalid_charge("cobv.solicitacaoPagador")
        original = _money(value.get("original"), lambda: _invalid_charge("cobv.valor.original"))
        return Charge(txid, body, self.clock(), original, due_date, due_date + timedelta(days=validity))


def simulation(options: Options) -> Simulation:
    """Served without TLS it asks for no certificate; an account has one all the same."""
    secret = options.secret or options.credential("secret")
    client_id, client_secret = options.credential("client_id"), options.credential("client_secret")
    key = options.credentials.get("pix_key") or str(uuid4())
    queue = HookQueue(POLICY, options.random)
    bank = Bank(client_id, client_secret, frozenset({key}), queue, options.clock)
    bank.register(key, f"https://provedor.example/hooks/pix?hmac={secret}", skips_mtls=True)
    shown = {"secret": secret, "client_id": client_id, "client_secret": client_secret, "settings.pix_key": key}
    if "certificate" not in options.credentials:
        shown |= self_signed(options.clock())
    return Simulation(app_of(bank), queue, f"{options.hook_url}/pix?hmac={secret}", "", shown)


def self_signed(now: datetime) -> dict[str, str]:
    """A certificate to try an account with, good for a year, and its key; both in PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=365))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"certificate": certificate.decode(), "private_key": private_key.decode()}


def app_of(bank: Bank) -> Starlette:
    """Its API under /v2, and under /_simulate what its customers and its staff would do."""

    def path(path: str, answer: Callable[[Bank, Request, Any], Any], *methods: str) -> Route:
        handler = api(bank, lambda request: _admit(bank, request), partial(answer, bank))
        return Route(f"/v2/{path}", handler, methods=list(methods))

    token = api(bank, lambda request: _admit_client(bank, request), partial(_token, bank))
    return Starlette(
        routes=[
            Route("/oauth/token", token, methods=["POST"]),
            path("cobv/{txid}", _charge, "PUT", "GET", "PATCH"),
            path("pix", lambda bank, request, _: bank.listed(request.query_params), "GET"),
            path("pix/{id}", lambda bank, request, _: bank.find_pix(request.path_params["id"]).shown(), "GET"),
            path("pix/{e2eid}/devolucao/{id}", _refund, "PUT", "GET"),
            path("webhook/{chave}", _webhook, "PUT", "GET"),
            *simulated_routes(bank, partial(_act, bank)),
        ]
    )


def _admit_client(bank: Bank, request: Request) -> None:
    wanted = b64encode(f"{bank.client_id}:{bank.client_secret}".encode()).decode()
    if request.headers.get("authorization") != f"Basic {wanted}":
        raise Refused(401, {"error": "invalid_client", "error_description": "Invalid or inactive credentials"})


def _admit(bank: Bank, request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not bank.is_good(token):
        raise problem(401, "NaoAutorizado", "Não autorizado", "O token está ausente, é inválido ou expirou.")


def _token(bank: Bank, _: Request, body: Any) -> Any:  # noqa: ANN401
    """By form, as RFC 6749 has it, or by JSON, which Efí takes as well."""
    wanted = parse_qs(body).get("grant_type", [""])[0] if isinstance(body, str) else body.get("grant_type")
    if wanted != "client_credentials":
        raise Refused(400, {"error": "unsupported_grant_type"})
    return bank.grant()


def _charge(bank: Bank, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    txid = request.path_params["txid"]
    if request.method == "PUT":
        return JSONResponse(bank.add_charge(txid, body), 201)
    if request.method == "PATCH":
        return bank.remove(txid, body).shown()
    return bank.find_charge(txid).shown()


def _refund(bank: Bank, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    end_to_end_id, id_ = request.path_params["e2eid"], request.path_params["id"]
    if request.method == "GET":
        return bank.find_refund(end_to_end_id, id_).shown()
    value = _money(body.get("valor"), lambda: _invalid_refund("O campo devolucao.valor não respeita o schema."))
    return JSONResponse(bank.refund(end_to_end_id, id_, value).shown(), 201)


def _webhook(bank: Bank, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    key = request.path_params["chave"]
    if request.method == "GET":
        return bank.find_webhook(key)
    skips = request.headers.get("x-skip-mtls-checking") == "true"
    return JSONResponse(bank.register(key, str(body.get("webhookUrl", "")), skips_mtls=skips), 201)


def _act(bank: Bank, request: Request, body: dict[str, Any]) -> Any:  # noqa: ANN401
    subject, id_ = request.path_params["id"], str(body.get("id", "1"))
    value = _money(body["valor"], lambda: _invalid_query("valor não respeita o schema")) if "valor" in body else None
    acts: dict[str, Callable[[], Any]] = {
        "pay": lambda: bank.pay(subject, value).shown(),
        "pay-key": lambda: bank.pay_key(subject, value or _CENT, body.get("txid")).shown(),
        "tell": lambda: bank.tell(subject),
        "together": lambda: setattr(bank, "together", max(int(body.get("pix", 1)), 1)),
        "refund": lambda: bank.refund(
            subject, id_, value or bank.find_pix(subject).value, body.get("natureza", "ORIGINAL")
        ).shown(),
        "settle": lambda: bank.end_refund(subject, id_, settled=True).shown(),
        "reject": lambda: bank.end_refund(subject, id_, settled=False).shown(),
    }
    if request.path_params["what"] not in acts:
        raise problem(404, "NaoEncontrado", "Não Encontrado", f"one of {', '.join(acts)}")
    return acts[request.path_params["what"]]()


def _efi(status: int, name: str, message: str) -> Refused:
    return Refused(status, {"nome": name, "mensagem": message})


def _invalid_refund(detail: str) -> Refused:
    return problem(400, "PixDevolucaoInvalida", "Devolução inválida.", detail)


def _invalid_webhook(detail: str) -> Refused:
    return problem(400, "WebhookOperacaoInvalida", "Webhook inválido.", detail)


def _invalid_query(detail: str) -> Refused:
    return problem(400, "PixConsultaInvalida", "Consulta inválida.", detail)


def _matches(pix: Pix, query: Mapping[str, str]) -> bool:
    wanted = {
        "txid": pix.txid,
        "txIdPresente": str(pix.txid is not None).lower(),
        "devolucaoPresente": str(bool(pix.refunds)).lower(),
    }
    return all(query.get(name, value) == value for name, value in wanted.items())


def _check_debtor(debtor: Mapping[str, Any]) -> None:
    cpf, cnpj = debtor.get("cpf"), debtor.get("cnpj")
    person, company = _CPF.fullmatch(str(cpf or "")), _CNPJ.fullmatch(str(cnpj or ""))
    named = isinstance(debtor.get("nome"), str) and 0 < len(debtor["nome"]) <= 200
    if not named or (cpf is None) == (cnpj is None) or not (person or company):
        raise _invalid_charge("cobv.devedor")


def _check_surcharges(value: Mapping[str, Any]) -> None:
    for name, kinds in (("multa", 2), ("juros", 4)):
        given = value.get(name, {"modalidade": 1, "valorPerc": "0.01"})
        if not isinstance(given, dict) or given.get("modalidade") not in range(1, kinds + 1):
            raise _invalid_charge(f"cobv.valor.{name}")
        if not _MONEY.fullmatch(str(given.get("valorPerc"))):
            raise _invalid_charge(f"cobv.valor.{name}")


def _check_discount(value: Mapping[str, Any], due_date: date) -> None:
    """An amount until a day, which alone is simulated (modalidade 1)."""
    given = value.get("desconto")
    if given is None:
        return
    if not isinstance(given, dict) or given.get("modalidade") != 1 or not given.get("descontoDataFixa"):
        raise _invalid_charge("cobv.valor.desconto")
    for one in given["descontoDataFixa"]:
        if not _MONEY.fullmatch(str(one.get("valorPerc"))) or Decimal(one["valorPerc"]) >= Decimal(value["original"]):
            raise _invalid_charge("cobv.valor.desconto.valorPerc")
        if _day(one.get("data")) > due_date:
            raise _invalid_charge("cobv.valor.desconto.data")


def _surcharge(given: Mapping[str, Any], rates: Mapping[int, Decimal]) -> Decimal:
    return (Decimal(given["valorPerc"]) * rates[given["modalidade"]]).quantize(_CENT, ROUND_HALF_UP)


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise _invalid_charge(f"cobv.{name}")
    return value


def _money(value: object, refused: Callable[[], Refused]) -> Decimal:
    if not isinstance(value, str) or not _MONEY.fullmatch(value) or not Decimal(value):
        raise refused()
    return Decimal(value)


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise _invalid_charge("cobv.calendario.dataDeVencimento") from None


def _time(query: Mapping[str, str], name: str) -> datetime:
    try:
        at = datetime.fromisoformat(query.get(name, ""))
    except ValueError:
        raise _invalid_query(f"o parâmetro {name} não respeita o schema") from None
    if at.tzinfo is None:
        raise _invalid_query(f"o parâmetro {name} não respeita o schema")
    return at


def _whole(query: Mapping[str, str], name: str, default: int, least: int) -> int:
    value = query.get(f"paginacao.{name}", str(default))
    if not value.isdigit() or int(value) < least:
        raise _invalid_query(f"o parâmetro paginacao.{name} não respeita o schema")
    return int(value)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
