"""SGP (TSMX), over its REST interface for integrations: `POST /api/ura/clientes/` with token and app.

Sources: the vendor's published collection (parameters: offset, limit of 100 at most, omitir_titulos), and public
integrations that read real instances (shape of `paginacao`, `clientes` and `contratos`; a wrong token or app is 403;
the numbers and names of a contract's standing). No instance of the vendor's was tried; `contratos[].servicos[].login`
is UNVERIFIED.

SGP does not tell who suspended, an automatism or a person: nothing counts as by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from billing_hooks.follow import rest
from billing_hooks.follow.base import (
    MakeClient,
    Malformed,
    Reading,
    Standings,
    Word,
    gather,
    make_word,
    malformed,
    parse_standings,
)
from billing_hooks.gateways.base import Access
from billing_hooks.gateways.http import Http
from billing_hooks.invoicing.words import Words, said_by
from core.errors import InvalidInput

STANDINGS: Final = (
    "1=full, Ativo=full, 6=full, Novo=full, 7=throttle, Ativo V. Reduzida=throttle, 4=walled_garden, "
    "Suspenso=walled_garden, Bloqueado=walled_garden"
)
#: Inactive, cancelled, and never built: contracts that are over are not in force there, so they say nothing.
_OVER: Final = frozenset({"2", "inativo", "3", "cancelado", "5", "inviabilidade técnica"})
PAGE: Final = 100


class _Paging(msgspec.Struct):
    total: int


class _List(msgspec.Struct):
    clientes: list[msgspec.Raw]
    paginacao: _Paging


class _Service(msgspec.Struct):
    login: str | None = None


class _Contract(msgspec.Struct):
    id: rest.Scalar | None = None
    contrato: rest.Scalar | None = None
    status: rest.Scalar | None = None
    contrato_status: rest.Scalar | None = msgspec.field(default=None, name="contratoStatus")
    motivo_status: str | None = None
    servicos: list[_Service] | None = None


class _Customer(msgspec.Struct):
    id: rest.Scalar
    nome: str | None = None
    cpfcnpj: str | None = None
    contratos: list[msgspec.Raw] | None = None


class Sgp:
    settings: Mapping[str, str] = {"base_url": "", "standings": STANDINGS}
    credentials: Sequence[str] = ("token", "app")

    def check(self, settings: Mapping[str, str], credentials: Mapping[str, str]) -> None:  # noqa: ARG002
        rest.check_base_url(settings)
        parse_standings(settings["standings"])

    def read(self, access: Access, make_client: MakeClient, known: Collection[str]) -> Reading:  # noqa: ARG002
        standings = parse_standings(access.settings["standings"])
        with rest.opened(access, make_client) as http:
            raws = rest.read_pages(partial(_ask, http, access), PAGE)
        customers: list[_Customer] = []
        found: list[Word | Malformed] = []
        for number, raw in enumerate(raws, 1):
            try:
                customers.append(rest.convert(raw, _Customer))
            except InvalidInput as error:
                found.append(malformed(_customer(number), said_by(error)))
        rest.distinct((str(customer.id) for customer in customers), _customer)
        for customer in customers:
            found += [word for raw in customer.contratos or () if (word := _word(customer, raw, standings))]
        return gather(found)


def _ask(http: Http, access: Access, number: int) -> rest.Page:
    form = {
        "token": access.credentials["token"], "app": access.credentials["app"], "offset": str(number * PAGE),
        "limit": str(PAGE), "omitir_titulos": "1", "omitir_contatos": "1",
    }  # fmt: skip
    found = rest.decode(http.call("POST", "/api/ura/clientes/", form=form), _List, _complaint)
    return rest.Page(found.paginacao.total, found.clientes)


def _customer(number: rest.Scalar) -> Words:
    return Words(f"cliente {number}", f"customer {number}")


def _complaint(said: Mapping[str, Any]) -> Words:
    why = rest.reason_of(said, "msg", "detail", "mensagem", "error")
    return Words(f"o SGP não lista os seus clientes: {why.pt}", f"SGP does not list its customers: {why.en}")


def _word(customer: _Customer, raw: msgspec.Raw, standings: Standings) -> Word | Malformed | None:
    """None for a contract that is over."""
    key = ""
    try:
        contract = rest.convert(raw, _Contract)
        key = rest.first_text(contract.id, contract.contrato)
        code = rest.first_text(contract.status, contract.contrato_status).strip()
        if code.casefold() in _OVER:
            return None
        return make_word(
            key, standings.of(code), reason=rest.first_text(contract.motivo_status, code), name=customer.nome or "",
            document=customer.cpfcnpj or "", customer_ref=str(customer.id),
            logins=[service.login for service in contract.servicos or () if service.login],
        )  # fmt: skip
    except InvalidInput as error:
        row = Words(f"contrato {key} do cliente {customer.id}", f"contract {key} of customer {customer.id}")
        return malformed(row, said_by(error), key)
