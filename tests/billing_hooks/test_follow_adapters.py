"""How each system is read: against its simulator, a real database or a file; and what any answer makes of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from billing_hooks.follow import mapped, sql
from billing_hooks.follow.adapters import ADAPTERS
from billing_hooks.follow.base import Reading, Standings, Unreadable, Word, parse_standings
from billing_hooks.follow.csv_file import read_octets
from billing_hooks.gateways.base import Access
from billing_hooks.gateways.http import GatewayAway, GatewayDenied
from billing_hooks.simulators.erp import ERPS, Simulation, Subscriber
from core.access import HoldEffect
from core.database import Database, libpq_url
from core.errors import InvalidInput, ProvedorError

CREDENTIALS = {"ixc": {"token": "17:abc:def"}, "sgp": {"token": "t", "app": "Provedor"}}
WALLED, BLOCK, THROTTLE = HoldEffect.WALLED_GARDEN, HoldEffect.BLOCK, HoldEffect.THROTTLE


def access(kind: str, credentials: Mapping[str, str] | None = None, **settings: str) -> Access:
    known = {"base_url": "http://erp.test"} if kind in ERPS else {}
    return Access({**ADAPTERS[kind].settings, **known, **settings}, credentials or CREDENTIALS.get(kind, {}))


def read(kind: str, app: Starlette | None = None, given: Access | None = None, known: tuple[str, ...] = ()) -> Reading:
    def client(_: Access) -> httpx.Client:
        assert app is not None
        return TestClient(app, "http://erp.test", raise_server_exceptions=False)

    return ADAPTERS[kind].read(given or access(kind), client, known)


def simulate(kind: str, count: int) -> Simulation:
    simulation = ERPS[kind](CREDENTIALS[kind], [])
    full = simulation.erp.standings[0]
    simulation.erp.subscribers |= {
        f"s{n}": Subscriber(n, f"s{n}", f"{n:011d}", f"Cliente {n}", full) for n in range(1, count + 1)
    }
    return simulation


@pytest.mark.parametrize(
    ("kind", "count"), [("ixc", 0), ("ixc", 1), ("ixc", 7), ("sgp", 0), ("sgp", 100), ("sgp", 101)]
)
def test_everybody_is_read_page_by_page(kind: str, count: int) -> None:
    reading = read(kind, simulate(kind, count).app, access(kind, page_size="3") if kind == "ixc" else None)
    assert [word.key for word in reading.words] == [str(number) for number in range(1, count + 1)]
    assert all(word.effect is None and word.logins == (f"s{word.key}",) for word in reading.words)
    assert all(word.document == f"{int(word.key):011d}" for word in reading.words)
    assert reading.malformed == []


@pytest.mark.parametrize(
    ("code", "effect", "by_hand", "reason"),
    [
        ("A", None, False, "Ativo"), ("FA", WALLED, False, "Financeiro em atraso"),
        ("AA", None, False, "Aguardando assinatura"),
        ("CA", WALLED, False, "Bloqueio automático"), ("CM", WALLED, True, "Bloqueio manual"),
        ("D", BLOCK, True, "Desativado"), ("R", THROTTLE, False, "Velocidade reduzida"),
    ],
)  # fmt: skip
def test_what_the_codes_of_ixc_mean(code: str, effect: HoldEffect | None, by_hand: bool, reason: str) -> None:
    simulation = simulate("ixc", 1)
    simulation.erp.subscribers["s1"].standing = code
    (word,) = read("ixc", simulation.app).words
    assert (word.effect, word.by_hand, word.reason) == (effect, by_hand, reason)


def test_who_a_contract_of_ixc_is_is_read_for_new_ones_only() -> None:
    simulation = simulate("ixc", 2)
    known = read("ixc", simulation.app, known=("1", "2", "9"))
    assert (known.identified, known.words[0].logins, known.words[0].customer_ref) == (False, (), "1001")
    new = read("ixc", simulation.app, known=("1",))
    assert (new.identified, new.words[0].logins) == (True, ("s1",))


@pytest.mark.parametrize(
    ("code", "effect"), [("Ativo", None), ("Suspenso", WALLED), ("Ativo V. Reduzida", THROTTLE), ("Novo", None)]
)
def test_what_the_standings_of_sgp_mean(code: str, effect: HoldEffect | None) -> None:
    simulation = simulate("sgp", 2)
    simulation.erp.subscribers["s1"].standing = code
    simulation.erp.subscribers["s1"].reason = "Inadimplência"
    simulation.erp.subscribers["s2"].standing = "Cancelado"  # over: says nothing
    (word,) = read("sgp", simulation.app).words
    assert (word.effect, word.by_hand, word.reason) == (effect, False, "Inadimplência")


def test_a_setting_says_what_a_code_means_and_one_without_meaning_is_malformed() -> None:
    simulation = simulate("ixc", 2)
    simulation.erp.subscribers["s1"].standing = "FA"
    reading = read("ixc", simulation.app, access("ixc", standings="fa = block!"))
    assert [(word.key, word.effect, word.by_hand) for word in reading.words] == [("1", BLOCK, True)]
    assert [(one.key, "'A'" in one.detail) for one in reading.malformed] == [("2", True)]


@pytest.mark.parametrize("kind", ["ixc", "sgp"])
def test_wrong_credentials_are_denied_and_a_system_that_is_away_is_away(kind: str) -> None:
    simulation = simulate(kind, 3)
    wrong = {name: value + "x" for name, value in CREDENTIALS[kind].items()}
    with pytest.raises(GatewayDenied):
        read(kind, simulation.app, access(kind, wrong))
    simulation.erp.away = 502
    with pytest.raises(GatewayAway):
        read(kind, simulation.app)
    simulation.erp.away = 200  # a panel answers HTML
    with pytest.raises(Unreadable, match="no JSON"):
        read(kind, simulation.app)


def test_the_simulated_ixc_refuses_what_the_real_one_does() -> None:
    client = TestClient(simulate("ixc", 25).app, "http://erp.test")
    auth, listing = httpx.BasicAuth("17", "abc:def"), {"ixcsoft": "listar"}
    body = {"qtype": "cliente_contrato.id", "query": "0", "oper": ">", "page": "2", "rp": "10",
            "sortname": "cliente_contrato.id", "sortorder": "desc"}  # fmt: skip
    path = "/webservice/v1/cliente_contrato"
    assert client.post(path, json=body, headers=listing).status_code == 401
    page = client.post(path, json=body, headers=listing, auth=auth)
    assert page.headers["content-type"].startswith("text/x-json")
    assert (page.json()["total"], [row["id"] for row in page.json()["registros"]][:2]) == ("25", ["15", "14"])
    for broken in (
        client.post(path, json=body, auth=auth),
        client.post("/webservice/v1/fn_segredo", json=body, headers=listing, auth=auth),
        client.post(path, json=body | {"qtype": "cliente.id"}, headers=listing, auth=auth),
        client.post(path, json={}, headers=listing, auth=auth),
    ):
        assert (broken.status_code, broken.json()["type"]) == (200, "error")
        assert broken.headers["content-type"].startswith("text/html")
    more = body | {"page": "1", "grid_param": json.dumps([{"TB": "cliente_contrato.id", "OP": "<=", "P": "3"}])}
    assert client.post(path, json=more, headers=listing, auth=auth).json()["total"] == "3"
    nobody = client.post(path, json=body | {"query": "999"}, headers=listing, auth=auth).json()
    assert nobody == {"page": "2", "total": "0"}


def test_a_standing_is_set_in_a_simulated_system_over_http() -> None:
    client = TestClient(simulate("ixc", 2).app, "http://erp.test")
    assert client.post("/_simulate/subscribers/s1", json={"standing": "FA"}).json()["standing"] == "FA"
    assert client.post("/_simulate/subscribers/s1", json={"standing": "?"}).status_code == 400
    assert client.post("/_simulate/subscribers/nobody", json={"standing": "A"}).status_code == 404
    assert [one["standing"] for one in client.post("/_simulate/all", json={"standing": "CM"}).json()] == ["CM", "CM"]
    assert client.post("/_simulate/hide", json={"hidden": True}).json() == {"hidden": True}
    assert client.post("/_simulate/away/503").json() == {"away": 503}


class _Answers:
    """A system that answers these octets to everything."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def client(self, _: Access) -> httpx.Client:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=self.octets))
        return httpx.Client(base_url="http://erp.test", transport=transport)


