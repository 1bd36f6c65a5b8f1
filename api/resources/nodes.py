"""RADIUS nodes: how far each is, and the word of an operator that one is gone for good."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from aaa.pools import nodes
from api.context import Db, Given, Who
from api.schemas import Output, PageOf

node_routes = APIRouter(prefix="/radius-nodes", tags=["radius-nodes"])


class RadiusNodeOut(Output):
    """Addresses of our pools change hands once every node that is not forgotten knows, and has shipped as far."""

    name: str
    revision: int
    seen_at: datetime
    #: What it acknowledged before is in the database.
    stored_until: datetime | None
    forgotten_at: datetime | None


@node_routes.get("")
def list_radius_nodes(session: Db, _: Who) -> PageOf[RadiusNodeOut]:
    rows = nodes.list_nodes(session)
    return PageOf(items=[RadiusNodeOut(**row._asdict()) for row in rows], next_cursor=None)


@node_routes.delete("/{name}", status_code=204)
def forget_radius_node(name: str, session: Db, caller: Who, given: Given) -> None:
    """Its machine is off and will not come back. A node that is only cut off must not be forgotten."""
    nodes.forget(session, name, caller.actor, given.clock())
