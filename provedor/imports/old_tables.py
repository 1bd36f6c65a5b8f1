"""Reads the tables of a FreeRADIUS database, as its own schema has them, in PostgreSQL or MySQL (MariaDB).

All in one transaction, so that what is read belongs together. Nothing is written there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pymysql

from core.errors import InvalidInput, ProvedorError
from provedor.imports.reply_terms import AttributeRow

_ATTRIBUTES: Final = "attribute, op, value"
_REQUIRED: Final = ("radcheck", "radreply", "radgroupcheck", "radgroupreply", "radusergroup")
_USER_INFO: Final = ("username", "firstname", "lastname", "email", "mobilephone", "homephone", "address", "city")
_ACCOUNTING: Final = (
    "username", "nasipaddress", "acctsessionid", "acctstarttime", "acctupdatetime", "acctinterval", "acctsessiontime",
    "acctinputoctets", "acctoutputoctets", "nasportid", "callingstationid", "calledstationid", "framedipaddress",
    "framedipv6prefix", "delegatedipv6prefix",
)  # fmt: skip


class OldDatabaseAway(ProvedorError):
    """It cannot be reached or read; the detail never holds its URL, in which a password may stand."""

    status = 502
    title = "The other system's database cannot be read"


class NasLine(NamedTuple):
    nasname: str
    shortname: str
    type: str
    secret: str


@dataclass(slots=True)
class OldTables:
    """Rows in the order of their ids. Users are spelled as they are in the database."""

    #: Whether the database finds `Ana` and `ana ` under `ana`.
    case_insensitive: bool = False
    checks: dict[str, list[AttributeRow]] = field(default_factory=lambda: defaultdict(list))
    replies: dict[str, list[AttributeRow]] = field(default_factory=lambda: defaultdict(list))
    group_checks: dict[str, list[AttributeRow]] = field(default_factory=lambda: defaultdict(list))
    group_replies: dict[str, list[AttributeRow]] = field(default_factory=lambda: defaultdict(list))
    #: In the order in which FreeRADIUS asks them.
    groups: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    nas: list[NasLine] = field(default_factory=list)
    #: daloRADIUS's, by user: firstname, lastname, email …
    people: dict[str, Mapping[str, str]] = field(default_factory=dict)
    #: Open rows of radacct.
    sessions: list[Mapping[str, Any]] = field(default_factory=list)

    def set_aside(self, group_prefix: str) -> int:
        """Leave out who is in such a group, and say how many these are."""
        users = [user for user, groups in self.groups.items() if any(one.startswith(group_prefix) for one in groups)]
        for user in users:
            for rows in (self.checks, self.replies, self.groups):
                rows.pop(user, None)
        return len(users)


class _Reader:
    """Either driver's connection, by what both do alike."""

    def __init__(self, connection: Any, schema: str) -> None:  # noqa: ANN401  (a connection by PEP 249)
        self._connection = connection
        self._schema = schema
        #: How far the clock by which times without a zone were written is before UTC.
        self.ahead_of_utc = timedelta(0)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        try:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def columns(self, table: str) -> set[str]:
        """Lower case; empty where there is no such table."""
        query = "SELECT column_name FROM information_schema.columns WHERE table_schema = {} AND lower(table_name) = %s"
        return {str(name).lower() for (name,) in self.rows(query.format(self._schema), table)}


def read_tables(url: str, *, with_sessions: bool) -> OldTables:
    """Raises OldDatabaseAway, or InvalidInput for a URL that is none."""
    with _connect(url) as (reader, case_insensitive):
        missing = [name for name in _REQUIRED if not reader.columns(name)]
        if missing:
            raise OldDatabaseAway(f"there is no table {', '.join(missing)} there: is it FreeRADIUS's database?")
        tables = OldTables(case_insensitive=case_insensitive(reader))
        _read_attributes(reader, tables)
        _read_groups(reader, tables)
        _read_nas(reader, tables)
        _read_people(reader, tables)
        if with_sessions:
            _read_sessions(reader, tables)
    return tables


def _read_attributes(reader: _Reader, tables: OldTables) -> None:
    for name, key, target in (
        ("radcheck", "username", tables.checks),
        ("radreply", "username", tables.replies),
        ("radgroupcheck", "groupname", tables.group_checks),
        ("radgroupreply", "groupname", tables.group_replies),
    ):
        for owner, *row in reader.rows(f"SELECT {key}, {_ATTRIBUTES} FROM {name} ORDER BY id"):  # noqa: S608
            target[str(owner)].append(AttributeRow(*(str(value or "") for value in row)))


