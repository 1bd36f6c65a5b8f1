"""The installation: settings, data, keys, database, broker, work and API."""

from __future__ import annotations

import os
import shutil
import time

import httpx
import psycopg
import redis

from core.keyring import NAS_SECRET
from provedor.doctor.check import NotAsked, Wrong, connect, keyring, runs_here
from provedor.migrate import head_revision
from provedor.node import resolve_runtime
from provedor.observe import redis_client
from provedor.settings import Settings, unknown_variables

DISK_FREE_MIN = 2 * 1024**3
CLOCK_SKEW_MAX_S = 2.0
OUTBOX_LATE_MAX_S = 60


def check_settings(_: Settings) -> None:
    unknown = unknown_variables()
    if unknown:
        raise Wrong(f"{', '.join(unknown)}: there is no such setting; `provedor settings` lists them")


def check_data(settings: Settings) -> str:
    if not settings.data.is_dir():
        raise Wrong(f"PROVEDOR_DATA {settings.data} does not exist: start `provedor up` first, or point it elsewhere")
    if not os.access(settings.data, os.W_OK | os.X_OK):
        raise Wrong(f"{settings.data} is not writable for this account: run as the one that runs the node")
    free = shutil.disk_usage(settings.data).free
    if free < DISK_FREE_MIN:
        raise Wrong(f"only {free // 1024**2} MiB free below {settings.data}: make room, or accounting will stop")
    return f"{free // 1024**3} GiB free"


def check_database(settings: Settings) -> str:
    with connect(settings) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), count(*), current_setting('max_connections')::int "
            "FROM pg_stat_activity"
        ).fetchone()
    assert row is not None  # noqa: S101  (an aggregate)
    if row[1] > row[2] * 0.9:
        raise Wrong(f"{row[1]} of {row[2]} connections are taken: raise max_connections")
    return f"PostgreSQL {row[0]}, {row[1]} of {row[2]} connections"


def check_schema(settings: Settings) -> None:
    try:
        with connect(settings) as connection:
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


def check_keys_match(settings: Settings) -> str | None:
    with connect(settings) as connection:
        row = connection.execute("SELECT secret_encrypted FROM nas ORDER BY id LIMIT 1").fetchone()
    if row is None:
        return "there is no NAS yet"
    keyring(settings).open(bytes(row[0]), NAS_SECRET)
    return None


def check_clock(settings: Settings) -> str:
    before = time.time()
    with connect(settings) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after = time.time()
    assert row is not None  # noqa: S101  (no table, one row)
    skew_s = max(before - row[0], row[0] - after, 0.0)
    if skew_s > CLOCK_SKEW_MAX_S:
        raise Wrong(f"this node and the database are {skew_s:.1f} s apart: run NTP (chrony) on both")
    return f"{skew_s:.1f} s from the database"


def check_broker(settings: Settings) -> str | None:
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


def check_work(settings: Settings) -> str:
    with connect(settings) as connection:
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


def check_api(settings: Settings) -> str | None:
    if not runs_here(settings, "api"):
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
