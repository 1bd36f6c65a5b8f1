"""Webhooks over HTTP: authentic ones stored once and before the answer, all others refused."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from billing_factories import signed
from fastapi.testclient import TestClient
from sqlalchemy import event, func, literal_column, select, text
from sqlalchemy.exc import DataError
from standardwebhooks import Webhook

from api.hooks import Receiver, TooManyWaiting
from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import Delivery, Message, WebhookMalformed, WebhookNotAuthentic
from billing_hooks.gateways.standard import StandardWebhooks
from billing_hooks.models import InboxEntry
from core.database import Database
from core.keyring import Keyring
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


@pytest.fixture
def receiver(hook: TestClient, database: Database, keyring: Keyring) -> Receiver:
    return Receiver(database, keyring, lambda: datetime.now(UTC))


def together(receiver: Receiver, database: Database, *deliveries: Delivery) -> list[object]:
    """What each of these is answered, who come while the one before them is being stored."""

    async def receive_all() -> list[object]:
        first = asyncio.ensure_future(receiver.receive("standard", delivery("first")))
        with database.transaction() as session:
            session.execute(text("LOCK TABLE inbox_entry IN ACCESS EXCLUSIVE MODE"))
            await asyncio.sleep(0)
            others = [asyncio.ensure_future(receiver.receive("standard", one)) for one in deliveries]
            await asyncio.sleep(0)
        answers = await asyncio.gather(first, *others, return_exceptions=True)
        return list(answers[1:])

    return asyncio.run(receive_all())


def delivery(message: str, secret: str = SECRET, body: bytes = BODY) -> Delivery:
    return Delivery(signed(body, event_id=message, secret=secret), body)


def test_those_that_come_together_are_stored_together_and_each_has_its_own_answer(
    receiver: Receiver, database: Database
) -> None:
    answers = together(
        receiver, database, delivery("a"), delivery("b", secret=OTHER), delivery("c"), delivery("a"),
        delivery("d", body=b"[]"),
    )  # fmt: skip
    assert [type(one) for one in answers] == [type(None), WebhookNotAuthentic, type(None), type(None), WebhookMalformed]
    with database.transaction() as session:
        stored = dict(session.execute(select(InboxEntry.event_id, literal_column("inbox_entry.xmin::text"))).all())
        assert set(stored) == {"first", "a", "c"}
        assert stored["a"] == stored["c"]  # by one transaction
        owed = session.scalars(select(OutboxItem.payload).where(OutboxItem.topic == "billing.inbox_stored")).all()
        assert len(owed) == 3


class Careless(StandardWebhooks):
    """An adapter with a defect: it lets through what no column can hold, or fails in a way that nobody foresaw."""

    def authenticate(self, secret: str, delivery: Delivery, now: datetime) -> list[Message]:  # noqa: ARG002
        event_id = delivery.headers["webhook-id"]
        if event_id == "defect":
            raise ZeroDivisionError
        return [Message("no\0text" if event_id == "nul" else event_id, delivery.body)]


def test_one_that_cannot_be_stored_is_refused_alone(
    receiver: Receiver, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ADAPTERS, "standard", Careless())  # type: ignore[arg-type]
    answers = together(receiver, database, delivery("a"), delivery("nul"), delivery("defect"), delivery("c"))
    assert [type(one) for one in answers] == [type(None), DataError, ZeroDivisionError, type(None)]
    with database.transaction() as session:
        assert set(session.scalars(select(InboxEntry.event_id))) == {"first", "a", "c"}


def test_more_than_may_wait_are_told_to_come_again(hook: TestClient, database: Database, keyring: Keyring) -> None:
    receiver = Receiver(database, keyring, lambda: datetime.now(UTC), waiting_max=3)
    answers = together(receiver, database, *(delivery(str(number)) for number in range(6)))
    assert TooManyWaiting in {type(one) for one in answers}
    with database.transaction() as session:
        stored = set(session.scalars(select(InboxEntry.event_id)))
    assert stored == {"first"} | {str(number) for number, one in enumerate(answers) if one is None}
