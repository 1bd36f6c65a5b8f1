"""Webhooks as an attacker or a broken sender sends them, over real sockets: the right error, counted, nothing
half-done.

uvicorn runs as `provedor up` runs it; requests are written by hand, because no client library sends such things.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn
from billing_factories import OTHER_SECRET, SECRET, signed
from sqlalchemy import func, select
from structlog.testing import capture_logs

from api.app import create_app
from api.edge import BODY_SECONDS_MAX
from billing_hooks import accounts, inbox
from billing_hooks.models import InboxEntry
from core.audit import Actor
from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from core.models.system import OutboxItem
from provedor.migrate import head_revision

#: A body that is slower than this is given up where a test waits for that; the product waits longer.
SLOW_S = 3.0
GOOD = json.dumps({"type": "payment.received", "data": {"payment_id": "p"}}).encode()


class Wire:
    """A connection to the server, and what came back."""

    def __init__(self, port: int) -> None:
        self._port = port

    def send(self, *parts: bytes, close: bool = False) -> int:
        """The status of the answer; 0 where the server hung up without one."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                if close:
                    connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                return 0
        return int(answer.split(b" ", 2)[1]) if answer else 0

    def post(
        self, body: bytes, headers: dict[str, str] | None = None, path: str = "/hooks/standard", method: str = "POST"
    ) -> int:
        given = {"Host": "x", "Content-Length": str(len(body)), **(signed(body) if headers is None else headers)}
        return self.send(head(method, path, given), body)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """What was logged by us and by uvicorn; no test here may leave a traceback in it."""
    caplog.set_level(logging.INFO)
    with capture_logs() as entries:
        yield entries
    assert not [record for record in caplog.records if record.exc_info or "Traceback" in record.getMessage()]
    assert not [entry for entry in entries if entry["log_level"] == "error" or "exc_info" in entry]


@pytest.fixture
def patience_s() -> float:
    return BODY_SECONDS_MAX


@pytest.fixture
def wire(database: Database, keyring: Keyring, logs: list[Any], patience_s: float) -> Iterator[Wire]:
    with database.transaction() as session:
        accounts.create_account(session, keyring, "standard", "erp", SECRET, Actor("test"))
    app = create_app(database, keyring, clock=utc_now, zone=UTC, schema_head=head_revision(),
                     body_seconds_max=patience_s)  # fmt: skip
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Wire(listener.getsockname()[1])
        server.should_exit = True
        thread.join(timeout=20)


def stored(database: Database) -> tuple[int, int]:
    """Inbox entries, and the work owed for them."""
    with database.transaction() as session:
        entries = session.scalar(select(func.count()).select_from(InboxEntry)) or 0
        owed = session.scalar(select(func.count()).where(OutboxItem.topic == "billing.inbox_stored")) or 0
    return entries, owed


def count(outcome: str, gateway: str = "standard") -> float:
    return inbox.RECEIVED.labels(gateway, outcome)._value.get()  # type: ignore[no-any-return]


def test_only_what_is_authentic_is_stored_once(wire: Wire, database: Database) -> None:
    before = count("stored"), count("repeated")
    one = signed(GOOD, event_id="m1")
    assert [wire.post(GOOD, dict(one)) for _ in range(3)] == [200, 200, 200]
    assert stored(database) == (1, 1)
    assert (count("stored") - before[0], count("repeated") - before[1]) == (1, 2)


def test_one_good_signature_among_several_is_enough(wire: Wire, database: Database) -> None:
    headers = dict(signed(GOOD))
    headers["webhook-signature"] = "v1,AAAA v2,xyz " + headers["webhook-signature"] + " v1a,"
    assert wire.post(GOOD, headers) == 200
    assert stored(database) == (1, 1)


def test_what_is_forged_stale_or_half_signed_is_refused_and_counted(wire: Wire, database: Database) -> None:
    good, now = dict(signed(GOOD)), datetime.now(UTC)
    headers = [
        {}, dict(signed(GOOD, secret=OTHER_SECRET)), dict(signed(GOOD, at=now - timedelta(minutes=6))),
        dict(signed(GOOD, at=now + timedelta(minutes=6))), good | {"webhook-signature": "v1,"},
        good | {"webhook-signature": "v2," + good["webhook-signature"][3:]}, good | {"webhook-signature": "\xff"},
        good | {"webhook-signature": "v1,AAAA " * 2000}, good | {"webhook-timestamp": "1" * 400},
        good | {"webhook-timestamp": "-1"}, good | {"webhook-timestamp": "nan"}, good | {"webhook-id": "another"},
        good | {"webhook-id": ""}, {"webhook-id": "only-this"},
    ]  # fmt: skip
    before = count("WebhookNotAuthentic")
    assert {wire.post(GOOD, one) for one in headers} == {401}
    assert wire.post(GOOD[:-1] + b" ", good) == 401
    assert count("WebhookNotAuthentic") == before + len(headers) + 1
    assert stored(database) == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"not json", b"[]", b"null", b"{}", b'{"type": 5}', b'{"type": "x"} {}',
        b"[" * 100_000, b'{"type":"x","data":' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_authentic_and_makes_no_sense_is_named_and_not_stored(
    wire: Wire, database: Database, body: bytes
) -> None:
    before = count("WebhookMalformed")
    assert wire.post(body) == 422
    assert count("WebhookMalformed") == before + 1
    assert stored(database) == (0, 0)


