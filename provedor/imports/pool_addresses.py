"""Addresses that an import found in use and that are out of our own pools: whoever has one keeps it."""

from __future__ import annotations

from aaa.pools import adoption
from core.database import Database
from provedor.imports.accounts import Level
from provedor.imports.follow import Outcome


def adopt_leases(database: Database, outcome: Outcome) -> None:
    """Of all sessions that are known now, those of the import among them."""
    with database.transaction() as session:
        adopted = adoption.adopt(session)
        for one in adoption.conflicts(session):
            outcome.tell(Level.NOTE, "lease", one.login, _conflict(one), "let it dial anew, or give back the other")
    if adopted:
        outcome.count("lease", "adopted", adopted)


def _conflict(one: adoption.Conflict) -> str:
    other = f"{one.leased} is leased to it" if one.leased else f"that is leased to {one.holder}"
    return f"has {one.address} of the pool {one.pool} in its session, and {other}"
