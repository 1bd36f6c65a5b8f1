"""NAS entries and the enforcement switch."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from api import schemas
from api.context import (
    Db,
    Filter,
    Given,
    IfMatch,
    Paged,
    Who,
    check_version,
    list_page,
    matching,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.resources.views import nas_view
from core import network, switches
from core.addresses import check_nas_address
from core.models.network import Nas, Vendor

nas_routes = APIRouter(prefix="/nas", tags=["nas"])
enforcement_routes = APIRouter(prefix="/enforcement", tags=["enforcement"])


@nas_routes.get("")
def list_nas(
    session: Db, _: Who, paged: Paged, name: Filter = None, address: Filter = None, vendor: Vendor | None = None
) -> schemas.PageOf[schemas.NasOut]:
    query = matching(
        select(Nas),
        (Nas.name, name),
        (Nas.address, None if address is None else check_nas_address(address)),
        (Nas.vendor, vendor),
    )
    rows, cursor = list_page(session, query, Nas.id, paged)
    return schemas.PageOf(items=[nas_view(row) for row in rows], next_cursor=cursor)


@nas_routes.post("", status_code=201, response_model=schemas.NasOut)
def create_nas(body: schemas.NasIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    values = {"coa_port": given.coa_port, **_nas_values(body.model_dump(exclude_none=True))}
    return once.created(nas_view(network.create_nas(session, given.keyring, values, caller.actor)))


@nas_routes.get("/{nas_id}")
def get_nas(nas_id: str, session: Db, _: Who, response: Response) -> schemas.NasOut:
    return tagged(response, nas_view(network.get_nas(session, parse_id(nas_id, "nas"))))


@nas_routes.patch("/{nas_id}")
def update_nas(
    nas_id: str, body: schemas.NasPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> schemas.NasOut:  # fmt: skip
    nas = network.get_nas(session, parse_id(nas_id, "nas"))
    check_version(nas.version, if_match)
    values = _nas_values(body.model_dump(exclude_unset=True))
    return tagged(response, nas_view(network.update_nas(session, given.keyring, nas, values, caller.actor)))


@enforcement_routes.get("")
def get_enforcement(session: Db, _: Who) -> schemas.Frozen:
    return schemas.Frozen(frozen=switches.enforcement_frozen(session))


@enforcement_routes.put("")
def set_enforcement(body: schemas.Frozen, session: Db, caller: Who) -> schemas.Frozen:
    switches.freeze_enforcement(session, body.frozen, caller.actor)
    return body


def _nas_values(values: dict[str, Any]) -> dict[str, Any]:
    for field in ("emergency_plan_id", "home_server_id"):
        if field in values:
            values[field] = reference(values[field], field)
    return values