_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["A", "FA", "CM", "1"])
)
_fields = ("id", "status_internet", "status", "id_cliente", "contratos", "servicos", "login", "nome", "cpfcnpj")
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
)
_rows = st.dictionaries(st.sampled_from(_fields), _values)
_answers = st.one_of(
    st.binary(max_size=60),
    st.lists(_rows, max_size=3).map(
        lambda rows: json.dumps(
            {"total": str(len(rows)), "registros": rows, "clientes": rows, "paginacao": {"total": len(rows)}}
        ).encode()
    ),
    st.dictionaries(st.sampled_from(["total", "registros", "message", "paginacao", "clientes", "msg"]), _scalars).map(
        lambda answer: json.dumps(answer).encode()
    ),
)


@pytest.mark.parametrize("kind", ["ixc", "sgp"])
@given(answer=_answers)
def test_any_answer_reads_as_standings_or_is_malformed_or_unreadable_and_nothing_else(kind: str, answer: bytes) -> None:
    try:
        reading = ADAPTERS[kind].read(access(kind), _Answers(answer).client, ())
    except ProvedorError:
        return
    assert_sound(reading)


def assert_sound(reading: Reading) -> None:
    keys = [word.key for word in reading.words]
    assert len(set(keys)) == len(keys)
    for word in reading.words:
        assert word.key
        assert "\x00" not in json.dumps([word.reason, word.name, word.document, *word.logins])
        assert word.effect is None or isinstance(word.effect, HoldEffect)
        assert not (word.by_hand and word.effect is None)
    assert all(one.detail_pt != one.detail and one.words.pt != one.words.en for one in reading.malformed)


