"""A simulated IXC Provedor: `cliente`, `cliente_contrato` and `radusuarios` over its webservice (see `follow.ixc`).

It refuses what the real one refuses: a wrong token with 401; and with status 200, as a page of HTML type that holds
`{"type": "error", "message"}`, a table that is not the token's, and a request without `ixcsoft: listar`, which would be
an insertion. Everything is text, rows have more fields than anybody asks for, passwords among them.

    POST (or GET with a body) /webservice/v1/TABLE
    {"qtype": "TABLE.FIELD", "query", "oper": "= != > >= < <= L", "page", "rp", "sortname", "sortorder", "grid_param"}
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing_hooks.simulators.erp.base import Erp, Simulation, Subscriber, made_up, simulated_routes
from billing_hooks.simulators.web import Refused, api

STANDINGS: Final = ("A", "FA", "CA", "CM", "AA", "D", "R")
_CUSTOMER: Final = 1000
_ROWS_MAX: Final = 5000
_Row = dict[str, str]


def simulation(credentials: Mapping[str, str], subscribers: list[Subscriber]) -> Simulation:
    token = credentials.get("token") or f"1:{made_up(credentials, 'token')}"
    erp = Erp(STANDINGS, {one.login: one for one in subscribers})
    return Simulation(app_of(erp, token), erp, {"token": token})


def app_of(erp: Erp, token: str) -> Starlette:
    handler = api(erp, partial(_admit, token), partial(_answer, erp))
    return Starlette(routes=[Route("/webservice/v1/{table}", handler, methods=["POST", "GET"]), *simulated_routes(erp)])


def _admit(token: str, request: Request) -> None:
    if request.headers.get("authorization") != f"Basic {base64.b64encode(token.encode()).decode()}":
        raise Refused(401, {"type": "error", "message": "Token inválido"})


def _answer(erp: Erp, request: Request, body: Any) -> Response:  # noqa: ANN401
    table = request.path_params["table"]
    if request.headers.get("ixcsoft") != "listar":
        return _error("Preencha os campos obrigatórios!")
    tables: dict[str, Callable[[Subscriber], _Row]] = {
        "cliente": _customer, "cliente_contrato": _contract, "radusuarios": _login,
    }  # fmt: skip
    if table not in tables:
        return _error(f"Recurso {table} não está disponível!")
    try:
        rows = [tables[table](one) for one in erp.listed()]
        return _page(table, rows, body if isinstance(body, dict) else {})
    except (KeyError, ValueError):
        return _error("Parâmetros inválidos!")


def _page(table: str, rows: list[_Row], asked: Mapping[str, Any]) -> Response:
    wanted = [row for row in rows if _passes(table, row, asked["qtype"], asked["oper"], asked["query"])]
    for more in json.loads(asked.get("grid_param") or "[]"):
        wanted = [row for row in wanted if _passes(table, row, more["TB"], more["OP"], more["P"])]
    name = str(asked.get("sortname") or f"{table}.id").partition(".")[2]
    wanted.sort(key=lambda row: _ordered(row[name]), reverse=asked.get("sortorder", "desc") == "desc")
    page, size = int(asked.get("page", 1)), min(int(asked.get("rp", 20)), _ROWS_MAX)
    shown: dict[str, Any] = {"page": str(page), "total": str(len(wanted))}
    if wanted:  # of nothing, IXC shows no list
        shown["registros"] = wanted[(page - 1) * size : page * size]
    return Response(json.dumps(shown), media_type="text/x-json")


def _passes(table: str, row: _Row, field: str, operator: str, value: object) -> bool:
    prefix, _, name = field.partition(".")
    if prefix != table:
        raise ValueError(field)
    mine, theirs = _ordered(row[name]), _ordered(str(value))
    tests: dict[str, Callable[[], bool]] = {
        "=": lambda: mine == theirs, "!=": lambda: mine != theirs, ">": lambda: mine > theirs,
        ">=": lambda: mine >= theirs, "<": lambda: mine < theirs, "<=": lambda: mine <= theirs,
        "L": lambda: str(value).casefold() in row[name].casefold(),
    }  # fmt: skip
    return tests[operator]()


def _ordered(text: str) -> tuple[int, str]:
    """Numbers by size, as the database behind it has them."""
    return (int(text), "") if text.isascii() and text.isdigit() else (0, text)


def _customer(one: Subscriber) -> _Row:
    return {
        "id": str(one.number + _CUSTOMER), "razao": one.name, "fantasia": "", "cnpj_cpf": _dotted(one.document),
        "ativo": "S", "senha": "segredo", "status_internet": "A", "bloqueio_automatico": "S", "email": "",
    }  # fmt: skip


def _contract(one: Subscriber) -> _Row:
    reduced = one.standing == "R"
    return {
        "id": str(one.number), "id_cliente": str(one.number + _CUSTOMER), "contrato": "Fibra", "status": "A",
        "status_internet": "A" if reduced else one.standing, "status_velocidade": "R" if reduced else "N",
        "bloqueio_automatico": "S", "data_ativacao": "2026-01-01", "id_filial": "1", "nao_bloquear_ate": "0000-00-00",
    }  # fmt: skip


def _login(one: Subscriber) -> _Row:
    return {
        "id": str(one.number + 5000), "id_contrato": str(one.number), "id_cliente": str(one.number + _CUSTOMER),
        "login": one.login, "senha": "segredo", "online": "S", "ativo": "S", "id_grupo": "1",
    }  # fmt: skip


def _dotted(document: str) -> str:
    """As people write a CPF."""
    if len(document) != 11:
        return document
    return f"{document[:3]}.{document[3:6]}.{document[6:9]}-{document[9:]}"


def _error(message: str) -> Response:
    return Response(json.dumps({"type": "error", "message": message}), media_type="text/html")
