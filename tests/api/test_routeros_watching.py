"""A session as its router has it now, at simulated routers of old and new releases, and over REST."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import make_nas, make_service
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, Box, box, do, rows, session

from aaa.authenticator import SharedSecret
from aaa.coa import Target
from aaa.liveness import Addressee
from core.database import Database
from core.keyring import ROUTEROS_PASSWORD, Keyring
from core.models import Session
from core.routeros import check_routeros
from provisioning.routeros.client import RouterOs
from provisioning.routeros.watching import Seen, watch
from provisioning.simulators.routeros import Version

NOW = datetime.now(UTC)
BUSY = session(1, uploaded=1_000, downloaded=25_000_000_000, upload_bps=48_000, download_bps=96_000_000)


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def found(request: Any) -> Iterator[Box]:
    with box(BUSY, version=request.param) as one:
        yield one


def _addressee(**given: Any) -> Addressee:
    plain = Addressee(
        7, Target("127.0.0.1", 3799, SharedSecret(b"s")), b"", b"", "ana", BUSY.session_id, BUSY.caller_id,
        box="bras-1", addresses=(BUSY.address,), started_at=NOW - timedelta(seconds=90),
    )  # fmt: skip
    return dataclasses.replace(plain, **given)


def _watched(found: Box, **given: Any) -> Seen | None:
    client = RouterOs(found.access())
    try:
        return watch(client, _addressee(**given), NOW)
    finally:
        client.close()


def test_uptime_traffic_and_what_limits_it(found: Box) -> None:
    do(found.router, "/queue/simple/add", name="off", target=BUSY.address, max_limit="1k/1k", disabled="yes")
    do(found.router, "/queue/simple/add", name="ana", target=f"{BUSY.address}/32", max_limit="50M/200M")
    do(found.router, "/queue/simple/add", name="behind", target=BUSY.address, max_limit="1M/1M")
    seen = _watched(found)
    assert seen is not None
    assert seen.uptime is not None
    since = datetime.now(UTC) - datetime.fromtimestamp(BUSY.started_at, UTC)
    assert timedelta(0) <= since - seen.uptime < timedelta(seconds=5)
    limit = rows(found.router, "/queue/simple")[1]["max-limit"]
    assert dataclasses.replace(seen, uptime=None) == Seen(
        BUSY.address, None, 1_000, 25_000_000_000, 48_000, 96_000_000, limit
    )


def test_one_that_is_not_there_is_not_seen(found: Box) -> None:
    assert _watched(found, login="eva", acct_session_id="81b00001", addresses=("100.64.0.9",)) is None


def test_over_rest(client: TestClient, database: Database, keyring: Keyring, found: Box) -> None:
    access = check_routeros({"user": USER, "port": found.server.port, "tls": False})
    with database.transaction() as one:
        sealed = keyring.seal(PASSWORD, ROUTEROS_PASSWORD)
        nas = make_nas(one, keyring, routeros=access, routeros_password_encrypted=sealed)
        service = make_service(one, keyring, login="ana")
        live = Session(
            nas_id=nas.id, box="bras-1", acct_session_id=BUSY.session_id, accept_id="", service_id=service.id,
            login="ana", started_at=NOW - timedelta(seconds=90), updated_at=NOW, nas_address="127.0.0.1",
            framed_ipv4=BUSY.address, calling_station_id=BUSY.caller_id,
        )  # fmt: skip
        one.add(live)
        one.flush()
        session_id = live.id
    body = client.get(f"/api/v1/sessions/{session_id}/live").json()
    assert (body["address"], body["downloaded"], body["download_bps"]) == (BUSY.address, 25_000_000_000, 96_000_000)
    found.online.end(BUSY)
    assert client.get(f"/api/v1/sessions/{session_id}/live").status_code == 404
    with database.transaction() as one:
        one.get_one(Session, session_id).stopped_at = NOW
    assert client.get(f"/api/v1/sessions/{session_id}/live").status_code == 409
