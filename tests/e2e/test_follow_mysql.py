"""MK-Auth's tables in a real MariaDB: read by the preset, and never written."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
from mariadb_server import mariadb_server

from billing_hooks.follow import sql
from billing_hooks.follow.base import Unreadable, Word
from billing_hooks.gateways.base import Access
from core.access import HoldEffect

pytestmark = pytest.mark.e2e


TABLES = (
    """CREATE TABLE sis_cliente (id INT AUTO_INCREMENT PRIMARY KEY, login VARCHAR(64), nome VARCHAR(255),
       cpf_cnpj VARCHAR(20), senha VARCHAR(64), bloqueado ENUM('nao', 'sim'), cli_ativado ENUM('s', 'n'))
       CHARACTER SET latin1""",
    """CREATE TABLE sis_adicional (id INT AUTO_INCREMENT PRIMARY KEY, login VARCHAR(64), username VARCHAR(64),
       bloqueado ENUM('nao', 'sim')) CHARACTER SET latin1""",
    """INSERT INTO sis_cliente (login, nome, cpf_cnpj, bloqueado, cli_ativado) VALUES
       ('joao', 'João', '111.444.777-35', 'sim', 's'), ('foi', 'Foi', '', 'sim', 'n')""",
    "INSERT INTO sis_adicional (login, username, bloqueado) VALUES ('joao', 'joao2', 'nao')",
)


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    with mariadb_server("mkradius") as path:
        with pymysql.connect(unix_socket=path, user="root", database="mkradius", autocommit=True) as connection:
            for statement in TABLES:
                connection.cursor().execute(statement)
        yield path


def test_mk_auths_subscribers_are_read_from_mariadb(socket: str) -> None:
    url = f"mysql://root@localhost/mkradius?unix_socket={socket}"
    reading = sql.Sql().read(Access({**sql.Sql.settings, "preset": "mkauth"}, {"url": url}), _nobody, ())
    assert sorted(reading.words, key=lambda word: word.key) == [
        Word("joao", HoldEffect.WALLED_GARDEN, name="João", document="11144477735", logins=("joao",)),
        Word("joao2", None, name="João", document="11144477735", logins=("joao2",)),
    ]


def test_the_server_itself_refuses_to_write(socket: str) -> None:
    url = sql._url(f"mysql://root@localhost/mkradius?unix_socket={socket}")
    with pytest.raises(Unreadable, match="READ ONLY"), sql._connection(url) as connection:
        connection.exec_driver_sql("DELETE FROM sis_cliente")


def _nobody(_: Access) -> None:  # type: ignore[misc]
    raise AssertionError("a database is no web server")
