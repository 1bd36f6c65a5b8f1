"""Any SQL database, by a query whose columns have the names of `mapped`; MK-Auth's tables are a preset.

The query runs in a transaction that the server itself keeps read-only, with a limit on time and rows. The URL is
SQLAlchemy's (`mysql+pymysql://…`, `postgresql+psycopg://…`, `sqlite:////…`) and is a credential: a password is in it.

MK-Auth (database `mkradius`): `sis_cliente` is customer and login in one row, `sis_adicional` further logins of a
customer; `bloqueado` is sim or nao, `cli_ativado` s for who is in force. Sources: public add-ons that read these
tables. No instance of the vendor's was tried. Who blocked, a person or its automatism, the tables do not tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from billing_hooks.follow.base import SUBSCRIBERS_MAX, MakeClient, Reading, Unreadable, parse_standings
from billing_hooks.follow.mapped import COLUMNS, REQUIRED, STANDINGS, read_rows
from billing_hooks.gateways.base import Access
from billing_hooks.invoicing.words import Words
from core.errors import InvalidInput

CONNECT_S: Final = 10
QUERY_S: Final = 60
_PAGE: Final = 5000


class Preset(NamedTuple):
    query: str
    standings: str


PRESETS: Final[Mapping[str, Preset]] = {
    "mkauth": Preset(
        "SELECT c.login AS id, c.login AS login, c.cpf_cnpj AS document, c.nome AS name, c.bloqueado AS standing "
        "FROM sis_cliente c WHERE c.cli_ativado = 's' "
        "UNION ALL "
        "SELECT a.username, a.username, c.cpf_cnpj, c.nome, a.bloqueado "
        "FROM sis_adicional a JOIN sis_cliente c ON c.login = a.login WHERE c.cli_ativado = 's'",
        "nao=full, sim=walled_garden",
    )
}


class _Server(NamedTuple):
    """How a server is told to be quick and to write nothing."""

    driver: str
    arguments: Mapping[str, Any]
    begin: str


_SERVERS: Final[Mapping[str, _Server]] = {
    "mysql": _Server(
        "pymysql", {"connect_timeout": CONNECT_S, "read_timeout": QUERY_S, "charset": "utf8mb4"},
        "SET SESSION TRANSACTION READ ONLY",
    ),
    "postgresql": _Server(
        "psycopg",
        {"connect_timeout": CONNECT_S, "application_name": "provedor-follow",
         "options": f"-c default_transaction_read_only=on -c statement_timeout={QUERY_S * 1000}"},
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ),
    "sqlite": _Server("pysqlite", {"timeout": CONNECT_S}, "PRAGMA query_only = ON"),
}  # fmt: skip


class Sql:
    settings: Mapping[str, str] = {"preset": "", "query": "", "standings": ""}
    credentials: Sequence[str] = ("url",)

    def check(self, settings: Mapping[str, str], credentials: Mapping[str, str]) -> None:
        if settings["preset"] and settings["preset"] not in PRESETS:
            raise InvalidInput(f"presets are {', '.join(PRESETS)}", field="settings.preset")
        if bool(settings["preset"]) == bool(settings["query"]):
            raise InvalidInput("give `preset` or `query`", field="settings.query")
        if settings["query"] and not settings["query"].lstrip().upper().startswith(("SELECT", "WITH")):
            raise InvalidInput("begins with SELECT or WITH: nothing is written there", field="settings.query")
        if ";" in settings["query"]:
            raise InvalidInput("is one statement, without a semicolon", field="settings.query")
        parse_standings(_preset(settings).standings)
        if "url" in credentials:
            _url(credentials["url"])

    def read(self, access: Access, make_client: MakeClient, known: Collection[str]) -> Reading:  # noqa: ARG002
        preset = _preset(access.settings)
        with _connection(_url(access.credentials["url"])) as connection:
            return read_rows(enumerate(_rows(connection, preset.query), 1), preset.standings)


def _preset(settings: Mapping[str, str]) -> Preset:
    """The query and the meanings of its standings: the preset's, the settings' own, or the words of ours."""
    found = PRESETS.get(settings["preset"], Preset(settings["query"], STANDINGS))
    return found._replace(standings=settings["standings"] or found.standings)


def _url(text_: str) -> URL:
    """Raises InvalidInput, which never holds the URL."""
    try:
        url = make_url(text_)
    except (ArgumentError, ValueError):
        raise InvalidInput("is no URL of a database", field="credentials.url") from None
    server = _SERVERS.get(url.get_backend_name())
    if server is None:
        raise InvalidInput(f"begins with {', '.join(f'{name}://' for name in _SERVERS)}", field="credentials.url")
    url = url.set(drivername=f"{url.get_backend_name()}+{server.driver}")
    if url.get_backend_name() == "sqlite" and url.database:  # one that is not there is not to be made
        return url.set(database=f"file:{quote(url.database)}").update_query_dict({"mode": "ro", "uri": "true"})
    return url


@contextmanager
def _connection(url: URL) -> Iterator[Connection]:
    """Raises Unreadable with what the server says, which holds no URL."""
    server = _SERVERS[url.get_backend_name()]
    engine = create_engine(url, poolclass=NullPool, connect_args=dict(server.arguments), hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text(server.begin))
            connection.commit()
            yield connection
            connection.rollback()
    except SQLAlchemyError as error:
        raise Unreadable(_why(error, url)) from None


def _rows(connection: Connection, query: str) -> Iterator[dict[str, str]]:
    # Without parameters the driver takes the text as it is: a colon or a percent sign is the query's own.
    result = connection.execution_options(stream_results=True, no_parameters=True).exec_driver_sql(query)
    names = [name.lower() for name in result.keys()]  # noqa: SIM118  (a result is no mapping)
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        lacks, known = ", ".join(missing), ", ".join(COLUMNS)
        raise Unreadable(Words(
            f"a consulta não dá a coluna {lacks}; as colunas são {known}",
            f"the query gives no column {lacks}; columns are {known}",
        ))  # fmt: skip
    count = 0
    while page := result.fetchmany(_PAGE):
        count += len(page)
        if count > SUBSCRIBERS_MAX:
            raise Unreadable(Words(
                f"a consulta dá mais de {SUBSCRIBERS_MAX} linhas",
                f"the query gives more than {SUBSCRIBERS_MAX} rows",
            ))  # fmt: skip
        for row in page:
            yield {name: _text(value) for name, value in zip(names, row, strict=True) if name in COLUMNS}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _why(error: SQLAlchemyError, url: URL) -> Words:
    """With the server's sentence, in one line; drivers may quote the host and the user, never the password."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    said = lines[0][:200] if lines else type(error).__name__
    plain = said.replace(str(url.password), "…") if url.password else said
    return Words(f"o banco de dados não pode ser lido: {plain}", f"the database cannot be read: {plain}")
