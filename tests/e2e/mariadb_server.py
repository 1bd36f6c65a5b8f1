"""A MariaDB of a test's own, as an old system has it: on a socket, its clock in local time."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
from whole_node import wait_for

ACCOUNT = "mysql"


@contextmanager
def mariadb_server(database: str) -> Iterator[str]:
    """The socket of a server with this empty database; root has no password."""
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
                connection.cursor().execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
            yield f"{home}/s"
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(home)
