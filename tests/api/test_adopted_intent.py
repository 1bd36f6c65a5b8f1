"""Rows of a router that its intent names become ours by an ordinary plan: looked at, approved, undone by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from managed_box import ManagedBox, managed_box
from routeros_boxes import do, rows
from sqlalchemy import select

from core.audit import Actor
from core.database import Database
from core.keyring import Keyring
from provedor.imports.adoption import Adoption, Busy
from provisioning.jobs.alone import alone_at
from provisioning.jobs.models import OwnedRow
from provisioning.simulators.routeros import Fault, FaultKind, Version

PERSON = Actor("test:person")
INTENT: dict[str, Any] = {
    "pools": [{"name": "clientes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"name": "base", "local_address": "100.64.0.1", "pool": "clientes"},
}


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def bras(request: Any, client: TestClient, database: Database, keyring: Keyring) -> Iterator[ManagedBox]:
    with managed_box(client, database, keyring, request.param) as found:
        do(found.box.router, "/ip/pool/add", name="clientes", ranges="100.64.0.2-100.64.3.254")
        profile = {"local-address": "100.64.0.1", "remote-address": "clientes"}
        do(found.box.router, "/ppp/profile/add", name="base", **profile)
        yield found


def _own(bras: ManagedBox, *, dry_run: bool = False) -> set[str]:
    adoption = Adoption(bras.database, bras.keyring, int(bras.nas_id))
    return {f"{menu} {key[0]}" for menu, key in adoption.own_intent(PERSON, bras.clock(), dry_run=dry_run)}


def _plain(profile: dict[str, str]) -> dict[str, str]:
    """But for our mark, and what takes entries of ours away when a session ends."""
    return {**profile, "comment": "", "on-down": ""}


def _owned(bras: ManagedBox) -> set[str]:
    with bras.database.transaction() as session:
        return {f"{row.menu} {row.key}" for row in session.scalars(select(OwnedRow))}


def test_what_the_intent_names_is_ours_after_an_approved_plan_and_nothing_else_changed(bras: ManagedBox) -> None:
    before = bras.planned(INTENT)
    assert (before["state"], len(before["problems"])) == ("in_step", 2)
    assert _own(bras, dry_run=True) == {"/ip/pool clientes", "/ppp/profile base"}
    assert _owned(bras) == set()
    _own(bras)
    untouched = {menu: rows(bras.box.router, menu) for menu in ("/ip/pool", "/ppp/profile")}
    job = bras.applied(INTENT)
    assert job["problems"] == []
    profiles = rows(bras.box.router, "/ppp/profile")
    assert [_plain(row) for row in profiles] == [_plain(row) for row in untouched["/ppp/profile"]]
    (pool,) = rows(bras.box.router, "/ip/pool")
    assert pool["comment"] == "provedor:access/clientes"
    assert {**pool, "comment": ""} == {**untouched["/ip/pool"][0], "comment": ""}
    with_comments = bras.box.router.version is not Version.V6_49
    if with_comments:
        assert job["state"] == "done"
        assert len(job["commands"]) == 2
        assert all("comment=" in command for command in job["commands"])
    assert _owned(bras) == (set() if with_comments else {"/ppp/profile base"})
    assert bras.planned(INTENT)["state"] == "in_step"
    assert _own(bras, dry_run=True) == set()


def test_a_row_that_somebody_makes_anew_is_his(bras: ManagedBox) -> None:
    bras.planned(INTENT)
    _own(bras)
    bras.applied(INTENT)
    do(bras.box.router, "/ppp/profile/remove", _id="base")
    do(bras.box.router, "/ip/pool/remove", _id="clientes")
    do(bras.box.router, "/ip/pool/add", name="clientes", ranges="10.0.0.0/24")
    assert "/ip/pool clientes: there is a row of this name that is not ours" in bras.planned(INTENT)["problems"][0]


def test_what_cannot_be_done_is_undone_and_may_be_tried_again(bras: ManagedBox) -> None:
    bras.planned(INTENT)
    _own(bras)
    untouched = rows(bras.box.router, "/ip/pool")
    bras.box.router.faults.order(Fault(FaultKind.REFUSE, "/ip/pool/set"))
    assert bras.applied(INTENT)["state"] == "undone"
    assert rows(bras.box.router, "/ip/pool") == untouched
    bras.box.router.faults.clear()
    assert bras.applied(INTENT)["state"] == "done"


def test_whoever_is_at_the_box_is_not_disturbed(bras: ManagedBox) -> None:
    bras.planned(INTENT)
    with alone_at(bras.database, int(bras.nas_id)), pytest.raises(Busy):
        _own(bras)
