"""What librouteros makes of the API for whole configurations runs at the simulated router as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import librouteros
import pytest
from librouteros.exceptions import ConnectionClosed, TrapError
from routeros_boxes import PASSWORD, USER, Box, Clock, box, do, rows

GONE = (ConnectionClosed, OSError)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(clock: Clock) -> Iterator[Box]:
    with box(clock=clock) as found:
        do(found.router, "/ppp/secret/add", name="ana", password="s3nha", comment="João")
        yield found


def config(found: Box) -> Any:
    api = librouteros.connect("127.0.0.1", USER, PASSWORD, port=found.server.port, encoding="utf-8", timeout=5)
    return api.config()


def names(found: Box) -> list[str]:
    return [row["name"] for row in rows(found.router, "/ppp/secret")]


def test_an_export_is_read_and_compared(router: Box) -> None:
    found = config(router)
    text = found.export(show_sensitive=True)
    assert 'add comment="Jo\\C3\\A3o" name=ana password=s3nha\n' in text
    assert "password" not in found.export()
    assert found.export(path="ip/pool").count("\n") == 3
    assert found.compare(text, show_sensitive=True) == ""
    assert "+add name=eva" in found.compare(f"{found.export()}add name=eva\n")
    assert rows(router.router, "/file") == []


def test_a_large_export_is_read_in_pieces(router: Box) -> None:
    for number in range(3000):
        do(router.router, "/ppp/secret/add", name=f"user{number:04d}", comment="ção")
    text = config(router).export()
    assert (len(text) > 100_000, text.count("add comment=")) == (True, 3001)


def test_a_script_is_checked_and_applied(router: Box) -> None:
    found = config(router)
    for wrong in ("/ppp secret add name=x colour=blue", "/ppp secret frob", '/ppp secret add name="'):
        with pytest.raises(TrapError, match=r"line [12]"):
            found.validate(f"{wrong}\n")
    found.validate("/ppp secret add name=eva\n")
    assert names(router) == ["ana"]
    found.apply("/ppp secret add name=eva\n")
    with pytest.raises(TrapError, match="secret with the same name already exists"):
        found.apply("/ppp secret\nadd name=rui\nadd name=eva\nadd name=zoe\n")
    assert names(router) == ["ana", "eva", "rui"]


def test_its_dead_mans_switch_reboots_into_what_was_before(router: Box, clock: Clock) -> None:
    found = config(router)
    found.arm_rollback(60)
    found.apply("/ppp secret remove [find]\n")
    assert (found.rollback_pending(), names(router)) == (True, [])
    clock.now += 60
    router.router.tick()
    with pytest.raises(GONE):
        found.rollback_pending()
    assert (config(router).rollback_pending(), names(router)) == (False, ["ana"])


def test_its_switch_is_taken_back(router: Box, clock: Clock) -> None:
    found = config(router)
    found.arm_rollback(60)
    found.apply("/ppp secret add name=eva\n")
    found.cancel_rollback()
    clock.now += 600
    router.router.tick()
    assert (names(router), found.backup_exists("librouteros-rollback")) == (["ana", "eva"], False)


def test_a_router_is_replaced(router: Box) -> None:
    do(router.router, "/system/identity/set", name="old")
    with pytest.raises(GONE):
        config(router).replace("/ppp secret add name=eva\n/system identity set name=new\n")
    assert (names(router), rows(router.router, "/system/identity")[0]["name"]) == (["eva"], "new")
    assert config(router).export(path="ppp/secret").endswith("/ppp secret\nadd name=eva\n")  # users are kept
