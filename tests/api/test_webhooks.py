"""Webhooks over HTTP: authentic ones stored once and before the answer, all others refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, func, select
from standardwebhooks import Webhook

from billing_hooks.models import InboxEntry
from core.database import Database
from core.models.system import OutboxItem

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
OTHER = "whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Ro"


@pytest.fixture
def hook(client: TestClient) -> TestClient:
    body = {"gateway": "standard", "name": "erp", "secret": SECRET}
    assert client.post("/api/v1/gateway-accounts", json=body).status_code == 201
    return client


def send(
    hook: TestClient, body: bytes, *, secret: str = SECRET, message: str = "msg_1", age: int = 0, **change: str
) -> Any:
    at = datetime.now(UTC) - timedelta(seconds=age)
    headers = {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
    }
    return hook.post("/hooks/standard", content=body, headers=headers | change)


BODY = json.dumps({"type": "payment.received", "data": {"payment_id": "p", "amount_cents": 1}}).encode()


def test_an_authentic_event_is_stored_once_with_its_work(hook: TestClient, database: Database) -> None:
    for _ in range(3):
        assert send(hook, BODY).status_code == 200
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(InboxEntry)) == 1
        owed = session.scalars(select(OutboxItem.topic)).all()
        assert owed.count("billing.inbox_stored") == 1


def test_it_is_committed_before_the_sender_hears_of_success(hook: TestClient, database: Database) -> None:
    moments: list[str] = []
    app: Any = hook.app

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def tell(message: Any) -> None:
            if message["type"] == "http.response.start":
                moments.append("answer")
            await send(message)

        await app(scope, receive, tell)

    event.listen(database.engine, "commit", lambda _: moments.append("commit"))
    with TestClient(watched, headers=hook.headers) as client:
        assert send(client, BODY).status_code == 200
        assert moments == ["commit", "answer"]
        moments.clear()
        customer = {"name": "Ana", "kind": "person"}
        assert client.post("/api/v1/customers", json=customer).status_code == 201
        assert client.patch("/api/v1/customers/1", json={"name": "Bia"}).status_code == 200
    assert moments == ["commit", "answer"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"secret": OTHER},
        {"age": 3600},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-id": "msg_2"},
    ],
)
def test_forged_stale_and_unsigned_ones_are_refused(
    hook: TestClient, database: Database, change: dict[str, Any]
) -> None:
    assert send(hook, BODY, **change).status_code == 401
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(InboxEntry)) == 0


def test_oversized_unknown_and_meaningless_ones(hook: TestClient) -> None:
    assert send(hook, b'{"type":"x","data":"' + b"a" * 300_000 + b'"}').status_code == 413
    assert hook.post("/hooks/nobody", content=BODY).status_code == 404
    assert send(hook, b"not json", message="msg_9").status_code in {200, 422}
