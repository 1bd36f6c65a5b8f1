"""Home servers, modes and differences over REST."""

from __future__ import annotations

from typing import Any

import pytest
from factories import make_service
from fastapi.testclient import TestClient

from aaa.feed_source import FeedSource
from aaa.takeover import report
from aaa.takeover.compare import Comparison, Difference
from aaa.takeover.sink import forget_comparisons, store_comparisons
from core.database import Database, libpq_url
from core.keyring import Keyring

HOME = {"name": "old", "address": "192.0.2.9", "secret": "very-secret"}
NAS = {"name": "bras", "address": "192.0.2.1", "secret": "s", "vendor": "mikrotik"}


def connect(url: str) -> Any:
    import psycopg

    return psycopg.connect(libpq_url(url), autocommit=True)


def test_a_nas_goes_from_mode_to_mode_and_the_feed_tells_it(
    client: TestClient, database_url: str, keyring: Keyring
) -> None:
    home = client.post("/api/v1/home-servers", json=HOME).json()
    nas = client.post("/api/v1/nas", json=NAS).json()
    assert (nas["mode"], home["auth_port"]) == ("serve", 1812)
    assert "very-secret" not in str(home)
    with connect(database_url) as connection:
        source = FeedSource(connection, keyring)
        for mode in ("shadow", "proxy", "serve"):
            changed = client.patch(f"/api/v1/nas/{nas['id']}", json={"mode": mode, "home_server_id": home["id"]})
            assert changed.json()["mode"] == mode
            (row,) = source._nas_rows()
            assert row.home is not None
            assert (row.mode, row.home.address, row.home.secret) == (mode, "192.0.2.9", b"very-secret")
        revision = source.newest_revision()
        client.patch(f"/api/v1/home-servers/{home['id']}", json={"response_window_ms": 500})
        assert source.newest_revision() == revision + 1
        (row,) = source._nas_rows()
        assert row.home is not None
        assert row.home.response_window_s == 0.5


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("nas", NAS | {"mode": "shadow"}, "home_server_id"),
        ("nas", NAS | {"mode": "proxy", "home_server_id": "99"}, "home_server_id"),
        ("nas", NAS | {"mode": "both"}, "mode"),
        ("home-servers", HOME | {"address": "old.example"}, "address"),
        ("home-servers", HOME | {"address": "0.0.0.0"}, "address"),
        ("home-servers", HOME | {"response_window_ms": 5}, "response_window_ms"),
    ],
)
def test_bad_input_names_its_field(client: TestClient, path: str, body: dict[str, Any], field: str) -> None:
    answer = client.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_home_server_that_a_nas_names_stays(client: TestClient) -> None:
    home = client.post("/api/v1/home-servers", json=HOME).json()
    nas = client.post("/api/v1/nas", json=NAS | {"home_server_id": home["id"]}).json()
    assert client.delete(f"/api/v1/home-servers/{home['id']}").status_code == 409
    assert client.patch(f"/api/v1/nas/{nas['id']}", json={"mode": "shadow"}).json()["mode"] == "shadow"
    assert client.patch(f"/api/v1/nas/{nas['id']}", json={"home_server_id": None}).json()["field"] == "home_server_id"
    client.patch(f"/api/v1/nas/{nas['id']}", json={"mode": "serve", "home_server_id": None})
    assert client.delete(f"/api/v1/home-servers/{home['id']}").status_code == 204


def test_a_logins_last_comparison_is_what_is_listed(client: TestClient, database: Database, database_url: str) -> None:
    nas = client.post("/api/v1/nas", json=NAS).json()
    nas_id = int(nas["id"])
    rate = Difference("different", "Mikrotik-Rate-Limit", "1M/2M", "1M/3M")
    harmless = Difference("extra", "Service-Type", "Framed-User", "", True)
    refused = Difference("we_refuse", "", "wrong_password", "accepted")
    with connect(database_url) as connection:
        for ana, bia in (([rate, harmless], [refused]), ([rate], [refused]), ([rate], [])):
            store_comparisons(connection, [Comparison(nas_id, "ana", ana), Comparison(nas_id, "bia", bia)])
    listed = client.get("/api/v1/takeover/differences", params={"nas_id": nas["id"], "language": "en"}).json()["items"]
    assert [(one["login"], one["text"], one["count"]) for one in listed] == [
        ("ana", "Mikrotik-Rate-Limit: the old server sends 1M/3M, we send 1M/2M.", 3)
    ]
    (progress,) = client.get("/api/v1/takeover/progress").json()["items"]
    assert (progress["nas"], progress["logins"], progress["equal"], progress["differing"]) == ("bras", 2, 1, 1)
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE takeover_login SET last_at = now() - interval '31 days'")
        forget_comparisons(session)
    assert client.get("/api/v1/takeover/progress").json()["items"] == []


def test_logins_that_differ_in_the_same_are_one_line_of_the_report(
    client: TestClient, database: Database, database_url: str, keyring: Keyring
) -> None:
    nas_id = int(client.post("/api/v1/nas", json=NAS).json()["id"])
    idle = Difference("missing", "Idle-Timeout", "", "600")
    unknown = Difference("we_refuse", "", "unknown_login", "accepted")
    with database.transaction() as session:
        make_service(session, keyring, login="maria")
    with connect(database_url) as connection:
        told = [Comparison(nas_id, f"user{number}", [idle]) for number in range(30)]
        store_comparisons(connection, [*told, Comparison(nas_id, "MARIA@isp", [unknown])])
    with database.transaction() as session:
        many, one = report.groups(session, "en")
    assert (many.logins, len(many.examples), many.near) == (30, report.EXAMPLES, {})
    assert many.text == "The old server sends Idle-Timeout = 600; we do not."
    assert (one.logins, one.examples, one.near) == (1, ["MARIA@isp"], {"MARIA@isp": "maria"})
