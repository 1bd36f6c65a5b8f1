"""Boxes that let their subscribers in by themselves: without RADIUS, or while it is away."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from api.context import Db, IfMatch, Who, check_version, parse_id, tagged
from api.schemas import Input, Number, Output
from core import network
from provisioning.local import store
from provisioning.local.models import LocalAccess, LocalMode

local_routes = APIRouter(prefix="/nas", tags=["provisioning"])


class LocalIn(Input):
    """`serve`: by PPP secrets alone. `standby`: they lie ready, and the box uses them while none of its RADIUS servers
    answers its pings, for which it looks every `watch_seconds`."""

    mode: LocalMode
    watch_seconds: Annotated[int, Field(ge=10, le=3600), Number] = 30


class LocalOut(Output):
    """`services`: so many are kept there. `in_use`: the box lets them in by its own rows now. `to_do`: what there is to
    do before anybody has approved it, by menu. `problems`: what cannot be had there. `error`: why the box could not be
    brought in step. `held_back`: so many secrets would go at once, and wait for `let-go`."""

    nas_id: str
    mode: LocalMode
    watch_seconds: int
    approved_by: str | None
    looked_at: datetime | None
    services: int
    in_use: bool
    to_do: dict[str, int]
    problems: list[str]
    error: str | None
    held_back: int | None
    version: int


@local_routes.get("/{nas_id}/local")
def get_local(nas_id: str, session: Db, _: Who, response: Response) -> LocalOut:
    return tagged(response, _view(store.get_local(session, parse_id(nas_id, "NAS"))))


@local_routes.put("/{nas_id}/local")
def set_local(
    nas_id: str, body: LocalIn, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> LocalOut:
    """The box is read, and what there is to do is shown within seconds; nothing is changed before it is approved."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    if if_match is not None:
        check_version(store.get_local(session, nas.id, lock=True).version, if_match)
    return tagged(response, _view(store.set_local(session, nas, body.mode, body.watch_seconds, caller.actor)))


@local_routes.post("/{nas_id}/local/approve")
def approve_local(nas_id: str, session: Db, caller: Who) -> LocalOut:
    """From now on the box follows every change of a service within a second."""
    return _view(store.approve(session, _locked(session, nas_id), caller.actor))


@local_routes.post("/{nas_id}/local/look", status_code=202)
def look_now(nas_id: str, session: Db, _: Who) -> LocalOut:
    """All of the box is looked at, as it is every quarter of an hour, and brought in step."""
    kept = _locked(session, nas_id)
    store.look_now(session, kept)
    return _view(kept)


@local_routes.post("/{nas_id}/local/let-go", status_code=202)
def let_go(nas_id: str, session: Db, caller: Who) -> LocalOut:
    """The secrets that are held back may go."""
    return _view(store.let_go(session, _locked(session, nas_id), caller.actor))


@local_routes.delete("/{nas_id}/local", status_code=202)
def leave(nas_id: str, session: Db, caller: Who) -> None:
    """What the box has of it is taken away; sessions that are up go on until they end."""
    store.leave(session, _locked(session, nas_id), caller.actor)


def _locked(session: Db, nas_id: str) -> LocalAccess:
    return store.get_local(session, parse_id(nas_id, "NAS"), lock=True)


def _view(kept: LocalAccess) -> LocalOut:
    return LocalOut(
        nas_id=str(kept.nas_id), mode=kept.mode, watch_seconds=kept.watch_seconds, approved_by=kept.approved_by,
        looked_at=kept.looked_at, services=kept.services, in_use=kept.in_use, to_do=kept.to_do, problems=kept.problems,
        error=kept.error, held_back=kept.held_back, version=kept.version,
    )  # fmt: skip
