"""A simulated SGP (TSMX): `POST /api/ura/clientes/`, its customers with their contracts, a hundred a page at most.

It refuses what the real one refuses: a wrong token, or the right one with another app (capitals count), with 403; what
is not POSTed with 405. See `follow.sgp` for the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from billing_hooks.simulators.erp.base import Erp, Simulation, Subscriber, made_up, simulated_routes
from billing_hooks.simulators.web import Refused, api

STANDINGS: Final = ("Ativo", "Suspenso", "Ativo V. Reduzida", "Inativo", "Cancelado", "Inviabilidade Técnica", "Novo")
PAGE_MAX: Final = 100


def simulation(credentials: Mapping[str, str], subscribers: list[Subscriber]) -> Simulation:
    shown = {"token": made_up(credentials, "token"), "app": credentials.get("app") or "provedor"}
    erp = Erp(STANDINGS, {one.login: one for one in subscribers})
    return Simulation(app_of(erp, shown), erp, shown)


def app_of(erp: Erp, credentials: Mapping[str, str]) -> Starlette:
    handler = api(erp, lambda _: None, partial(_answer, erp, credentials))
    return Starlette(routes=[Route("/api/ura/clientes/", handler, methods=["POST"]), *simulated_routes(erp)])


def _answer(erp: Erp, credentials: Mapping[str, str], _: Request, body: Any) -> dict[str, Any]:  # noqa: ANN401
    """A form or JSON: the credentials stand in it."""
    asked = {name: values[0] for name, values in parse_qs(body).items()} if isinstance(body, str) else body
    if any(asked.get(name) != value for name, value in credentials.items()):
        raise Refused(403, {"detail": "Credenciais de autenticação incorretas."})
    wanted = [one for one in erp.listed() if asked.get("login") in {None, one.login}]
    offset, limit = int(asked.get("offset", 0)), min(int(asked.get("limit", PAGE_MAX)), PAGE_MAX)
    page = wanted[offset : offset + limit]
    paging = {"offset": offset, "limit": limit, "parcial": len(page), "total": len(wanted)}
    return {"paginacao": paging, "clientes": [_customer(one) for one in page]}


def _customer(one: Subscriber) -> dict[str, Any]:
    service = {"id": one.number, "login": one.login, "senha": "segredo", "plano": {"id": 1, "descricao": "Fibra"}}
    contract = {
        "id": one.number, "pop_id": 1, "status": f" {one.standing}", "motivo_status": one.reason, "vencimento": 10,
        "servicos": [service],
    }  # fmt: skip
    return {
        "id": one.number + 1000, "nome": one.name, "cpfcnpj": one.document, "tipo": "F", "contatos": {},
        "contratos": [contract], "titulos": [],
    }  # fmt: skip
