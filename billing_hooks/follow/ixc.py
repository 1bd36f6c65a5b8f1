"""IXC Provedor (IXCsoft), over its REST webservice: `POST /webservice/v1/TABLE` with the header `ixcsoft: listar`.

Sources: wiki_api of ixcsoft.com.br (tables, and what the codes of `status_internet` mean), public SDKs
(LSaints/ixc-sdk, isacna/ixc-soft-api: Basic with the token as it is, `id:hash`), and public integrations. No instance
of the vendor's was tried.

    cliente_contrato  status (A: in force), status_internet, status_velocidade (R: reduced), id_cliente
    radusuarios       login, id_contrato          cliente  cnpj_cpf, razao

An error comes as status 200 with `{"type", "message"}`, and a panel may answer HTML with 200, so what has no `total`
is no list. Everything comes as text. The tables hold passwords in clear: only the fields named here are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
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

#: CM is "Bloqueio Manual"; D, "Desativado", is also set by a person. AA waits for a signature and is no debt.
STANDINGS: Final = "A=full, AA=full, R=throttle, FA=walled_garden, CA=walled_garden, CM=walled_garden!, D=block!"
#: A contract has some 150 fields: a page stays under what an answer may have.
PAGE: Final = 500
PAGE_MAX: Final = 1000
_WORDS: Final = {
    "A": "Ativo", "AA": "Aguardando assinatura", "R": "Velocidade reduzida", "FA": "Financeiro em atraso",
    "CA": "Bloqueio automático", "CM": "Bloqueio manual", "D": "Desativado",
}  # fmt: skip


class _List(msgspec.Struct):
    total: int
    registros: list[msgspec.Raw] = []


class _Contract(msgspec.Struct):
    id: rest.Scalar
    status_internet: str
    id_cliente: rest.Scalar | None = None
    status_velocidade: str | None = None


class _Customer(msgspec.Struct):
    id: rest.Scalar
    razao: str | None = None
    cnpj_cpf: str | None = None


class _Login(msgspec.Struct):
    login: str
    id_contrato: rest.Scalar | None = None


class Ixc:
    settings: Mapping[str, str] = {"base_url": "", "standings": STANDINGS, "page_size": str(PAGE)}
    credentials: Sequence[str] = ("token",)

    def check(self, settings: Mapping[str, str], credentials: Mapping[str, str]) -> None:
        rest.check_base_url(settings)
        parse_standings(settings["standings"])
        rest.check_number(settings, "page_size", 1, PAGE_MAX)
        user, colon, secret = credentials.get("token", ":").partition(":")
        if credentials and not (user and colon and secret):
            raise InvalidInput("is ID:HASH, as IXC shows it", field="credentials.token")

    def read(self, access: Access, make_client: MakeClient, known: Collection[str]) -> Reading:
        standings = parse_standings(access.settings["standings"])
        with rest.opened(access, make_client) as http:
            listing = partial(_list, http, access)
            contracts, not_understood = _rows(listing("cliente_contrato", ("status", "A")), _Contract)
            rest.distinct((str(contract.id) for contract in contracts), _contract)
            new = not {str(contract.id) for contract in contracts} <= set(known)
            who = _identities(listing) if new else None
        words = [_word(contract, standings, who) for contract in contracts]
        return gather([*words, *not_understood], identified=new)


class _Identities:
    """Who is behind a contract."""

    def __init__(self, customers: list[_Customer], logins: list[_Login]) -> None:
        self.customers = {str(customer.id): customer for customer in customers}
        self.logins: dict[str, list[str]] = defaultdict(list)
        for login in logins:
            self.logins[str(login.id_contrato or "")].append(login.login)


def _identities(listing: Callable[..., list[msgspec.Raw]]) -> _Identities:
    """A row of these that cannot be read identifies nobody, and that shows as a difference."""
    return _Identities(_rows(listing("cliente"), _Customer)[0], _rows(listing("radusuarios"), _Login)[0])


def _list(http: Http, access: Access, table: str, equals: tuple[str, str] = ("id", "0")) -> list[msgspec.Raw]:
    """Ordered by id, so that what is added meanwhile comes on the last page and moves no other."""
    size = int(access.settings["page_size"])
    user, _, secret = access.credentials["token"].partition(":")
    field, value = equals

    def ask(number: int) -> rest.Page:
        body = {
            "qtype": f"{table}.{field}", "query": value, "oper": ">" if field == "id" else "=",
            "page": str(number + 1), "rp": str(size), "sortname": f"{table}.id", "sortorder": "asc",
        }  # fmt: skip
        headers = {"ixcsoft": "listar"}
        answer = http.call("POST", f"/webservice/v1/{table}", json=body, headers=headers, basic=(user, secret))
        found = rest.decode(answer, _List, partial(_complaint, table))
        return rest.Page(found.total, found.registros)

    return rest.read_pages(ask, size)


def _complaint(table: str, said: Mapping[str, Any]) -> Words:
    why = rest.reason_of(said, "message")
    return Words(f"o IXC não lista {table}: {why.pt}", f"IXC does not list {table}: {why.en}")


_Row = Any


def _rows(raws: list[msgspec.Raw], type_: type[_Row]) -> tuple[list[_Row], list[Malformed]]:
    rows, not_understood = [], []
    for number, raw in enumerate(raws, 1):
        try:
            rows.append(rest.convert(raw, type_))
        except InvalidInput as error:
            not_understood.append(malformed(Words(f"linha {number}", f"row {number}"), said_by(error)))
    return rows, not_understood


def _word(contract: _Contract, standings: Standings, who: _Identities | None) -> Word | Malformed:
    key, customer_ref = str(contract.id), str(contract.id_cliente or "")
    reduced = contract.status_internet.strip() == "A" and (contract.status_velocidade or "").strip() == "R"
    code = "R" if reduced else contract.status_internet.strip()
    customer = who.customers.get(customer_ref) if who else None
    try:
        return make_word(
            key, standings.of(code), reason=_WORDS.get(code, code), customer_ref=customer_ref,
            name=(customer.razao if customer else "") or "", document=(customer.cnpj_cpf if customer else "") or "",
            logins=who.logins.get(key, ()) if who else (),
        )  # fmt: skip
    except InvalidInput as error:
        return malformed(_contract(key), said_by(error), key)


def _contract(key: str) -> Words:
    return Words(f"contrato {key}", f"contract {key}")
