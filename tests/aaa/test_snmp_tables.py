"""What a table's rows say of a session: pure."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.authenticator import SharedSecret
from aaa.coa import Target
from aaa.liveness import Addressee, Liveness
from aaa.snmp.tables import (
    CASN_USER_ID,
    CSUB_SESSION_USERNAME,
    HW_ACCESS_USER_NAME,
    IF_NAME,
    JNX_SUBSCRIBER_ACCT_SESSION_ID,
    MTXR_INTERFACE_STATS_NAME,
    SES_SID,
    SETTLED_S,
    SYS_UP_TIME,
    TABLES,
    YOUNG,
    Column,
    Reading,
    Row,
    read,
    row_says,
    same_login,
)
from core.models.network import Vendor

ALIVE, GONE, UNKNOWN = Liveness.ALIVE, Liveness.GONE, Liveness.UNKNOWN
NOW = datetime(2026, 11, 25, tzinfo=UTC)
DAY = 8_640_000
SECRET = SharedSecret(b"s")


def session(number: int = 7, login: str = "ana", acct_session_id: str = "0000001F", **more: object) -> Addressee:
    one = Addressee(
        number, Target("192.0.2.1", 3799, SECRET), b"", b"", login, acct_session_id,
        started_at=NOW - timedelta(hours=1),
    )  # fmt: skip
    return replace(one, **more)  # type: ignore[arg-type]


def reading(table: Column, *names: str, uptimes: tuple[object, object] = (DAY, DAY + 5)) -> Reading:
    return read(table, NOW, [name.encode() for name in names], uptimes)


def says(rows: Reading, one: Addressee, *, vouched: bool = True, ppp_only: bool = True) -> Liveness:
    return rows.says(one, vouched=vouched, ppp_only=ppp_only)


@pytest.mark.parametrize(
    ("table", "names", "one", "liveness"),
    [
        (MTXR_INTERFACE_STATS_NAME, ["ether1", "<pppoe-ana>"], session(), ALIVE),
        (MTXR_INTERFACE_STATS_NAME, ["<l2tp-ana@isp.br>"], session(login="ana@isp.br"), ALIVE),
        (MTXR_INTERFACE_STATS_NAME, ["ether1", "<pppoe-bob>"], session(), GONE),
        (MTXR_INTERFACE_STATS_NAME, ["ether1", "pppoe-out1"], session(), UNKNOWN),  # no session at all: not believed
        (MTXR_INTERFACE_STATS_NAME, ["<pppoe-ana-1>"], session(), UNKNOWN),  # ana's second, or ana-1's first
        (MTXR_INTERFACE_STATS_NAME, ["<pppoe-ana-1>"], session(login="ana-1"), ALIVE),
        (MTXR_INTERFACE_STATS_NAME, ["<pppoe-ANA>"], session(), UNKNOWN),
        (HW_ACCESS_USER_NAME, ["bob@isp", "ana@isp"], session(), ALIVE),  # domain-excluded towards RADIUS
        (HW_ACCESS_USER_NAME, ["ana@isp"], session(login="ana@isp"), ALIVE),
        (HW_ACCESS_USER_NAME, ["ana@other"], session(login="ana@isp"), UNKNOWN),
        (HW_ACCESS_USER_NAME, ["ana"], session(login="ana@isp"), UNKNOWN),
        (HW_ACCESS_USER_NAME, ["bob@isp", ""], session(), GONE),
        (HW_ACCESS_USER_NAME, [], session(), UNKNOWN),
        (HW_ACCESS_USER_NAME, ["bob@isp"], session(login=""), UNKNOWN),
        (JNX_SUBSCRIBER_ACCT_SESSION_ID, ["12", "13:1"], session(acct_session_id="12"), ALIVE),
        (JNX_SUBSCRIBER_ACCT_SESSION_ID, ["13"], session(acct_session_id="12"), GONE),
        (CSUB_SESSION_USERNAME, ["ana"], session(), ALIVE),
        (CSUB_SESSION_USERNAME, ["bob"], session(), UNKNOWN),  # some sessions have no name
        (IF_NAME, ["lo", "ppp0", "ppp1"], session(nas_port_id="ppp0"), UNKNOWN),  # whose, it does not say
        (IF_NAME, ["lo", "ppp1"], session(nas_port_id="ppp0"), GONE),
        (IF_NAME, ["lo", "eth0"], session(nas_port_id="ppp0"), UNKNOWN),
        (IF_NAME, ["lo", "ppp1"], session(nas_port_id="eth0.100"), UNKNOWN),
        (IF_NAME, ["lo", "ppp1"], session(), UNKNOWN),
    ],
)
def test_what_a_column_says(table: Column, names: list[str], one: Addressee, liveness: Liveness) -> None:
    assert says(reading(table, *names), one) is liveness


def test_absence_counts_only_from_an_agent_that_had_our_sessions_before() -> None:
    for table, name in ((HW_ACCESS_USER_NAME, "bob@isp"), (MTXR_INTERFACE_STATS_NAME, "<pppoe-bob>")):
        assert says(reading(table, name), session(), vouched=False) is UNKNOWN


def test_on_a_mikrotik_that_may_have_hotspot_users_absence_says_nothing() -> None:
    assert says(reading(MTXR_INTERFACE_STATS_NAME, "<pppoe-bob>"), session(), ppp_only=False) is UNKNOWN
    assert says(reading(HW_ACCESS_USER_NAME, "bob@isp"), session(), ppp_only=False) is GONE


@pytest.mark.parametrize(
    "uptimes",
    [(SETTLED_S * 100 - 1, SETTLED_S * 100 + 5), (DAY, 3), (None, None), (DAY, None), (b"", b"")],
    ids=["just started", "started in between", "not shown", "not shown at the end", "no number"],
)
def test_absence_counts_only_from_an_agent_that_is_up_for_a_while_and_stays_so(uptimes: tuple[object, object]) -> None:
    rows = reading(HW_ACCESS_USER_NAME, "bob@isp", uptimes=uptimes)
    assert (says(rows, session()), says(rows, session(login="bob"))) == (UNKNOWN, ALIVE)


@pytest.mark.parametrize("started_at", [NOW - YOUNG + timedelta(seconds=1), NOW + timedelta(seconds=3), None])
def test_a_session_that_began_with_the_reading_or_after_is_not_missed(started_at: datetime | None) -> None:
    assert says(reading(HW_ACCESS_USER_NAME, "bob@isp"), session(started_at=started_at)) is UNKNOWN


def test_each_row_vouches_for_one_session_of_its_name() -> None:
    """A dead session beside a living one of the same login must not count as a second that lives."""
    rows = reading(HW_ACCESS_USER_NAME, "ana@isp", "bob@isp")
    first, second = session(1), session(2)
    assert [says(rows, one) for one in (first, second, first)] == [ALIVE, UNKNOWN, ALIVE]
    two = reading(HW_ACCESS_USER_NAME, "ana@isp", "ana@isp")
    assert [says(two, one) for one in (first, second, session(3))] == [ALIVE, ALIVE, UNKNOWN]


ROW = f"{CASN_USER_ID.oid}.31"


@pytest.mark.parametrize(
    ("answer", "vouched", "liveness"),
    [
        ({SYS_UP_TIME: DAY, ROW: b"ana"}, False, ALIVE),
        ({ROW: b"ana"}, False, ALIVE),
        ({SYS_UP_TIME: DAY}, True, GONE),
        ({SYS_UP_TIME: DAY}, False, UNKNOWN),
        ({SYS_UP_TIME: 100}, True, UNKNOWN),
        ({}, True, UNKNOWN),
        ({SYS_UP_TIME: DAY, ROW: b"bob"}, True, UNKNOWN),
        ({SYS_UP_TIME: DAY, ROW: b""}, True, UNKNOWN),
    ],
)
def test_what_a_row_says(answer: dict[str, object], vouched: bool, liveness: Liveness) -> None:
    assert row_says(CASN_USER_ID, session(), answer, ROW, NOW, vouched=vouched) is liveness


@pytest.mark.parametrize(
    ("table", "acct_session_id", "index"),
    [
        (CASN_USER_ID, "0000001F", "31"),
        (CASN_USER_ID, "ffffffff", "4294967295"),
        (CASN_USER_ID, "00000000", None),
        (CASN_USER_ID, "0/0/0/5_0000001F", None),
        (CASN_USER_ID, "1234567890", None),
        (CASN_USER_ID, "", None),
        (SES_SID, "0a", "2.48.97"),
        (SES_SID, "", None),
    ],
)
def test_the_index_of_a_sessions_row(table: Row, acct_session_id: str, index: str | None) -> None:
    assert table.index(session(acct_session_id=acct_session_id)) == index


def test_an_accel_ppp_row_is_the_sessions_when_it_has_its_id() -> None:
    one = session(acct_session_id="d2a1")
    oid = f"{SES_SID.oid}.{SES_SID.index(one)}"
    assert row_says(SES_SID, one, {oid: b"d2a1"}, oid, NOW, vouched=False) is ALIVE


NAMES = st.text(st.sampled_from("aAb@-1<>"), max_size=6)


BY_NAME = [one for tables in TABLES.values() for one in tables if isinstance(one, Column) and one.presence]


@given(
    table=st.sampled_from(BY_NAME),
    rows=st.lists(NAMES, max_size=8),
    login=NAMES.filter(bool),
    vouched=st.booleans(),
    ppp_only=st.booleans(),
)
def test_a_session_is_never_gone_while_a_row_may_be_its_own(
    table: Column, rows: list[str], login: str, vouched: bool, ppp_only: bool
) -> None:
    one = session(login=login, acct_session_id=login)
    written = "<pppoe-{}>" if table is MTXR_INTERFACE_STATS_NAME else "{}"
    own, alike = written.format(login), written.format(login.swapcase())
    assert says(reading(table, *rows, own), one, vouched=vouched, ppp_only=ppp_only) is ALIVE
    assert says(reading(table, *rows, alike), one, vouched=vouched, ppp_only=ppp_only) is not GONE


@given(name=NAMES, login=NAMES)
def test_a_realm_is_left_out_on_one_side_only(name: str, login: str) -> None:
    with_realm = "@" not in login and name.count("@") == 1 and name.startswith(f"{login}@")
    assert same_login(name, login) == (login != "" and (name == login or with_realm))


def test_no_session_of_a_nokia_or_an_unknown_box_is_looked_for() -> None:
    assert set(Vendor) - set(TABLES) == {Vendor.NOKIA, Vendor.GENERIC}


def test_the_documentation_names_every_table_of_every_vendor() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text()
    written = re.findall(r"^\| (\S+) \| \w+ `([0-9.]+)`", page, re.MULTILINE)
    called = {"MikroTik": Vendor.MIKROTIK, "Huawei": Vendor.HUAWEI, "Cisco": Vendor.CISCO, "Juniper": Vendor.JUNIPER,
              "accel-ppp": Vendor.ACCEL_PPP}  # fmt: skip
    assert [(called[vendor], oid) for vendor, oid in written] == [
        (vendor, table.oid) for vendor, tables in TABLES.items() for table in tables
    ]
