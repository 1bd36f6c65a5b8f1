"""Home servers, and in what their answers and ours differ."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import select

from aaa.models import TakeoverDifference
from aaa.takeover import report
from api import schemas
from api.context import (
    Db,
    Filter,
    Given,
    IfMatch,
    Paged,
    RefFilter,
    Who,
    check_version,
    list_page,
    matching,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from core import home_servers
from core.language import Language
from core.models.network import HomeServer, Nas

home_server_routes = APIRouter(prefix="/home-servers", tags=["home-servers"])
takeover_routes = APIRouter(prefix="/takeover", tags=["takeover"])
_Port = Annotated[int, Field(ge=1, le=65535), schemas.Number]
_Window = Annotated[int, Field(ge=100, le=60_000), schemas.Number]


class HomeServerIn(schemas.Input):
    name: schemas.Name
    address: schemas.Text
    secret: schemas.Secret
    auth_port: _Port | None = None
    acct_port: _Port | None = None
    response_window_ms: _Window | None = None
    status_server: schemas.Flag | None = None
    require_message_authenticator: schemas.Flag | None = None


class HomeServerPatch(schemas.Input):
    name: schemas.Name = ""
    address: schemas.Text = ""
    secret: schemas.Secret = ""
    auth_port: _Port = 1812
    acct_port: _Port = 1813
    response_window_ms: _Window = 4000
    status_server: schemas.Flag = True
    require_message_authenticator: schemas.Flag = False


class HomeServerOut(schemas.Output):
    id: str
    name: str
    address: str
    auth_port: int
    acct_port: int
    response_window_ms: int
    status_server: bool
    require_message_authenticator: bool
    version: int


class DifferenceOut(schemas.Output):
    id: str
    nas_id: str
    nas: str
    login: str
    kind: str
    attribute: str
    ours: str
    theirs: str
    harmless: bool
    count: int
    first_at: datetime
    last_at: datetime
    text: str


class ProgressOut(schemas.Output):
    nas_id: str
    nas: str
    mode: str
    logins: int
    equal: int
    differing: int
    last_at: datetime


class ProgressList(schemas.Output):
    items: list[ProgressOut]


@home_server_routes.get("")
def list_home_servers(session: Db, _: Who, paged: Paged, name: Filter = None) -> schemas.PageOf[HomeServerOut]:
    query = matching(select(HomeServer), (HomeServer.name, name))
    rows, cursor = list_page(session, query, HomeServer.id, paged)
    return schemas.PageOf(items=[_view(row) for row in rows], next_cursor=cursor)


@home_server_routes.post("", status_code=201, response_model=HomeServerOut)
def create_home_server(body: HomeServerIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    values = body.model_dump(exclude_none=True)
    return once.created(_view(home_servers.create_home_server(session, given.keyring, values, caller.actor)))


@home_server_routes.get("/{home_server_id}")
def get_home_server(home_server_id: str, session: Db, _: Who, response: Response) -> HomeServerOut:
    return tagged(response, _view(_home_server(session, home_server_id)))


@home_server_routes.patch("/{home_server_id}")
def update_home_server(
    home_server_id: str, body: HomeServerPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> HomeServerOut:  # fmt: skip
    home = _home_server(session, home_server_id)
    check_version(home.version, if_match)
    values = body.model_dump(exclude_unset=True)
    home_servers.update_home_server(session, given.keyring, home, values, caller.actor)
    return tagged(response, _view(home))


@home_server_routes.delete("/{home_server_id}", status_code=204)
def delete_home_server(home_server_id: str, session: Db, caller: Who) -> None:
    """Refused while a NAS names it."""
    home_servers.delete_home_server(session, _home_server(session, home_server_id), caller.actor)


@takeover_routes.get("/differences")
def list_differences(
    session: Db, _: Who, paged: Paged, nas_id: RefFilter = None, login: Filter = None, kind: Filter = None,
    harmless: bool | None = None, language: Language = "pt_BR",
) -> schemas.PageOf[DifferenceOut]:  # fmt: skip
    """Of each login's last comparison in shadow mode, in words."""
    query = matching(
        select(TakeoverDifference),
        (TakeoverDifference.nas_id, reference(nas_id, "nas_id")),
        (TakeoverDifference.login, login),
        (TakeoverDifference.kind, kind),
        (TakeoverDifference.harmless, harmless),
    )
    rows, cursor = list_page(session, query, TakeoverDifference.id, paged)
    named = select(Nas.id, Nas.name).where(Nas.id.in_({row.nas_id for row in rows}))
    names = {row.id: row.name for row in session.execute(named)}
    lines = [report.in_words((row, names.get(row.nas_id, "")), language) for row in rows]
    return schemas.PageOf(items=[DifferenceOut(**line.as_json()) for line in lines], next_cursor=cursor)


@takeover_routes.get("/progress")
def show_progress(session: Db, _: Who, nas_id: RefFilter = None) -> ProgressList:
    """By NAS: how many logins were compared, and how many of them came out equal."""
    found = report.progress(session, reference(nas_id, "nas_id"))
    return ProgressList(items=[ProgressOut(**one.as_json()) for one in found])


def _home_server(session: Db, home_server_id: str) -> HomeServer:
    return home_servers.get_home_server(session, parse_id(home_server_id, "home server"))


def _view(home: HomeServer) -> HomeServerOut:
    return HomeServerOut(
        id=str(home.id), name=home.name, address=home.address, auth_port=home.auth_port, acct_port=home.acct_port,
        response_window_ms=home.response_window_ms, status_server=home.status_server,
        require_message_authenticator=home.require_message_authenticator, version=home.version,
    )  # fmt: skip
