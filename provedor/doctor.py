"""What `provedor doctor` looks at, and what it says to do."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from typing import NamedTuple

import psycopg
import redis

from core.database import libpq_url
from core.errors import ProvedorError
from provedor.migrate import head_revision
from provedor.node import resolve_runtime
from provedor.settings import Settings

DISK_FREE_MIN = 2 * 1024**3


class Check(NamedTuple):
    name: str
    ok: bool
    advice: str


def examine(settings: Settings) -> list[Check]:
    """Every check, also after one that failed."""
    return [
        _check("data directory", lambda: _data(settings)),
        _check("key file", lambda: _key_file(settings)),
        _check("database and schema", lambda: _database(settings)),
        _check("broker", lambda: _broker(settings)),
        _check("API", lambda: _api(settings)),
        _check("RADIUS feed", lambda: _feed(settings)),
    ]


def _check(name: str, look: Callable[[], str]) -> Check:
    """`look` returns what is wrong, or nothing."""
    try:
        advice = look()
    except (OSError, ProvedorError, psycopg.Error, redis.RedisError) as error:
        advice = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}"
    return Check(name, not advice, advice)


def _data(settings: Settings) -> str:
    free = shutil.disk_usage(settings.data).free
    return "" if free >= DISK_FREE_MIN else f"only {free // 1024**2} MiB free below {settings.data}: make room"


def _key_file(settings: Settings) -> str:
    resolve_runtime(settings).keyring  # noqa: B018  (opening it is the check)
    return ""


def _database(settings: Settings) -> str:
    url = libpq_url(resolve_runtime(settings).database_url)
    with psycopg.connect(url, connect_timeout=3) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    found = row[0] if row else "nothing"
    return "" if found == head_revision() else f"the schema is at {found}, this release needs {head_revision()}: run up"


def _broker(settings: Settings) -> str:
    url = resolve_runtime(settings).broker_url
    client = redis.Redis.from_url(url.replace("redis+socket://", "unix://"), socket_timeout=3)
    client.ping()
    client.close()
    return ""


def _api(settings: Settings) -> str:
    host = "127.0.0.1" if settings.http_host == "0.0.0.0" else settings.http_host  # noqa: S104
    socket.create_connection((host, settings.http_port), timeout=3).close()
    return ""


def _feed(settings: Settings) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        one.connect(str(settings.run_directory / "feed.sock"))
    return ""
