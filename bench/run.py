"""A billing run over 100,000 contracts, a tenth of which it suspends, while subscribers log in and others pay.

Everybody has an open invoice that the run has to look at: most are not due yet and were told so. Five thousand
subscribers are online at one NAS, two thousand of them to be suspended, which on a MikroTik is a Disconnect at the pace
that the NAS is set to. Meanwhile others, who are throttled, pay at each gateway as in `gateways`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import psycopg

from bench import gateways, seed
from bench.gateways import Payers, simulators
from bench.node import AUTH_PORT, PROGRAM, Node
from bench.paid import ONLINE, await_true, out_of_step, pay_steadily, simulated_bras
from bench.report import Line

#: Who pays; the gateways take turns.
FIRST_PAYER = 2000
DEBTORS = range(3000, 13_000)
DISCONNECTS_PER_MINUTE = 1200
EVALUATED_S_MAX = 60.0
#: All of it, and then all of them disconnected.
DONE_S_MAX = 1200.0
LOGINS_PER_S = 200
QUIET_S, BUSY_S = 10, 60
LOGIN_MS_MAX = 50.0
ANY_TIME = {"weekdays": list(range(7)), "first_hour": 0, "last_hour": 24, "holidays": True, "eves": True}
THROTTLE = [
    {"name": "notice of debt", "action": "notice", "basis": "due", "days": 1},
    {"name": "suspension", "action": "throttle", "basis": "notice", "days": 15},
]


def measure_run(node: Node, radload: str, contracts: int) -> Iterator[Line]:
    numbers = range(FIRST_PAYER, FIRST_PAYER + len(gateways.NAMES) * gateways.EACH)
    with simulated_bras(ONLINE, gateways.REDIAL_S) as bras, node.connect() as connection, simulators(node) as running:
        await_true(lambda: bras.online >= ONLINE)
        await_true(lambda: out_of_step(connection, range(ONLINE)) == 0)
        _prepare(node, connection, numbers)
        payers = Payers(node, bras, connection, running)
        payments = {
            name: payers.prepare(name, numbers[place * gateways.EACH : (place + 1) * gateways.EACH], "throttle")
            for place, name in enumerate(gateways.NAMES)
        }
        node.await_idle()
        quiet = _logins(radload, QUIET_S, contracts)
        began = datetime.now(UTC)
        run = subprocess.Popen([PROGRAM, "billing", "run"], env=node.environment, stdout=subprocess.DEVNULL)
        logins = _start_logins(radload, BUSY_S, contracts)
        yield _evaluation(connection, began, contracts)
        pay_steadily(list(chain.from_iterable(zip(*payments.values(), strict=True))), gateways.PER_S)
        unfinished = _chunks_left(connection)
        for name, of_gateway in payments.items():
            yield payers.line(f"{name}: paid to its ACK by CoA, during a run of {len(DEBTORS)} suspensions", of_gateway)
        yield _login_line(quiet, json.loads(logins.communicate()[0]))
        yield _holds_line(connection, began, unfinished)
        yield _pace_line(connection, began)
        run.wait(60)


def _prepare(node: Node, connection: psycopg.Connection[Any], payers: range) -> None:
    with node.api() as api:
        # A tenth of everybody is more than a run restricts by itself.
        body = {"hours": ANY_TIME, "guard": {"share_max": 0.5}}
        default = {"name": "any time", "default_for": "person", "body": body}
        api.post("/billing-policies", json=default).raise_for_status()
        answer = api.post("/billing-policies", json={"name": "throttle", "body": body | {"steps": THROTTLE}})
        answer.raise_for_status()
    connection.execute("UPDATE nas SET disconnects_per_minute = %s", (DISCONNECTS_PER_MINUTE,))
    connection.execute(
        "INSERT INTO contract_billing (contract_id, policy_id) SELECT contract_id, %s FROM service "
        "WHERE login = ANY(%s)",
        (answer.json()["id"], [seed.login(one) for one in payers]),
    )
    seed.owe(connection, list(DEBTORS))
    owing = [seed.login(one) for one in chain(payers, DEBTORS)]
    connection.execute(
        "WITH due AS (INSERT INTO invoice (contract_id, due_date, amount_cents) SELECT contract_id, %s, %s "
        "FROM service WHERE login <> ALL(%s) RETURNING id, contract_id) "
        "INSERT INTO debt_message (contract_id, invoice_id, policy, step, is_notice, text_en, text_pt) "
        "SELECT contract_id, id, 'any time', 'reminder before the due date', FALSE, 'told', 'avisado' FROM due",
        (datetime.now(UTC).date() + timedelta(days=2), seed.DEBT_CENTS, owing),
    )
    connection.execute("ANALYZE")


def _evaluation(connection: psycopg.Connection[Any], began: datetime, contracts: int) -> Line:
    """From the command's start until what it owes is committed."""
    query = "SELECT considered, extract(epoch FROM clock_timestamp() - %s) FROM billing_run WHERE at >= %s"
    await_true(lambda: bool(connection.execute(query, (began, began)).fetchall()), 10 * EVALUATED_S_MAX)
    considered, took_s = connection.execute(query, (began, began)).fetchall()[0]
    return Line(
        f"run over {contracts} contracts: evaluated", f"{considered} to be suspended", "",
        f"{took_s:.1f} s, the command's own start included", f"< {EVALUATED_S_MAX:.0f} s, {len(DEBTORS)} of them",
        took_s < EVALUATED_S_MAX and considered == len(DEBTORS),
    )  # fmt: skip