def test_nul_in_ids_and_data_does_not_reach_the_database_as_text(wire: Wire, database: Database) -> None:
    body = json.dumps({"type": "a\0b", "data": {"payment_id": "p\0"}}).encode()
    assert wire.post(body) == 200  # octets as they came; the worker says what is wrong with them
    assert wire.post(GOOD, dict(signed(GOOD)) | {"webhook-id": "m\0"}) in {0, 400}
    assert stored(database) == (1, 1)


def test_oversized_bodies_are_refused_however_they_come(wire: Wire, database: Database) -> None:
    before = count("TooLarge")
    large = b"a" * (inbox.BODY_OCTETS_MAX + 1)
    assert wire.post(large) in {413, 0}  # hung up on while it still sends
    assert count("TooLarge") == before + 1
    announced = {"Host": "x", "Content-Length": str(10**12)}
    assert wire.send(head("POST", "/hooks/standard", announced)) == 413
    chunked = head("POST", "/hooks/standard", {"Host": "x", "Transfer-Encoding": "chunked"})
    pieces = [b"8000\r\n" + b"a" * 0x8000 + b"\r\n" for _ in range(9)]
    assert wire.send(chunked, *pieces) == 413
    assert count("TooLarge") == before + 2
    assert stored(database) == (0, 0)


def test_a_chunked_body_is_as_good_as_any(wire: Wire, database: Database) -> None:
    headers = {"Host": "x", "Transfer-Encoding": "chunked", **signed(GOOD)}
    pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (GOOD[:7], GOOD[7:])]
    assert wire.send(head("POST", "/hooks/standard", headers), *pieces, b"0\r\n\r\n") == 200
    assert stored(database) == (1, 1)


@pytest.mark.parametrize("patience_s", [SLOW_S])
def test_lying_and_slow_bodies_cost_a_socket_for_a_moment(wire: Wire, database: Database) -> None:
    headers = {"Host": "x", "Content-Length": str(len(GOOD) + 50), **signed(GOOD)}
    assert wire.send(head("POST", "/hooks/standard", headers), GOOD) == 408
    assert wire.send(head("POST", "/hooks/standard", headers), GOOD, close=True) in {0, 400}
    short = headers | {"Content-Length": str(len(GOOD) - 1)}
    # What is left over begins no request; whichever of the two is seen first is refused.
    assert wire.send(head("POST", "/hooks/standard", short), GOOD) in {400, 401}
    twice = head("POST", "/hooks/standard", {"Host": "x", "Content-Length": "5"})[:-2] + b"Content-Length: 9\r\n\r\n"
    assert wire.send(twice, GOOD) == 400
    assert wire.send(head("POST", "/hooks/standard", {"Host": "x", "Content-Length": "-1"})) == 400
    assert stored(database) == (0, 0)


def test_unknown_gateways_and_methods_are_counted_under_one_name(wire: Wire) -> None:
    before = count("NotFound", "unknown")
    paths = ("/hooks/nobody", "/hooks/" + "x" * 300, "/hooks/%00", "/hooks/..%2Fstandard")
    assert {wire.post(GOOD, path=path) for path in paths} == {404}
    assert count("NotFound", "unknown") >= before + 3
    for method in ("GET", "PUT", "DELETE", "PROPFIND"):
        assert wire.post(GOOD, method=method) == 405
    assert wire.post(GOOD, method="NONSENSE") == 400


def test_events_in_any_order_are_stored_as_they_come(wire: Wire, database: Database) -> None:
    later, earlier = datetime.now(UTC), datetime.now(UTC) - timedelta(minutes=4)
    bodies = [json.dumps({"type": kind, "data": {"payment_id": "p"}}).encode() for kind in ("payment.reversed", "x")]
    assert [wire.post(body, dict(signed(body, at=at))) for body, at in zip(bodies, (later, earlier), strict=True)] == [
        200, 200,
    ]  # fmt: skip
    assert stored(database) == (2, 2)