def test_a_system_that_ignores_paging_or_lists_too_few_is_not_believed() -> None:
    rows = [{"id": "1", "status_internet": "A"}]
    for total, complaint in ((2, "lists"), (600, "two pages")):
        answer = json.dumps({"total": total, "registros": rows * (1 if total == 2 else 300)}).encode()
        with pytest.raises(Unreadable, match=complaint):
            ADAPTERS["ixc"].read(access("ixc"), _Answers(answer).client, ())


def test_one_that_is_listed_twice_with_two_standings_says_nothing() -> None:
    rows = [
        (1, {"id": "a", "standing": "full"}),
        (2, {"id": "a", "standing": "block"}),
        (3, {"id": "b", "standing": "full"}),
    ]
    reading = mapped.read_rows(rows, mapped.STANDINGS)
    assert ([word.key for word in reading.words], [one.key for one in reading.malformed]) == (["b"], ["a"])


@given(st.text(max_size=40))
def test_standings_are_parsed_or_refused(text: str) -> None:
    try:
        found = parse_standings(text)
    except InvalidInput:
        return
    assert isinstance(found, Standings)
    assert found.meanings


MKAUTH = """
CREATE TABLE sis_cliente (login VARCHAR(64), nome VARCHAR(64), cpf_cnpj VARCHAR(20), bloqueado VARCHAR(5),
  cli_ativado VARCHAR(1));
CREATE TABLE sis_adicional (username VARCHAR(64), login VARCHAR(64), bloqueado VARCHAR(5));
INSERT INTO sis_cliente VALUES ('ana', 'Ana 100%', '111.444.777-35', 'nao', 's'), ('bia', 'Bia', '', 'sim', 's'),
  ('old', 'Old', '', 'sim', 'n');
INSERT INTO sis_adicional VALUES ('ana-2', 'ana', 'sim'), ('old-2', 'old', 'sim');
"""
ANA = [
    Word("ana", None, name="Ana 100%", document="11144477735", logins=("ana",)),
    Word("ana-2", WALLED, name="Ana 100%", document="11144477735", logins=("ana-2",)),
    Word("bia", WALLED, name="Bia", logins=("bia",)),
]