def _chunks_left(connection: psycopg.Connection[Any]) -> int:
    return int(connection.execute("SELECT sum(chunks_left) FROM billing_run").fetchall()[0][0])


def _holds_line(connection: psycopg.Connection[Any], began: datetime, unfinished: int) -> Line:
    """`unfinished`: chunks that were left when the last had paid."""
    await_true(lambda: _chunks_left(connection) == 0, DONE_S_MAX, strict=False)
    took_s = (datetime.now(UTC) - began).total_seconds()
    held, services = connection.execute(
        "SELECT count(*), count(DISTINCT service_id) FROM hold JOIN service ON service.id = service_id "
        "WHERE reason = 'billing' AND effect = 'walled_garden' AND lifted_at IS NULL AND login = ANY(%s)",
        ([seed.login(one) for one in DEBTORS],),
    ).fetchall()[0]
    once = held == services == len(DEBTORS)
    return Line(
        f"run of {len(DEBTORS)} suspensions: holds", f"{held} holds on {services} services, {unfinished} chunks were "
        "left when the last had paid", "", f"{took_s:.0f} s from its start to its end", "each once", once,
    )  # fmt: skip


def _pace_line(connection: psycopg.Connection[Any], began: datetime) -> Line:
    """Once every session of who is suspended has ended, and perhaps begun anew."""
    wanted = range(DEBTORS.start, ONLINE)
    await_true(lambda: _untouched(connection, wanted) == 0, DONE_S_MAX, strict=False)
    rows = connection.execute(
        "SELECT extract(epoch FROM at)::float8 FROM enforcement_step WHERE action = 'disconnect' AND at >= %s "
        "ORDER BY at",
        (began,),
    ).fetchall()
    at = [row[0] for row in rows]
    most, first = 0, 0
    for last, moment in enumerate(at):
        while moment - at[first] >= 60:
            first += 1
        most = max(most, last - first + 1)
    most_allowed = DISCONNECTS_PER_MINUTE * 7 // 6  # the bucket holds ten seconds' worth
    left = _untouched(connection, wanted)
    return Line(
        f"run: disconnects of {len(wanted)} who are online, {DISCONNECTS_PER_MINUTE} a minute",
        f"{len(at)} within {at[-1] - at[0] if at else 0:.0f} s, {left} left", "", f"at most {most} within a minute",
        f"all, <= {most_allowed} within a minute", not left and most <= most_allowed,
    )  # fmt: skip


def _untouched(connection: psycopg.Connection[Any], numbers: range) -> int:
    """Sessions that still have what they had before the run."""
    return int(
        connection.execute(
            "SELECT count(*) FROM session s JOIN service v ON v.id = s.service_id WHERE s.stopped_at IS NULL "
            "AND v.login = ANY(%s) AND s.class_fingerprint <> v.policy_fingerprint",
            ([seed.login(one) for one in numbers],),
        ).fetchall()[0][0]
    )


def _start_logins(radload: str, seconds: int, users: int) -> subprocess.Popen[str]:
    """Of those whom no simulated BRAS knows, as one more NAS would ask."""
    command = [radload, "-p", str(AUTH_PORT), "-m", "pap", "-q", str(LOGINS_PER_S), "-n", str(LOGINS_PER_S * seconds),
               "-u", str(users), "-s", "4"]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _logins(radload: str, seconds: int, users: int) -> dict[str, Any]:
    said, _ = _start_logins(radload, seconds, users).communicate()
    answers: dict[str, Any] = json.loads(said)
    return answers


def _login_line(quiet: dict[str, Any], busy: dict[str, Any]) -> Line:
    right = busy["accepted"] == busy["requests"]
    return Line(
        f"run: authentication meanwhile, {LOGINS_PER_S}/s for {BUSY_S} s",
        f"p50 {busy['p50_ms']:.1f}, p99 {busy['p99_ms']:.1f}, max {busy['max_ms']:.0f} ms",
        f"before it: p99 {quiet['p99_ms']:.1f}, max {quiet['max_ms']:.0f} ms", f"p99 {busy['p99_ms']:.1f} ms",
        f"all accepted, p99 < {LOGIN_MS_MAX:.0f}", right and busy["p99_ms"] < LOGIN_MS_MAX,
    )  # fmt: skip
