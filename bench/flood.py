"""A flood of webhooks, steady and then in a burst: what its sender sees, and what the database holds afterwards.

`flood.c` sends, in a process of its own and at its own times. Of the requests some repeat an earlier one with the same
id, and some are forged: signed with another secret.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from standardwebhooks import Webhook

from bench import seed
from bench.node import HTTP_PORT, Node
from bench.report import Line, percentile, percentiles

REPEATED, FORGED = 0.20, 0.05
#: A repetition comes while the event it repeats, or one of those just before it, may still be on its way.
REPEATED_WITHIN = 50
ANSWER_MS_MAX = 100
STORED, REFUSED = 200, 401
OTHER_SECRET = "whsec_" + "Zm9yZ2VkLWZvcmdlZC1mb3JnZWQtZm9yZ2Vk"
#: After the last answer, until every payment is there.
WORKED_OFF_S_MAX = 900.0
HERE = Path(__file__).parent


class Flood(NamedTuple):
    name: str
    per_s: int
    seconds: int
    #: Of the 99th percentile; a burst's answers only have to come before the sender gives up.
    ms_max: int | None


FLOODS = (Flood("steady", 300, 60, ANSWER_MS_MAX), Flood("burst", 1000, 10, None))


@dataclass(frozen=True)
class Request:
    """`wanted`: the status that its sender should see."""

    event_id: str
    body: str
    headers: dict[str, str]
    wanted: int
    first: bool

    def octets(self) -> bytes:
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return (
            f"POST /hooks/standard HTTP/1.1\r\nHost: 127.0.0.1:{HTTP_PORT}\r\nContent-Type: application/json\r\n"
            f"{head}Content-Length: {len(self.body)}\r\n\r\n{self.body}"
        ).encode()


def measure_flood(node: Node, scratch: Path, first_service: int) -> Iterator[Line]:
    """Services from this number on pay; they have no other debts."""
    sender = str(scratch / "flood")
    subprocess.run(["cc", "-O2", "-o", sender, str(HERE / "flood.c")], check=True)
    with node.connect() as connection:
        for flood in FLOODS:
            requests = _requests(flood, connection, first_service)
            first_service += sum(one.first for one in requests)
            node.await_idle()
            yield from _measure(flood, requests, sender, scratch, connection)


def _requests(flood: Flood, connection: psycopg.Connection[Any], first_service: int) -> list[Request]:
    chance, count = random.Random(7), flood.per_s * flood.seconds
    kinds = [chance.random() for _ in range(count)]
    payers = sum(kind >= REPEATED + FORGED for kind in kinds) + 1
    owed = seed.owe(connection, list(range(first_service, first_service + payers)), overdue_days=-5)
    invoices = iter(sorted(invoice for invoice, _ in owed.values()))
    told: list[Request] = []
    requests = []
    for number, kind in enumerate(kinds):
        if kind < FORGED:
            requests.append(_request(f"{flood.name}-forged-{number}", "1", OTHER_SECRET, REFUSED))
        elif kind < FORGED + REPEATED and told:
            again = chance.choice(told[-REPEATED_WITHIN:])
            requests.append(Request(again.event_id, again.body, again.headers, STORED, first=False))
        else:
            told.append(_request(f"{flood.name}-{number}", next(invoices), seed.WEBHOOK_SECRET, STORED))
            requests.append(told[-1])
    return requests


def _request(event_id: str, invoice_id: str, secret: str, wanted: int) -> Request:
    now = datetime.now(UTC)
    data = {"invoice_id": invoice_id, "payment_id": event_id, "amount_cents": seed.DEBT_CENTS,
            "paid_at": now.isoformat(), "method": "pix"}  # fmt: skip
    body = json.dumps({"type": "payment.received", "timestamp": now.isoformat(), "data": data})
    headers = {"webhook-id": event_id, "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": Webhook(secret).sign(event_id, now, body)}  # fmt: skip
    return Request(event_id, body, headers, wanted, first=wanted == STORED)


def _measure(
    flood: Flood, requests: list[Request], sender: str, scratch: Path, connection: psycopg.Connection[Any]
) -> Iterator[Line]:
    file = scratch / f"{flood.name}.requests"
    with file.open("wb") as out:
        for number, request in enumerate(requests):
            octets = request.octets()
            out.write(b"%d %d\n" % (number * 1_000_000 // flood.per_s, len(octets)) + octets)
    said = subprocess.run([sender, str(HTTP_PORT), str(file)], capture_output=True, text=True, check=True).stdout
    file.unlink()
    answers = [(requests[int(number)], int(status), int(micros) / 1000)
               for number, status, micros in (line.split() for line in said.splitlines())]  # fmt: skip
    name = f"{flood.name} flood, {flood.per_s}/s for {flood.seconds} s"
    wrong = Counter(f"{status} for {one.wanted}" for one, status, _ in answers if status != one.wanted)
    yield _answers_line(f"{name}: answers", [took for _, _, took in answers], wrong, flood.ms_max)
    yield _kept_line(f"{name}: kept", [one.event_id for one in requests if one.first], flood.name, connection)


def _answers_line(what: str, took_ms: list[float], wrong: Counter[str], ms_max: int | None) -> Line:
    told = ", ".join(f"{count} times {which}" for which, count in wrong.items()) or "each the right one"
    bar = "each the right one" + (f", p99 < {ms_max}" if ms_max else "")
    p99 = percentile(took_ms, 0.99)
    return Line(
        what, f"{len(took_ms)} answers, {percentiles(took_ms)}", "", f"{told}, p99 {p99:.0f} ms", bar,
        not wrong and (ms_max is None or p99 < ms_max),
    )  # fmt: skip


def _kept_line(what: str, told: list[str], name: str, connection: psycopg.Connection[Any]) -> Line:
    """Every event stored once, every payment recorded once and its invoice paid, and nothing that was forged."""
    began = time.monotonic()
    while time.monotonic() < began + WORKED_OFF_S_MAX:
        if _count(connection, "inbox_entry", "event_id", name, "status = 'done'") >= len(told):
            break
        time.sleep(0.5)
    late_s = time.monotonic() - began
    stored = _count(connection, "inbox_entry", "event_id", name)
    paid = _count(connection, "payment JOIN invoice ON invoice.id = invoice_id", "payment.external_id", name,
                  f"status = 'paid' AND payment.amount_cents = {seed.DEBT_CENTS}")  # fmt: skip
    cents = connection.execute(
        "SELECT coalesce(sum(amount_cents), 0) FROM payment WHERE external_id LIKE %s", (f"{name}-%",)
    ).fetchall()[0][0]
    once = stored == paid == len(told) and cents == len(told) * seed.DEBT_CENTS
    return Line(
        what, f"{len(told)} events: {stored} stored, {paid} invoices paid", "",
        f"R$ {cents / 100:.2f}, worked off {late_s:.0f} s after the last", "all, once, nothing forged", once,
    )  # fmt: skip


def _count(connection: psycopg.Connection[Any], table: str, column: str, name: str, condition: str = "true") -> int:
    query = f"SELECT count(*) FROM {table} WHERE {column} LIKE %s AND {condition}"
    return int(connection.execute(query, (f"{name}-%",)).fetchall()[0][0])
