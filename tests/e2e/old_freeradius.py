"""A FreeRADIUS as a provider runs one, on ports of its own: rlm_sql on a PostgreSQL, with its own schema."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from provedor.embedded import EmbeddedPostgres

DEBIAN = Path("/etc/freeradius/3.0")
SCHEMA = "mods-config/sql/main/postgresql/schema.sql"
SITE = """
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = %(auth)s
  }
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = %(acct)s
  }
  authorize {
    preprocess
    chap
    mschap
    sql
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
    Auth-Type CHAP {
      chap
    }
    Auth-Type MS-CHAP {
      mschap
    }
  }
  # RouterOS drops replies without it.
  post-auth {
    update reply {
      Message-Authenticator := 0x00
    }
    Post-Auth-Type REJECT {
      update reply {
        Message-Authenticator := 0x00
      }
    }
  }
  preacct {
    preprocess
    acct_unique
  }
  # What changes no row (Accounting-On with nobody online) is answered as well, as by Debian's default site.
  accounting {
    sql
    ok
  }
}
"""


@dataclass
class OldServer:
    auth_port: int
    acct_port: int
    database_url: str
    connection: psycopg.Connection[Any]
    directory: Path

    def log(self) -> str:
        return (self.directory / "log" / "radius.log").read_text()

    def one(self, query: str, *parameters: object) -> Any:
        row = self.connection.execute(query, parameters).fetchone()  # type: ignore[arg-type]
        return None if row is None else row[0]


@contextmanager
def old_freeradius(directory: Path, *, auth_port: int, acct_port: int, secret: str) -> Iterator[OldServer]:
    """Its database is empty but for its tables; it knows 127.0.0.1 as a client, and looks for logins in lower case."""
    database = EmbeddedPostgres(directory / "postgres", fsync=False)
    database.start()
    try:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute((DEBIAN / SCHEMA).read_text())
            raddb = _configure(directory, database.url, auth_port, acct_port, secret)
            log = directory / "log" / "radius.log"
            with (directory / "out.log").open("w") as out:
                process = subprocess.Popen(
                    ["freeradius", "-d", str(raddb), "-f", "-l", str(log)], stdout=out, stderr=subprocess.STDOUT
                )
            try:
                _await_ready(process, log, directory / "out.log")
                yield OldServer(auth_port, acct_port, database.url, connection, directory)
            finally:
                process.terminate()
                process.wait(10)
    finally:
        from clusters import discard

        discard(database)


def _configure(directory: Path, url: str, auth_port: int, acct_port: int, secret: str) -> Path:
    raddb = directory / "raddb"
    shutil.copytree(DEBIAN, raddb, symlinks=True)
    (directory / "log").mkdir()
    for name in ("sites-enabled", "mods-enabled"):
        shutil.rmtree(raddb / name)
        (raddb / name).mkdir()
    for module in ("always", "pap", "chap", "mschap", "expr", "attr_filter", "preprocess", "detail"):
        (raddb / "mods-enabled" / module).symlink_to(f"../mods-available/{module}")
    (raddb / "mods-enabled" / "sql").write_text(_sql(raddb, url))
    queries = raddb / "mods-config/sql/main/postgresql/queries.conf"
    lower = 'sql_user_name = "%{tolower:%{User-Name}}"'
    queries.write_text(re.sub(r"^sql_user_name = .*$", lower, queries.read_text(), flags=re.MULTILINE))
    (raddb / "sites-enabled" / "default").write_text(SITE % {"auth": auth_port, "acct": acct_port})
    (raddb / "clients.conf").write_text(f"client here {{\n  ipaddr = 127.0.0.1\n  secret = {secret}\n}}\n")
    main = (raddb / "radiusd.conf").read_text()
    for pattern, value in (
        (r"^\s*(user|group) = .*$", ""),
        (r"^logdir = .*$", f"logdir = {directory}/log"),
        (r"^run_dir = .*$", f"run_dir = {directory}"),
        (r"^pidfile = .*$", f"pidfile = {directory}/fr.pid"),
        (r"^(\s*)max_requests = .*$", r"\1max_requests = 65536"),
    ):
        main = re.sub(pattern, value, main, flags=re.MULTILINE)
    (raddb / "radiusd.conf").write_text(main)
    return raddb


def _sql(raddb: Path, url: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    where = " ".join(f"{name}={parts[name]}" for name in ("host", "dbname", "user", "password"))
    text = (raddb / "mods-available" / "sql").read_text()
    text = re.sub(r"^(\s*)dialect = .*$", r'\1dialect = "postgresql"', text, flags=re.MULTILINE)
    text = re.sub(r"^(\s*)driver = .*$", r'\1driver = "rlm_sql_postgresql"', text, flags=re.MULTILINE)
    text = re.sub(r"^#?\s*(read_clients|server|port|login|password)\s*=.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"^#?\s*radius_db = .*$", f'radius_db = "{where}"', text, count=1, flags=re.MULTILINE)


def _await_ready(process: subprocess.Popen[bytes], log: Path, out: Path) -> None:
    for _ in range(300):
        if log.exists() and "Ready to process" in log.read_text():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(out.read_text() + (log.read_text() if log.exists() else ""))
