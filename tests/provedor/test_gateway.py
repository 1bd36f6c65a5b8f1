"""The simulated gateway against the real application, and its patience with a receiver that fails."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise

import httpx
import pytest
from billing_factories import interpret, make_invoice
from factories import make_contract
from fastapi.testclient import TestClient
from sqlalchemy import select

from api.app import create_app
from billing_hooks import accounts
from billing_hooks.models import InboxEntry
from core.audit import Actor
from core.clock import utc_now
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring
from provedor.gateway import Delivery, Gateway, payment_received, payment_reversed
from provedor.migrate import head_revision

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


class Receiver:
    """Answers with these statuses in turn, then with 200; 0 is no answer."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[httpx.Request] = []
        self.client = httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(status, text="said")


def gateway(client: httpx.Client, pauses: list[float], *, secret: str = SECRET, tries: int = 5) -> Gateway:
    return Gateway(
        "http://testserver/hooks/standard", secret, client=client, clock=utc_now, pause=pauses.append, tries=tries
    )


def test_it_tries_until_a_2xx_with_doubling_pauses_and_the_same_id() -> None:
    receiver, pauses, seen = Receiver(0, 503, 404), list[float](), list[Delivery]()
    assert gateway(receiver.client, pauses).deliver(payment_received("1", "p", 100, utc_now), seen.append)
    assert [one.status for one in seen] == [0, 503, 404, 200]
    assert pauses == [0.5, 1.0, 2.0]
    assert {request.headers["webhook-id"] for request in receiver.requests} == {"msg_p"}


def test_it_gives_up_after_its_tries_and_never_pauses_longer_than_the_bound() -> None:
    receiver, pauses = Receiver(*[500] * 20), list[float]()
    assert not gateway(receiver.client, pauses, tries=12).deliver(payment_reversed("p"), lambda _: None)
    assert len(receiver.requests) == 12
    assert len(pauses) == 11
    assert all(later == min(earlier * 2, 60) for earlier, later in pairwise(pauses))


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "nonsense"])
def test_a_secret_that_signs_nothing_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        gateway(Receiver().client, [], secret=secret)
    assert refused.value.field == "secret"


@pytest.mark.parametrize("url", ["ftp://h/x", "file:///etc/passwd", "localhost:8000"])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(InvalidInput, match="http://"):
        Gateway(url, SECRET, client=Receiver().client, clock=utc_now, pause=lambda _: None)


@pytest.fixture
def application(database: Database, keyring: Keyring) -> TestClient:
    with database.transaction() as session:
        accounts.create_account(session, keyring, "standard", "simulated", SECRET, Actor("test"))
    return TestClient(create_app(database, keyring, clock=utc_now, zone=UTC, schema_head=head_revision()))


def test_the_real_receiver_takes_it_and_stores_a_repetition_once(application: TestClient, database: Database) -> None:
    sender, event = gateway(application, []), payment_received("1", "p", 100, utc_now)
    assert all(sender.deliver(event, lambda _: None) for _ in range(3))
    with database.transaction() as session:
        assert [entry.event_id for entry in session.scalars(select(InboxEntry))] == ["msg_p"]


def test_the_real_receiver_refuses_another_accounts_secret(application: TestClient) -> None:
    seen: list[Delivery] = []
    other = "whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI="
    assert not gateway(application, [], secret=other, tries=2).deliver(payment_reversed("p"), seen.append)
    assert [one.status for one in seen] == [401, 401]


def test_a_reversal_that_comes_first_waits_for_its_payment(application: TestClient, database: Database) -> None:
    with database.transaction() as session:
        invoice_id = make_invoice(session, make_contract(session)).id
    paid = payment_received(str(invoice_id), "p", 9990, utc_now)
    sender = gateway(application, [])
    for event in (payment_reversed("p"), paid):
        assert sender.deliver(event, lambda _: None)
        with database.transaction() as session:
            for entry_id in session.scalars(select(InboxEntry.id).order_by(InboxEntry.id)).all():
                interpret(session, entry_id, utc_now)
    with database.transaction() as session:
        for entry_id in session.scalars(select(InboxEntry.id)).all():
            interpret(session, entry_id, utc_now)
        assert {entry.status.value for entry in session.scalars(select(InboxEntry))} == {"done"}
