"""A power cut ends: everybody comes back at once, on a node that still believes yesterday's sessions to be alive."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from bench import seed
from bench.node import ACCT_PORT, AUTH_PORT, COA_PORT, Node
from bench.report import Line
from core.access import Access
from core.changes import LOCK_KEY
from core.keyring import NAS_SECRET, load_keyring
from core.policy import WALLED_GARDEN_LIST, Policy

SUBSCRIBERS = 50_000
NASES = 10
#: One in so many is held in the walled garden.
SUSPENDED_EVERY = 10
ONLINE_S_MAX = 20.0
ANSWER_MS_MAX = 1000.0
STORED_S_MAX = 120.0


class PowerCut(NamedTuple):
    """CPEs boot and dial at different speeds: `within_s`. Where all dial within one second nobody answers all of them
    within the next on two cores, and the time of an answer is shown only."""

    run: str
    within_s: int
    answers_count: bool
    #: Every plan allows one session and refuses a second one, so that each login is asked about.
    strict: bool = False


POWER_CUTS = (
    PowerCut("first", 1, answers_count=False),
    PowerCut("second", 5, answers_count=True),
    PowerCut("third", 5, answers_count=True, strict=True),
)
HERE = Path(__file__).parent
GARDEN = Policy(
    Access.WALLED_GARDEN, 1024, 1024, address_pool="residential", address_list=WALLED_GARDEN_LIST, interim_seconds=300
)


def measure_storm(node: Node, scratch: Path) -> list[Line]:
    storm = str(scratch / "storm")
    subprocess.run(["cc", "-O2", "-o", storm, str(HERE / "storm.c"), "-lm"], check=True)
    with node.connect() as connection:
        _prepare(connection, node)
        node.await_revision(_newest_revision(connection))
        return [line for cut in POWER_CUTS for line in _power_cut(cut, storm, node, connection)]


def _power_cut(cut: PowerCut, storm: str, node: Node, connection: psycopg.Connection[Any]) -> list[Line]:
    if cut.strict:
        _make_strict(connection, node)
    node.await_idle()
    command = [storm, "-a", str(AUTH_PORT), "-p", str(ACCT_PORT), "-u", str(SUBSCRIBERS), "-n", str(NASES),
               "-s", str(cut.within_s), "-R", cut.run, "-t", "60"]  # fmt: skip
    seen: dict[str, Any] = json.loads(subprocess.run(command, check=False, capture_output=True, text=True).stdout)
    stored_s = _await_sessions(connection, cut.run)
    others = _count(connection, f"acct_session_id NOT LIKE '{cut.run}-%' AND stopped_at IS NULL")
    suspended = SUBSCRIBERS // SUSPENDED_EVERY
    online = seen["online"] == SUBSCRIBERS and not seen["refused"] and not seen["forged"]
    name = f"power back within {cut.within_s} s{', strict limits' if cut.strict else ''}"
    return [
        Line(f"{name}: {SUBSCRIBERS} subscribers behind {NASES} NASes",
             f"{seen['online']} online, {seen['refused']} refused, {seen['redialled']} dialled twice", "",
             f"{seen['seconds']:.1f} s until all were", f"all, within {ONLINE_S_MAX:.0f} s",
             online and seen["seconds"] <= ONLINE_S_MAX),
        Line(f"{name}: answer to a login", f"p50 {seen['p50_ms']:.0f}, max {seen['max_ms']:.0f} ms", "",
             f"p99 {seen['p99_ms']:.0f} ms", f"p99 < {ANSWER_MS_MAX:.0f}" if cut.answers_count else "",
             seen["p99_ms"] < ANSWER_MS_MAX if cut.answers_count else None),
        Line(f"{name}: the suspended tenth", f"{seen['walled_garden']} in the walled garden", "",
             f"{seen['walled_garden']} of {suspended}", "all", seen["walled_garden"] == suspended),
        Line(f"{name}: every session known", f"{others} from before still thought alive", "",
             f"{stored_s:.1f} s after the last came online", "all, none from before", others == 0),
    ]  # fmt: skip


def _prepare(connection: psycopg.Connection[Any], node: Node) -> None:
    """The NASes, a tenth of the subscribers suspended, and yesterday's sessions, of which nobody told the end."""
    keyring = load_keyring(node.data / "secret.key")
    for number in range(1, NASES + 1):
        connection.execute(
            "INSERT INTO nas (name, address, secret_encrypted, vendor, coa_port) VALUES (%s, %s, %s, 'mikrotik', %s)",
            (f"bras-{number}", f"127.0.1.{number}", keyring.seal(seed.SECRET, NAS_SECRET), COA_PORT),
        )
    body = psycopg.types.json.Jsonb(GARDEN.to_body())
    connection.execute(
        "INSERT INTO policy_version (fingerprint, body) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (GARDEN.fingerprint, body),
    )
    suspended = [seed.login(number) for number in range(0, SUBSCRIBERS, SUSPENDED_EVERY)]
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))  # what takes revisions, takes it
        connection.execute(
            "WITH held AS (UPDATE service SET access = 'walled_garden', policy_fingerprint = %s WHERE login = ANY(%s) "
            "RETURNING id), kept AS (INSERT INTO hold (service_id, reason, effect, placed_by) "
            "SELECT id, 'billing', 'walled_garden', 'bench' FROM held) "
            "INSERT INTO change (revision, kind, ref_id) SELECT nextval('change_revision'), 'service', id FROM held",
            (GARDEN.fingerprint, suspended),
        )
        connection.execute("INSERT INTO change (revision, kind, ref_id) VALUES (nextval('change_revision'), 'nas', 0)")
        connection.execute("NOTIFY provedor_change")
    connection.execute(
        "INSERT INTO session (nas_id, box, acct_session_id, accept_id, service_id, login, class_fingerprint, "
        "started_at, updated_at, nas_address, calling_station_id) "
        "SELECT n.id, n.address, 'yesterday-' || number, 'yesterday', v.id, v.login, v.policy_fingerprint, "
        "now() - interval '20 hours', now() - interval '1 hour', n.address, "
        "'02:00:' || upper(lpad(to_hex(number >> 24 & 255), 2, '0') || ':' || lpad(to_hex(number >> 16 & 255), 2, '0') "
        "|| ':' || lpad(to_hex(number >> 8 & 255), 2, '0') || ':' || lpad(to_hex(number & 255), 2, '0')) "
        "FROM generate_series(0, %s) AS number "
        "JOIN service v ON v.login = 'user' || lpad(number::text, 7, '0') "
        "JOIN nas n ON n.name = 'bras-' || (number %% %s + 1)",
        (SUBSCRIBERS - 1, NASES),
    )


def _make_strict(connection: psycopg.Connection[Any], node: Node) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        connection.execute("UPDATE plan SET session_limit = 1, session_limit_strict = TRUE")
        connection.execute(
            "INSERT INTO change (revision, kind, ref_id) SELECT nextval('change_revision'), 'plan', id FROM plan"
        )
        connection.execute("NOTIFY provedor_change")
    node.await_revision(_newest_revision(connection))


def _newest_revision(connection: psycopg.Connection[Any]) -> int:
    return int(connection.execute("SELECT max(revision) FROM change").fetchall()[0][0])


def _await_sessions(connection: psycopg.Connection[Any], run: str) -> float:
    """Seconds until every session of this run is in the database."""
    began = time.monotonic()
    while time.monotonic() - began < STORED_S_MAX:
        if _count(connection, f"acct_session_id LIKE '{run}-%' AND stopped_at IS NULL") == SUBSCRIBERS:
            break
        time.sleep(0.1)
    return time.monotonic() - began


def _count(connection: psycopg.Connection[Any], condition: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM session WHERE {condition}").fetchall()[0][0])
