"""The tables of a FreeRADIUS in MariaDB, as its own schema makes them: read as PostgreSQL's are, and by its rules."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymysql
import pytest
from whole_node import wait_for

from provedor.imports.accounts import Level, Rules, judge
from provedor.imports.old_tables import OldDatabaseAway, read_tables

pytestmark = pytest.mark.e2e

SCHEMA = Path("/etc/freeradius/3.0/mods-config/sql/main/mysql/schema.sql")
ACCOUNT = "mysql"


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty FreeRADIUS database."""
    home = Path("/tmp") / f"provedor-mariadb-{os.getpid()}"  # a socket's path is short, and the server is not root
    home.mkdir()
    account = pwd.getpwnam(ACCOUNT if ACCOUNT in {one.pw_name for one in pwd.getpwall()} else "nobody")
    os.chown(home, account.pw_uid, account.pw_gid)
    user, data, socket = f"--user={account.pw_name}", f"--datadir={home}/data", f"--socket={home}/s"
    try:
        subprocess.run(["mariadb-install-db", "--no-defaults", user, data, "--auth-root-authentication-method=normal"],
                       check=True, capture_output=True)  # fmt: skip
        server = subprocess.Popen(["mariadbd", "--no-defaults", user, data, socket, "--skip-networking",
                                   "--default-time-zone=-03:00"], stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            wait_for((home / "s").exists)
            with pymysql.connect(unix_socket=str(home / "s"), user="root", autocommit=True) as connection:
                connection.cursor().execute("CREATE DATABASE radius CHARACTER SET utf8mb4")
            subprocess.run(["mariadb", "--no-defaults", socket, "radius"], stdin=SCHEMA.open(), check=True)
            yield f"mysql://root@localhost/radius?unix_socket={home}/s"
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(home)


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
