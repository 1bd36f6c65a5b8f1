"""Import from CSV: good rows land, bad rows say why, a second run changes nothing."""

from __future__ import annotations

import io
from datetime import date

import pytest
from factories import make_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from core.audit import Actor
from core.database import Database
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models.service import Service
from provedor.imports.csv_file import Importer

FILE = """login,password,plan,customer_name,document,due_day,ipv4_address
ana,senha1,Fibra,Ana,529.982.247-25,5,100.64.0.9
bia,senha2,Fibra,Bia,,,
caio,,Fibra,Caio,,,
davi,x,Nada,Davi,,,
eva,x,Fibra,Eva,111.111.111-11,,
fabio,x,Fibra,Fabio,,99,
gil,x,Fibra,Gil,,,300.1.1.1
"""


@pytest.fixture
def importer(database: Database, keyring: Keyring) -> Importer:
    with database.transaction() as session:
        make_plan(session, name="Fibra")
    return Importer(database, keyring, Actor("test"), date(2026, 11, 24))


def count(database: Database) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).select_from(Service)) or 0


def test_good_rows_land_and_bad_rows_say_why(importer: Importer, database: Database) -> None:
    results = list(importer.run(io.StringIO(FILE), dry_run=False))
    assert [result.outcome for result in results] == ["created"] * 2 + ["rejected"] * 5
    reasons = [result.reason.split(":")[0] for result in results if result.reason]
    assert reasons == ["password", "plan", "document", "due_day", "ipv4_address"]
    assert [result.line for result in results] == list(range(2, 9))
    again = list(importer.run(io.StringIO(FILE), dry_run=False))
    assert [result.outcome for result in again] == ["exists"] * 2 + ["rejected"] * 5
    assert count(database) == 2


def test_locks_come_along(importer: Importer, database: Database) -> None:
    file = """login;password;plan;customer_name;mac_lock;circuit_lock
ana;s;Fibra;Ana;aa-bb-cc-00-00-01|AA:BB:CC:00:00:02;Ether 1
bia;s;Fibra;Bia;learn;
caio;s;Fibra;Caio;no device;
"""
    results = list(importer.run(io.StringIO(file), dry_run=False))
    assert [(one.outcome, one.reason.split(":")[0]) for one in results] == [
        ("created", ""), ("created", ""), ("rejected", "mac_lock"),
    ]  # fmt: skip
    with database.transaction() as session:
        locks = session.execute(select(Service.mac_lock, Service.circuit_lock).order_by(Service.id)).all()
    assert [tuple(one) for one in locks] == [(["AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"], ["ether 1"]), ([], None)]


def test_a_dry_run_keeps_nothing(importer: Importer, database: Database) -> None:
    results = list(importer.run(io.StringIO(FILE), dry_run=True))
    assert [result.outcome for result in results][:2] == ["created", "created"]
    assert count(database) == 0


def test_a_character_that_cannot_be_stored_names_its_column(importer: Importer) -> None:
    file = io.StringIO("login,password,plan,customer_name\na\0b,x,Fibra,Ana\nana,x,Fi\0bra,Ana\n")
    results = list(importer.run(file, dry_run=False))
    assert [result.reason.split(":")[0] for result in results] == ["login", "plan"]


def test_semicolons_separate_as_well(importer: Importer, database: Database) -> None:
    file = io.StringIO("login;password;plan;customer_name\nana;a,b;Fibra;Ana, a vizinha\n")
    assert [result.outcome for result in importer.run(file, dry_run=False)] == ["created"]
    assert count(database) == 1


def test_a_dry_run_tells_of_a_login_that_comes_twice(importer: Importer) -> None:
    file = io.StringIO("login,password,plan,customer_name\nana,x,Fibra,Ana\nana,y,Fibra,Ana\n")
    assert [result.outcome for result in importer.run(file, dry_run=True)] == ["created", "exists"]


@pytest.mark.parametrize("octets", ["zé,x,Fibra,Zé\n".encode("latin-1"), b"a" * 200_000 + b",x,Fibra,A\n"])
def test_what_is_no_csv_in_utf8_is_said_and_the_rows_before_it_stand(
    octets: bytes, importer: Importer, database: Database
) -> None:
    head = b"login,password,plan,customer_name\n" + b"ana,x,Fibra,Ana\n" * 1
    file = io.TextIOWrapper(io.BytesIO(head + b"bia,x,Fibra,Bia\n" * 1000 + octets), encoding="utf-8", newline="")
    with pytest.raises(InvalidInput) as refused:
        list(importer.run(file, dry_run=False))
    assert refused.value.field == "file"
    assert count(database) == 2


def test_a_missing_column_is_named(importer: Importer) -> None:
    with pytest.raises(InvalidInput, match="customer_name"):
        list(importer.run(io.StringIO("login,password,plan\n"), dry_run=False))


@given(st.lists(st.lists(st.text(max_size=12), min_size=4, max_size=4), max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_are_created_or_rejected(importer: Importer, rows: list[list[str]]) -> None:
    import csv

    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([["login", "password", "plan", "customer_name"], *rows])
    file.seek(0)
    for result in importer.run(file, dry_run=True):
        assert result.outcome in {"created", "rejected", "exists"}
