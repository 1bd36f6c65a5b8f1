"""Following another billing system over REST: sources, what one that pushes says, differences, switching."""

from __future__ import annotations

from typing import Any

import pytest
from api_rows import make_service
from fastapi.testclient import TestClient
from sqlalchemy import select

from core import topics
from core.database import Database
from core.models import OutboxItem
from core.models.system import AuditEntry, Role

API = "/api/v1"
IXC = {
    "kind": "ixc", "name": "matriz", "settings": {"base_url": "http://127.0.0.1:1"},
    "credentials": {"token": "17:very-secret"},
}  # fmt: skip


@pytest.fixture
def pushing(client: TestClient) -> dict[str, Any]:
    """A source that pushes, with the contract of a service `ana` and what it calls that."""
    service = make_service(client)
    source = client.post(f"{API}/follow-sources", json={"kind": "push", "name": "nosso ERP"}).json()
    return {"path": f"{API}/follow-sources/{source['id']}", "contract": service["contract_id"], "id": source["id"]}


def tell(client: TestClient, pushing: dict[str, Any], **values: Any) -> Any:
    said = {"key": "A-1", "standing": None, "logins": ["ana"]} | values
    return client.put(f"{pushing['path']}/standings", json={"subscribers": [said]})


def go_live(client: TestClient, pushing: dict[str, Any]) -> None:
    assert client.patch(pushing["path"], json={"mode": "live"}).status_code == 200


def test_a_source_is_made_dry_and_its_credentials_never_come_out(client: TestClient, database: Database) -> None:
    made = client.post(f"{API}/follow-sources", json=IXC)
    assert (made.status_code, made.json()["mode"], made.json()["every_s"]) == (201, "dry", 30)
    path = f"{API}/follow-sources/{made.json()['id']}"
    changed = client.patch(path, json={"every_s": 60, "calendar": "erp", "credentials": {"token": "18:other-secret"}})
    assert (changed.json()["every_s"], changed.json()["calendar"]) == (60, "erp")
    live = client.patch(path, json={"mode": "live"})
    assert (live.status_code, live.json()["field"]) == (409, "mode")
    for answer in (made, changed, client.get(path), client.get(f"{API}/follow-sources")):
        assert "secret" not in answer.text
    with database.transaction() as session:
        assert "secret" not in repr([entry.changes for entry in session.scalars(select(AuditEntry))])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "fax"}, "kind"),
        ({"settings": {"base_url": "ftp://x"}}, "settings.base_url"),
        ({"settings": {"base_url": "http://x", "colour": "red"}}, "settings.colour"),
        ({"credentials": {}}, "credentials.token"),
        ({"credentials": {"token": "1:x", "more": "x"}}, "credentials.more"),
        ({"every_s": 4}, "every_s"),
        ({"kind": "push"}, "settings"),
    ],
)
def test_a_source_that_could_read_nothing_is_refused(client: TestClient, body: dict[str, Any], field: str) -> None:
    refused = client.post(f"{API}/follow-sources", json=IXC | body)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert "very-secret" not in refused.text


def test_who_reads_what_is_an_administrators_to_say_and_what_comes_of_it_finances(
    client: TestClient, client_for: Any, pushing: dict[str, Any]
) -> None:
    finance, support = client_for(Role.FINANCE), client_for(Role.SUPPORT)
    assert finance.post(f"{API}/follow-sources", json=IXC).status_code == 403
    assert finance.get(pushing["path"]).status_code == 200
    assert tell(finance, pushing).status_code == 200
    assert tell(support, pushing).status_code == 403
    assert support.get(f"{pushing['path']}/differences").status_code == 200


def test_what_is_pushed_is_kept_once_and_shown_beside_what_is_here(client: TestClient, pushing: dict[str, Any]) -> None:
    assert tell(client, pushing, standing="walled_garden", reason="2 faturas", by_hand=True).json() == {"changed": 1}
    assert tell(client, pushing, standing="walled_garden", reason="2 faturas", by_hand=True).json() == {"changed": 0}
    assert tell(client, pushing, key="B-9", logins=[], name="Bia").json() == {"changed": 1}
    shown = client.get(f"{pushing['path']}/differences").json()
    assert {kind: count for kind, count in shown["counts"].items() if count} == {"restrict": 1, "not_here": 1}
    first = shown["items"][0]
    assert (first["key"], first["contract_ids"], first["follows"]) == ("A-1", [pushing["contract"]], False)
    assert first["reason_pt"] == "nosso ERP diz: 2 faturas"
    (only,) = client.get(f"{pushing['path']}/differences?kind=not_here&limit=1").json()["items"]
    assert (only["key"], only["customer"]) == ("B-9", "Bia")
    page = client.get(f"{pushing['path']}/differences?limit=1").json()
    rest = client.get(f"{pushing['path']}/differences?limit=1&cursor={page['next_cursor']}").json()
    assert (rest["items"][0]["key"], rest["next_cursor"]) == ("B-9", None)


