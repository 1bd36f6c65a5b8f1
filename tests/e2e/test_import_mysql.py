"""The tables of a FreeRADIUS in MariaDB, as its own schema makes them: read as PostgreSQL's are, and by its rules."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymysql
import pytest
from mariadb_server import mariadb_server

from provedor.imports.accounts import Level, Rules, judge
from provedor.imports.old_tables import OldDatabaseAway, read_tables

pytestmark = pytest.mark.e2e

SCHEMA = Path("/etc/freeradius/3.0/mods-config/sql/main/mysql/schema.sql")


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    """The URL of an empty FreeRADIUS database."""
    with mariadb_server("radius") as socket:
        subprocess.run(["mariadb", "--no-defaults", f"--socket={socket}", "radius"], stdin=SCHEMA.open(), check=True)
        yield f"mysql://root@localhost/radius?unix_socket={socket}"


def test_users_groups_nases_and_open_sessions_are_read_and_names_ignore_case(mariadb: str) -> None:
    socket = mariadb.rpartition("=")[2]
    with pymysql.connect(unix_socket=socket, user="root", database="radius", autocommit=True) as connection:
        execute = connection.cursor().execute
        execute("INSERT INTO radcheck (username, attribute, op, value) VALUES ('Ana', 'Cleartext-Password', ':=', 'ç')")
        execute("INSERT INTO radusergroup (username, groupname, priority) VALUES ('ANA', 'home', 1)")
        execute(
            "INSERT INTO radgroupreply (groupname, attribute, op, value) "
            "VALUES ('home', 'Mikrotik-Rate-Limit', ':=', '50M/200M')"
        )
        execute("INSERT INTO nas (nasname, shortname, secret) VALUES ('192.0.2.1', 'bras', 's')")
        execute(
            "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress, "
            "callingstationid, calledstationid) VALUES ('1', '1', 'ana', '192.0.2.1', now(), '100.64.0.9', '', '')"
        )
        execute(
            "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime, "
            "callingstationid, calledstationid) VALUES ('2', '2', 'ana', '192.0.2.1', now(), now(), '', '')"
        )
    tables = read_tables(mariadb, with_sessions=True)
    assert tables.case_insensitive
    (session,) = tables.sessions
    assert (session["acctsessionid"], session["framedipaddress"]) == ("1", "100.64.0.9")
    assert abs(session["acctstarttime"] - datetime.now(UTC)) < timedelta(minutes=1)  # its clock is three hours behind
    judged = judge(tables, Rules(lowercase=tables.case_insensitive), {}, datetime.now(UTC))
    (account,) = judged.accounts
    assert (account.login, account.password, account.plan) == ("ana", "ç", "home")
    assert [one for one in judged.findings if one.level is Level.REJECTED] == []
    assert judged.spellings["Ana"] == "ana"


def test_one_that_is_not_there_is_said_without_its_password(mariadb: str) -> None:
    with pytest.raises(OldDatabaseAway) as away:
        read_tables("mysql://radius:very-secret@127.0.0.1:1/radius", with_sessions=False)
    assert "very-secret" not in away.value.detail