def _read_groups(reader: _Reader, tables: OldTables) -> None:
    order = "priority, id" if "id" in reader.columns("radusergroup") else "priority"
    for user, group in reader.rows(f"SELECT username, groupname FROM radusergroup ORDER BY {order}"):  # noqa: S608
        tables.groups[str(user)].append(str(group))


def _read_nas(reader: _Reader, tables: OldTables) -> None:
    if reader.columns("nas"):
        rows = reader.rows("SELECT nasname, shortname, type, secret FROM nas ORDER BY id")
        tables.nas = [NasLine(*(str(value or "").strip() for value in row)) for row in rows]


def _read_people(reader: _Reader, tables: OldTables) -> None:
    present = reader.columns("userinfo")
    names = [name for name in _USER_INFO if name in present]
    if "username" in names:
        for row in reader.rows(f"SELECT {', '.join(names)} FROM userinfo ORDER BY id"):  # noqa: S608
            values: dict[str, str] = {name: str(value or "").strip() for name, value in zip(names, row, strict=True)}
            tables.people[values["username"]] = values


def _read_sessions(reader: _Reader, tables: OldTables) -> None:
    present = reader.columns("radacct")
    names = [name for name in _ACCOUNTING if name in present]
    if not {"username", "nasipaddress", "acctsessionid", "acctstarttime"} <= set(names):
        return
    query = f"SELECT {', '.join(names)} FROM radacct WHERE acctstoptime IS NULL AND acctstarttime IS NOT NULL"  # noqa: S608
    for row in reader.rows(query):
        values = dict.fromkeys(_ACCOUNTING) | dict(zip(names, row, strict=True))
        tables.sessions.append(
            {
                name: _aware(value, reader.ahead_of_utc) if isinstance(value, datetime) else value
                for name, value in values.items()
            }
        )


def _aware(value: datetime, ahead: timedelta) -> datetime:
    """MySQL keeps the server's local time, and no zone with it."""
    return value if value.tzinfo else (value - ahead).replace(tzinfo=UTC)


@contextmanager
def _connect(url: str) -> Iterator[tuple[_Reader, Any]]:
    scheme = urlsplit(url).scheme
    if scheme in {"postgresql", "postgres"}:
        with _postgresql(url) as reader:
            yield reader, _postgresql_ignores_case
    elif scheme in {"mysql", "mariadb"}:
        with _mysql(url) as reader:
            yield reader, _mysql_ignores_case
    else:
        raise InvalidInput("begins with postgresql:// or mysql://", field="--database-url")


@contextmanager
def _postgresql(url: str) -> Iterator[_Reader]:
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="provedor-import") as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield _Reader(connection, "ANY (current_schemas(false))")
    except psycopg.Error as error:
        raise OldDatabaseAway(str(error).strip().splitlines()[0]) from None


def _postgresql_ignores_case(reader: _Reader) -> bool:
    """Of type citext, or under a collation that is not deterministic."""
    found = reader.rows(
        "SELECT format_type(a.atttypid, NULL) = 'citext' OR NOT coalesce(c.collisdeterministic, true) "
        "FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation "
        "WHERE a.attrelid = 'radcheck'::regclass AND a.attname = 'username'"
    )
    return bool(found and found[0][0])


@contextmanager
def _mysql(url: str) -> Iterator[_Reader]:
    parts = urlsplit(url)
    try:
        connection = pymysql.connect(
            host=parts.hostname or "localhost", port=parts.port or 3306, user=unquote(parts.username or ""),
            password=unquote(parts.password or ""), database=parts.path.lstrip("/"), charset="utf8mb4",
            connect_timeout=10, unix_socket=parse_qs(parts.query).get("unix_socket", [None])[0],
        )  # fmt: skip
        try:
            connection.cursor().execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            reader = _Reader(connection, "DATABASE()")
            ((local, utc),) = reader.rows("SELECT NOW(), UTC_TIMESTAMP()")
            reader.ahead_of_utc = local - utc
            yield reader
        finally:
            connection.close()
    except pymysql.MySQLError as error:
        raise OldDatabaseAway(str(error.args[-1] if error.args else error)) from None


def _mysql_ignores_case(reader: _Reader) -> bool:
    rows = reader.rows(
        "SELECT collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = 'radcheck' AND column_name = 'username'"
    )
    return bool(rows and str(rows[0][0]).endswith("_ci"))