def test_two_words_of_one_subscriber_in_one_push_are_refused_whole(client: TestClient, pushing: dict[str, Any]) -> None:
    both = [{"key": "A-1", "standing": "block", "logins": ["ana"]}, {"key": "A-1", "standing": None, "logins": ["ana"]}]
    refused = client.put(f"{pushing['path']}/standings", json={"subscribers": both})
    assert (refused.status_code, refused.json()["field"]) == (422, "subscribers")
    assert client.get(f"{pushing['path']}/differences").json()["counts"]["restrict"] == 0


def test_a_contract_is_put_under_its_word_and_back_each_seen_before(
    client: TestClient, pushing: dict[str, Any], database: Database
) -> None:
    path = f"{API}/contracts/{pushing['contract']}/follow"
    tell(client, pushing, standing="walled_garden", by_hand=True)
    assert client.put(path, json={"source_id": pushing["id"]}).status_code == 409  # dry
    go_live(client, pushing)
    seen = client.put(path, json={"source_id": pushing["id"], "dry_run": True}).json()
    assert ([one["action"] for one in seen["changes"]], client.get(path).json()["source_id"]) == (["place"], None)
    assert client.put(path, json={"source_id": pushing["id"]}).json()["contracts"] == 1
    follows = client.get(path).json()
    assert (follows["source_id"], follows["effect"], follows["by_hand"]) == (pushing["id"], "walled_garden", True)
    with database.transaction() as session:
        owed = session.scalars(select(OutboxItem.topic)).all()
    assert topics.BILLING_CHUNK.name in owed
    assert client.get(f"{API}/contracts/{pushing['contract']}/billing").json()["standing"] == (
        "nosso ERP says: walled_garden"
    )
    assert client.put(path, json={"source_id": None}).json()["contracts"] == 1
    assert client.get(path).json()["source_id"] is None
    assert client.get(f"{API}/contracts/999999/follow").status_code == 404


def test_all_that_are_matched_are_switched_together(client: TestClient, pushing: dict[str, Any]) -> None:
    tell(client, pushing)
    go_live(client, pushing)
    switch = f"{pushing['path']}/switch"
    assert client.post(switch, json={"follow": True}).json() == {"dry_run": True, "contracts": 1, "changes": []}
    assert client.post(switch, json={"follow": True, "dry_run": False}).json()["contracts"] == 1
    assert client.get(pushing["path"]).json()["contracts_following"] == 1
    assert client.post(switch, json={"follow": True, "dry_run": False}).json()["contracts"] == 0
    assert client.post(switch, json={"follow": False, "dry_run": False}).json()["contracts"] == 1
    assert client.get(pushing["path"]).json()["contracts_following"] == 0
    unknown = client.post(switch, json={"follow": True, "dry_run": False, "contract_ids": ["999999"]})
    assert unknown.status_code == 404


def test_a_person_says_which_contract_an_ambiguous_subscriber_is(client: TestClient, pushing: dict[str, Any]) -> None:
    tell(client, pushing)
    tell(client, pushing, key="A-2")
    counts = client.get(f"{pushing['path']}/differences").json()["counts"]
    assert (counts["ambiguous"], counts["not_here"]) == (1, 0)  # A-1 has the contract already
    matches = f"{pushing['path']}/matches"
    taken = client.put(matches, json={"key": "A-2", "contract_id": pushing["contract"]})
    assert (taken.status_code, "is subscriber A-1 there" in taken.json()["detail"]) == (409, True)
    assert client.put(matches, json={"key": "A-1", "contract_id": None}).json()["contract_id"] is None
    said = client.put(matches, json={"key": "A-2", "contract_id": pushing["contract"]}).json()
    assert said["contract_id"] == pushing["contract"]
    assert said["matched_by"].startswith("token:")
    assert client.put(matches, json={"key": "nobody", "contract_id": None}).status_code == 404
    assert client.put(matches, json={"key": "A-1", "contract_id": "999999"}).json()["field"] == "contract_id"
    go_live(client, pushing)
    client.put(f"{API}/contracts/{pushing['contract']}/follow", json={"source_id": pushing["id"]})
    assert client.put(matches, json={"key": "A-2", "contract_id": None}).status_code == 409  # it follows


def test_a_reading_can_be_asked_for_and_not_of_one_that_pushes(
    client: TestClient, pushing: dict[str, Any], database: Database
) -> None:
    source = client.post(f"{API}/follow-sources", json=IXC).json()
    assert client.post(f"{API}/follow-sources/{source['id']}/read").status_code == 202
    with database.transaction() as session:
        assert session.scalars(select(OutboxItem.topic)).all() == [topics.FOLLOW_READ.name]
    assert client.post(f"{pushing['path']}/read").status_code == 409
    told = client.put(
        f"{API}/follow-sources/{source['id']}/standings", json={"subscribers": [{"key": "1", "standing": None}]}
    )
    assert told.status_code == 409
