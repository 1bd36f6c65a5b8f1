"""What `provedor doctor` looks at, and what it says to do.

Every check is made, also after one that failed; each returns what is wrong and the fix, or a note where there is
something to say though nothing is wrong.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import redis
import sqlalchemy.exc

from aaa import testclient
from aaa.authenticator import SharedSecret, sign_access_request
from aaa.feed import FrameReader, SnapshotFollower
from aaa.packet import Code
from aaa.snapshot_file import SnapshotFile
from aaa.spool import SPOOL_OCTETS_MAX, list_segments, segment_path
from core import network, switches
from core.errors import NotFound, ProvedorError
from core.keyring import NAS_SECRET, Keyring, load_keyring
from provedor.migrate import head_revision
from provedor.node import resolve_runtime
from provedor.observe import processes, read_counters, redis_client
from provedor.radius import feed_path
from provedor.settings import Settings, unknown_variables

DISK_FREE_MIN = 2 * 1024**3
#: Of a worker's spool: above it accounting will soon not be acknowledged.
SPOOL_SHARE_MAX = 0.8
#: An accounting record older than this and not yet stored: the shipper or the database is in trouble.
LAG_MAX_S = 120
CLOCK_SKEW_MAX_S = 2.0
NAS_CLOCK_SKEW_MAX_S = 30
#: Revisions that a node may be behind for a moment.
REVISIONS_BEHIND_MAX = 1000
OUTBOX_LATE_MAX_S = 60

_NAS_CLOCKS = """
SELECT n.name,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM a.event_at - a.received_at)::float8) AS skew
FROM accounting_record a JOIN nas n ON n.id = a.nas_id
WHERE a.received_on >= (now() - interval '15 minutes')::date AND a.received_at > now() - interval '15 minutes'
GROUP BY n.name
"""


class Check(NamedTuple):
    """`ok` is None where it could not be looked at. `advice` says what to do, or else is a note."""

    name: str
    ok: bool | None
    advice: str


class Wrong(Exception):
    """A check failed; the message is the advice."""


class NotAsked(Exception):
    """There is nothing to look at here; the message says why."""


Look = Callable[[Settings], str | None]


def examine(settings: Settings) -> list[Check]:
    database = _check("database", _database, settings)
    away = database.ok is False

    def needs_database(look: Look) -> Look:
        return _not_asked if away else look

    checks: list[tuple[str, Look]] = [
        ("schema", needs_database(_schema)),
        ("keys and database", needs_database(_keys_match)),
        ("clock", needs_database(_clock)),
        ("broker", _broker),
        ("work", needs_database(_work)),
        ("API", _api),
        ("RADIUS feed", _feed),
        ("RADIUS authentication", needs_database(_authentication)),
        ("RADIUS accounting", needs_database(_accounting)),
        ("accounting spool", _spool),
        ("copy of the snapshot", needs_database(_snapshot)),
        ("enforcement", needs_database(_enforcement)),
        ("NAS clocks", needs_database(_nas_clocks)),
    ]
    first = [("settings", _settings), ("data directory", _data), ("key file", _key_file)]
    return [
        *(_check(name, look, settings) for name, look in first),
        database,
        *(_check(name, look, settings) for name, look in checks),
    ]


def _not_asked(_: Settings) -> None:
    raise NotAsked("not asked: it needs the database")


def _check(name: str, look: Look, settings: Settings) -> Check:
    try:
        return Check(name, True, look(settings) or "")
    except NotAsked as reason:
        return Check(name, None, str(reason))
    except Wrong as wrong:
        return Check(name, False, str(wrong))
    except ProvedorError as error:
        return Check(name, False, error.detail)
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        said = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
        return Check(name, False, f"the database does not answer: {said[0]}")
    except OSError as error:
        return Check(name, False, f"{error.filename or settings.data}: {error.strerror or error}")


def _settings(_: Settings) -> None:
    unknown = unknown_variables()
    if unknown:
        raise Wrong(f"{', '.join(unknown)}: there is no such setting; `provedor settings` lists them")


def _data(settings: Settings) -> str:
    if not settings.data.is_dir():
        raise Wrong(f"PROVEDOR_DATA {settings.data} does not exist: start `provedor up` first, or point it elsewhere")
    if not os.access(settings.data, os.W_OK | os.X_OK):
        raise Wrong(f"{settings.data} is not writable for this account: run as the one that runs the node")
    free = shutil.disk_usage(settings.data).free
    if free < DISK_FREE_MIN:
        raise Wrong(f"only {free // 1024**2} MiB free below {settings.data}: make room, or accounting will stop")
    return f"{free // 1024**3} GiB free"


def _key_file(settings: Settings) -> None:
    """Does not make one, as a start does: a lost key file must not be covered up by a new one."""
    path = settings.key_file
    if not path.exists():
        raise Wrong(f"{path} is missing: restore it from its copy; without it no stored secret can be read")
    if path.stat().st_mode & 0o077:
        raise Wrong(f"{path} can be read by others: chmod 600 {path}")
    load_keyring(path)


def _keyring(settings: Settings) -> Keyring:
    _key_file(settings)
    return load_keyring(settings.key_file)


def _database(settings: Settings) -> str:
    with _connect(settings) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), count(*), current_setting('max_connections')::int "
            "FROM pg_stat_activity"
        ).fetchone()
    assert row is not None  # noqa: S101  (an aggregate)
    if row[1] > row[2] * 0.9:
        raise Wrong(f"{row[1]} of {row[2]} connections are taken: raise max_connections")
    return f"PostgreSQL {row[0]}, {row[1]} of {row[2]} connections"


def _schema(settings: Settings) -> None:
    try:
        with _connect(settings) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    found, wanted = row[0] if row else "empty", head_revision()
    if found == wanted:
        return
    fix = (
        "this release is older than the data: install the newer one" if found > wanted else "`provedor up` migrates it"
    )
    raise Wrong(f"the schema is at {found} and this release needs {wanted}: {fix if row else '`provedor up` makes it'}")


def _keys_match(settings: Settings) -> str | None:
    with _connect(settings) as connection:
        row = connection.execute("SELECT secret_encrypted FROM nas ORDER BY id LIMIT 1").fetchone()
    if row is None:
        return "there is no NAS yet"
    _keyring(settings).open(bytes(row[0]), NAS_SECRET)
    return None


def _clock(settings: Settings) -> str:
    before = time.time()
    with _connect(settings) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after = time.time()
    assert row is not None  # noqa: S101  (no table, one row)
    skew_s = max(before - row[0], row[0] - after, 0.0)
    if skew_s > CLOCK_SKEW_MAX_S:
        raise Wrong(f"this node and the database are {skew_s:.1f} s apart: run NTP (chrony) on both")
    return f"{skew_s:.1f} s from the database"


def _broker(settings: Settings) -> str | None:
    url = resolve_runtime(settings).broker_url
    if not url.startswith("redis"):
        return "no Redis protocol: ask RabbitMQ's own tools"
    client = redis_client(url)
    try:
        client.ping()
    except redis.RedisError as error:
        raise Wrong(
            f"it does not answer ({str(error).splitlines()[0]}): is it up, and PROVEDOR_BROKER_URL right?"
        ) from None
    finally:
        client.close()
    return None


def _work(settings: Settings) -> str:
    with _connect(settings) as connection:
        rows = connection.execute(
            "SELECT topic, attempts, last_error, extract(epoch FROM now() - due_at)::float8 FROM outbox "
            "ORDER BY attempts DESC, due_at LIMIT 1000"
        ).fetchall()
    failing = [row for row in rows if row[1] > 0]
    if failing:
        topic, attempts, error, _ = failing[0]
        raise Wrong(f"{len(failing)} items fail and are tried again; {topic} failed {attempts} times: {error}")
    late_s = max((row[3] for row in rows), default=0.0)
    if late_s > OUTBOX_LATE_MAX_S:
        raise Wrong(f"work waits for {late_s:.0f} s: do relay and workers run (`provedor up --only worker`)?")
    return f"{len(rows)} items owed"


def _api(settings: Settings) -> str | None:
    if not _runs_here(settings, "api"):
        raise NotAsked("the api role does not run on this node")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.http_host, settings.http_host)  # noqa: S104
    try:
        answer = httpx.get(f"http://{host}:{settings.http_port}/readyz", timeout=5)
    except httpx.HTTPError as error:
        raise Wrong(f"{host} port {settings.http_port} does not answer ({error}): is `provedor up` running?") from None
    if answer.status_code != 200:
        detail = answer.json().get("detail") if "json" in answer.headers.get("content-type", "") else answer.text[:80]
        raise Wrong(f"/readyz says {answer.status_code}: {detail}")
    return None


def _feed(settings: Settings) -> str | None:
    if not _runs_here(settings, "radius"):
        raise NotAsked("the radius role does not run on this node")
    path = feed_path(settings)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        try:
            one.connect(path)
        except OSError as error:
            taken = _taken_ports(settings)
            because = f"; UDP port {', '.join(map(str, taken))} is taken by another program" if taken else ""
            advice = f"the feeder does not answer ({error.strerror}): is `provedor up` running?{because}"
            raise Wrong(advice) from None
    return None


def _runs_here(settings: Settings, role: str) -> bool:
    """A node that is down should run everything; one that is up runs what its supervisor has started."""
    names = [one.name for one in processes(settings)]
    if role == "radius":
        return not names or any(name.startswith(("feeder", "auth-", "acct-", "shipper-")) for name in names)
    return not names or role in names


def _taken_ports(settings: Settings) -> list[int]:
    """RADIUS ports that cannot be bound, asked only while RADIUS does not run here."""
    taken = []
    for port in (settings.radius_auth_port, settings.radius_acct_port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind((_own_address(settings), port))
            except OSError:
                taken.append(port)
    return taken


def _authentication(settings: Settings) -> str:
    return _ask_workers(settings, settings.radius_auth_port, Code.ACCESS_ACCEPT)


def _accounting(settings: Settings) -> str:
    return _ask_workers(settings, settings.radius_acct_port, Code.ACCOUNTING_RESPONSE)


def _ask_workers(settings: Settings, port: int, wanted: Code) -> str:
    """Status-Server to each worker (RFC 5997): the Identifier picks who answers."""
    if not _runs_here(settings, "radius"):
        raise NotAsked("the radius role does not run on this node")
    address = _own_address(settings)
    secret = _own_secret(settings, address)
    if secret is None:
        raise NotAsked(f"make a NAS entry for {address}, and every worker will be asked by Status-Server")
    silent = []
    for worker in range(settings.radius_workers):
        octets = sign_access_request(worker, os.urandom(16), b"", secret, code=Code.STATUS_SERVER)
        reply = testclient.exchange(address, port, octets, tries=2, timeout_s=1.0)
        if reply is None or reply.code != wanted:
            silent.append(str(worker))
    if silent:
        raise Wrong(f"worker {', '.join(silent)} on {address} port {port} does not answer Status-Server: see the log")
    return f"{settings.radius_workers} workers answer"


def _own_address(settings: Settings) -> str:
    return next((one for one in settings.radius_addresses if one not in {"0.0.0.0", "::"}), "127.0.0.1")  # noqa: S104


def _own_secret(settings: Settings, address: str) -> SharedSecret | None:
    with resolve_runtime(settings).database.transaction() as session:
        try:
            sealed = network.find_by_address(session, address).secret_encrypted
        except NotFound:
            return None
    return SharedSecret(_keyring(settings).open(sealed, NAS_SECRET))


def _spool(settings: Settings) -> str:
    if not settings.spool_directory.is_dir():
        return "no accounting yet"
    total = 0
    for spool in sorted(path for path in settings.spool_directory.iterdir() if path.is_dir()):
        kept = sum(segment_path(spool, number).stat().st_size for number in list_segments(spool))
        total += kept
        if kept > SPOOL_OCTETS_MAX * SPOOL_SHARE_MAX:
            raise Wrong(
                f"{spool} holds {kept // 1024**2} MiB, near its bound: bring the database back, it drains itself"
            )
    refused = settings.spool_directory / "refused.hex"
    if refused.exists():
        raise Wrong(f"{refused} holds records that the database refused: report them, then remove the file")
    lag_s = _lag_s(settings)
    if lag_s is not None and lag_s > LAG_MAX_S:
        raise Wrong(f"the oldest record that is not stored is {lag_s:.0f} s old: is the database away or too slow?")
    return f"{total // 1024**2} MiB, {'shipper not running here' if lag_s is None else f'{lag_s:.0f} s behind'}"


def _lag_s(settings: Settings) -> float | None:
    """As the shippers say it; None where none runs here."""
    with httpx.Client(timeout=1.0) as client:
        counters = read_counters(settings, client)
    return counters.lag_s if counters.shippers else None


def _snapshot(settings: Settings) -> str | None:
    """A node starts from it when the database is away; with one that is old, subscribers of today are refused."""
    path = settings.data / "snapshot" / "snapshot.bin"
    if not path.exists():
        return "none yet: the radius role makes it"
    copied = _copied_revision(path, settings)
    with _connect(settings) as connection:
        row: Any = connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()
    behind = row[0] - copied
    if behind > REVISIONS_BEHIND_MAX:
        raise Wrong(f"{path} is {behind} changes behind the database: does the radius role run here?")
    return f"revision {copied}, {max(behind, 0)} behind"


def _copied_revision(path: Path, settings: Settings) -> int:
    follower = SnapshotFollower(with_services=False)
    for octets in SnapshotFile(path, _keyring(settings)).read():
        reader = FrameReader()
        reader.feed(octets)
        for kind, body in reader:
            follower.apply(kind, body)
    if not follower.ready:
        raise Wrong(f"{path} holds no whole snapshot: remove it and restart the radius role with the database there")
    return follower.current.revision


def _enforcement(settings: Settings) -> str | None:
    runtime = resolve_runtime(settings)
    with runtime.database.transaction() as session:
        frozen = switches.enforcement_frozen(session)
    with _connect(settings) as connection:
        silent = connection.execute(
            "SELECT n.name, n.coa_port FROM nas_pace p JOIN nas n ON n.id = p.nas_id WHERE p.closed_until IS NOT NULL"
        ).fetchall()
    if silent:
        names = ", ".join(f"{name} (port {port})" for name, port in silent)
        raise Wrong(f"{names} does not answer CoA: check its CoA port, secret and firewall")
    return "frozen: `provedor enforcement resume` ends that" if frozen else None


def _nas_clocks(settings: Settings) -> str | None:
    """As far as accounting tells: a NAS without Event-Timestamp has no clock here."""
    with _connect(settings) as connection:
        off = [(name, skew) for name, skew in connection.execute(_NAS_CLOCKS) if abs(skew) > NAS_CLOCK_SKEW_MAX_S]
    if off:
        named = ", ".join(f"{name} by {skew:+.0f} s" for name, skew in off)
        raise Wrong(f"clocks are off at {named}: set NTP there, or its sessions look stale and CoA may be refused")
    return None


def _connect(settings: Settings) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(resolve_runtime(settings).libpq_url, connect_timeout=3, options="-c statement_timeout=5000")