@pytest.fixture
def mkauth_file(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "mk.db") as connection:
        connection.executescript(MKAUTH)
    connection.close()
    return f"sqlite:///{tmp_path / 'mk.db'}"


def by_key(reading: Reading) -> list[Word]:
    return sorted(reading.words, key=lambda word: word.key)


def test_mk_auths_tables_are_a_preset(mkauth_file: str, database: Database, database_url: str) -> None:
    assert by_key(read("sql", given=access("sql", {"url": mkauth_file}, preset="mkauth"))) == ANA
    with database.engine.begin() as connection:
        connection.exec_driver_sql(MKAUTH, execution_options={"no_parameters": True})
    assert by_key(read("sql", given=access("sql", {"url": libpq_url(database_url)}, preset="mkauth"))) == ANA


def test_a_query_of_ones_own_is_mapped_by_its_names(mkauth_file: str) -> None:
    query = "SELECT login AS ID, bloqueado AS Standing, 1 AS by_hand, 'é 5%: x' AS reason, 7 AS other FROM sis_cliente"
    given = access("sql", {"url": mkauth_file}, query=query, standings="sim=block")
    reading = read("sql", given=given)
    assert by_key(reading) == [Word(key, BLOCK, True, "é 5%: x") for key in ("bia", "old")]
    assert [one.key for one in reading.malformed] == ["ana"]


def test_nothing_is_ever_written_there(mkauth_file: str, database_url: str) -> None:
    for url in (mkauth_file, libpq_url(database_url)):
        with (
            pytest.raises(Unreadable, match=r"read-?only|readonly|não pode|cannot execute"),
            sql._connection(sql._url(url)) as connection,
        ):
            connection.exec_driver_sql("CREATE TABLE ours (id INT)")
    for query in ("DELETE FROM x", "SELECT 1; DELETE FROM x"):
        with pytest.raises(InvalidInput):
            ADAPTERS["sql"].check({**ADAPTERS["sql"].settings, "query": query}, {})


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:very-secret@127.0.0.1:1/x", "mysql://u:very-secret@127.0.0.1:1/x", "sqlite:////nowhere/x.db"],
)
def test_a_database_that_is_not_there_is_said_without_its_password(url: str) -> None:
    with pytest.raises(Unreadable) as away:
        read("sql", given=access("sql", {"url": url}, preset="mkauth"))
    assert "very-secret" not in away.value.detail


@pytest.mark.parametrize("url", ["oracle://x", "not a url", "mysql://u:very-secret@host:port/x"])
def test_a_url_that_is_none_is_refused_without_its_text(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ADAPTERS["sql"].check({**ADAPTERS["sql"].settings, "preset": "mkauth"}, {"url": url})
    assert (refused.value.field, "very-secret" in refused.value.detail) == ("credentials.url", False)


def csv_settings(**settings: str) -> dict[str, str]:
    columns = {"column_id": "Código", "column_standing": "Situação", "column_login": "Login", "column_document": "CPF"}
    return {**ADAPTERS["csv"].settings, "standings": "Ativo=full, Bloqueado=walled_garden", **columns, **settings}


CSV = (
    "Código;Login;Situação;CPF;Outra\r\n7;ana;Bloqueado;111.444.777-35;x\r\n\r\n"
    "8;bia bia2; ATIVO ;;\r\n9;;Estranha;;\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig"])
def test_a_file_is_read_by_the_names_of_its_columns(encoding: str) -> None:
    reading = read_octets(CSV.encode(encoding), csv_settings())
    assert reading.words == [
        Word("7", WALLED, document="11144477735", logins=("ana",)), Word("8", None, logins=("bia", "bia2")),
    ]  # fmt: skip
    assert [(one.key, "Estranha" in one.detail) for one in reading.malformed] == [("9", True)]


@given(st.integers(min_value=0, max_value=len(CSV.encode()) - 1))
def test_a_file_that_is_cut_anywhere_is_not_taken_or_is_whole_lines(length: int) -> None:
    try:
        reading = read_octets(CSV.encode()[:length], csv_settings())
    except Unreadable:
        return
    assert [word.key for word in reading.words] in ([], ["7"], ["7", "8"])


@given(st.one_of(st.binary(max_size=80), st.text(alphabet='id;standing\n"fulbock1 ', max_size=80).map(str.encode)))
def test_any_file_reads_as_standings_or_is_malformed_or_unreadable(octets: bytes) -> None:
    try:
        reading = read_octets(octets, ADAPTERS["csv"].settings)
    except Unreadable:
        return
    assert_sound(reading)


def test_a_file_is_read_from_here_or_from_a_web_server(tmp_path: Path) -> None:
    file = tmp_path / "clientes.csv"
    file.write_bytes(CSV.encode())
    here = access("csv", **csv_settings(path=str(file)))
    assert len(read("csv", given=here).words) == 2
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=CSV.encode())

    there = access(
        "csv", {"user": "u", "password": "p"}, **csv_settings(base_url="http://erp.test/x", path="clientes.csv")
    )
    client = httpx.Client(base_url="http://erp.test/x", transport=httpx.MockTransport(answer))
    assert len(ADAPTERS["csv"].read(there, lambda _: client, ()).words) == 2
    assert (str(asked[0].url), asked[0].headers["authorization"][:5]) == ("http://erp.test/x/clientes.csv", "Basic")
    file.unlink()
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        read("csv", given=here)


def test_no_other_file_of_this_machine_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("id;standing\n1:aa;full\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "secret.key")
    for path in (tmp_path / "secret.key", Path("relative.csv"), Path("/etc/passwd")):
        with pytest.raises(InvalidInput, match="absolute path"):
            ADAPTERS["csv"].check(csv_settings(path=str(path)), {})
    with pytest.raises(InvalidInput, match="absolute path"):
        read("csv", given=access("csv", **csv_settings(path=str(tmp_path / "link.csv"))))


@pytest.mark.parametrize(
    ("kind", "settings", "credentials", "field"),
    [
        ("ixc", {"standings": "A"}, {}, "settings.standings"),
        ("ixc", {"base_url": ""}, {}, "settings.base_url"),
        ("ixc", {"page_size": "0"}, {}, "settings.page_size"),
        ("ixc", {}, {"token": "no-colon"}, "credentials.token"),
        ("sql", {}, {}, "settings.query"),
        ("sql", {"preset": "nothing"}, {}, "settings.preset"),
        ("csv", {"path": ""}, {}, "settings.path"),
        ("csv", {"path": "/x.csv", "delimiter": ""}, {}, "settings.delimiter"),
        ("csv", {"path": "/x.csv", "column_id": ""}, {}, "settings.column_id"),
    ],
)
def test_what_could_read_nothing_is_refused_by_its_field(
    kind: str, settings: dict[str, str], credentials: dict[str, str], field: str
) -> None:
    given: dict[str, Any] = {**access(kind).settings, **settings}
    with pytest.raises(InvalidInput) as refused:
        ADAPTERS[kind].check(given, credentials)
    assert refused.value.field == field
