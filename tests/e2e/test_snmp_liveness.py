"""Sessions that only a box's SNMP agent tells of: a real snmpd, and a whole node whose NAS is deaf to CoA."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest
from free_ports import free_port
from snmp_box import AUTH, PRIV, USER, Snmpd, snmpd
from whole_node import Node, wait_for

from aaa import testclient
from aaa.authenticator import SharedSecret, sign_request
from aaa.coa import Target
from aaa.liveness import Addressee, Liveness
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, text_attribute
from aaa.snmp.access import SnmpAccess
from aaa.snmp.probe import SnmpProbe
from aaa.snmp.tables import HW_ACCESS_USER_NAME, MTXR_INTERFACE_STATS_NAME, SES_SID
from core.models.network import Vendor

pytestmark = pytest.mark.e2e

ALIVE, GONE, UNKNOWN = Liveness.ALIVE, Liveness.GONE, Liveness.UNKNOWN
SECRET = SharedSecret(b"testing123")
FIRST_CPE, ANOTHER_CPE = "0A:00:00:00:00:01", "0A:00:00:00:00:02"
HOUR_S = 3600


def asked(probe: SnmpProbe, access: SnmpAccess, login: str, acct_session_id: str = "s1", port: str = "") -> Liveness:
    told: SimpleQueue[Liveness] = SimpleQueue()
    one = Addressee(
        hash((login, acct_session_id, port)), Target("127.0.0.1", 9, SECRET), b"", b"", login, acct_session_id,
        nas_port_id=port, started_at=datetime.now(UTC) - timedelta(hours=1), snmp=access,
    )  # fmt: skip
    probe.ask(one, told.put)
    return told.get(timeout=20)


@pytest.fixture
def probe() -> Iterator[SnmpProbe]:
    probe = SnmpProbe()
    yield probe
    probe.close()


def test_a_table_of_thousands_is_read_over_v2c_and_v3(probe: SnmpProbe, tmp_path: Path) -> None:
    with snmpd(tmp_path, column=HW_ACCESS_USER_NAME.oid) as box:
        box.show([f"cliente{number}@isp" for number in range(3000)])
        for version in ({}, {"user": USER, "auth": "sha256", "auth_passphrase": AUTH, "priv": "aes128",
                             "priv_passphrase": PRIV}):  # fmt: skip
            access, probe = box.access(Vendor.HUAWEI, **version), SnmpProbe()
            assert [asked(probe, access, one) for one in ("cliente2999", "ninguem")] == [ALIVE, GONE]
            probe.close()


@pytest.mark.parametrize("wrong", [{"user": "ninguem"}, {"auth_passphrase": "errada-errada"}, {"auth": "sha1"}])
def test_who_is_not_let_in_by_the_agent_hears_nothing(probe: SnmpProbe, tmp_path: Path, wrong: dict[str, str]) -> None:
    right = {"user": USER, "auth": "sha256", "auth_passphrase": AUTH, "priv": "aes128", "priv_passphrase": PRIV}
    with snmpd(tmp_path, column=HW_ACCESS_USER_NAME.oid) as box:
        box.show(["ana@isp"])
        assert asked(probe, box.access(Vendor.HUAWEI, **right | wrong), "ana") is UNKNOWN


def test_an_agent_without_the_table_and_one_that_just_started_miss_nobody(probe: SnmpProbe, tmp_path: Path) -> None:
    with snmpd(tmp_path, column=HW_ACCESS_USER_NAME.oid, up_time=100) as box:
        assert asked(probe, box.access(Vendor.JUNIPER), "ana") is UNKNOWN
        box.show(["ana@isp", "bob@isp"])
        assert [asked(probe, box.access(Vendor.HUAWEI), one) for one in ("ana", "carla")] == [ALIVE, UNKNOWN]


def test_accel_ppp_is_asked_for_its_row_and_else_for_the_interface(probe: SnmpProbe, tmp_path: Path) -> None:
    row = f"override {SES_SID.oid}.4.{'.'.join(str(octet) for octet in b'd2a1')} octet_str d2a1"
    with interfaces("ppp7301", "ppp7302"), snmpd(tmp_path, row) as box:
        access = box.access(Vendor.ACCEL_PPP)
        said = [asked(probe, access, "ana", "beef", port) for port in ("ppp7301", "ppp7399", "eth0.7", "")]
        assert said == [UNKNOWN, GONE, UNKNOWN, UNKNOWN]
        assert [asked(probe, access, "ana", one) for one in ("d2a1", "d2a2")] == [ALIVE, GONE]


@contextmanager
def interfaces(*names: str) -> Iterator[None]:
    """Real ones, which IF-MIB shows."""
    try:
        for name in names:
            subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tun"], check=True)
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "link", "delete", name], check=False)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    with snmpd(tmp_path_factory.mktemp("snmpd"), column=MTXR_INTERFACE_STATS_NAME.oid) as box:
        yield box


class House:
    """One NAS, deaf to CoA, a strict plan and the subscribers ana and bob."""

    def __init__(self, node: Node, box: Snmpd) -> None:
        self.node, self.box = node, box
        node.post("/nas", {
            "name": "bras", "address": "127.0.0.1", "secret": "testing123", "vendor": "mikrotik",
            "coa_port": free_port(socket.SOCK_DGRAM), "snmp": {"port": box.port, "version": "v3", "user": USER,
            "auth": "sha256", "priv": "aes128", "ppp_only": True}, "snmp_secret": {"auth": AUTH, "priv": PRIV},
        })  # fmt: skip
        plan = node.post("/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000, "session_limit": 1,
                                    "session_limit_strict": True})  # fmt: skip
        self.services = {login: self._service(login, plan["id"]) for login in ("ana", "bob")}

    def _service(self, login: str, plan_id: str) -> str:
        customer = self.node.post("/customers", {"name": login, "kind": "person"})
        contract = {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"}
        contract_id = self.node.post("/contracts", contract)["id"]
        body = {"contract_id": contract_id, "plan_id": plan_id, "login": login, "password": "senha"}
        return str(self.node.post("/services", body)["id"])

    def log_in(self, login: str, cpe: str) -> Packet:
        station = text_attribute(Kind.CALLING_STATION_ID, cpe)
        request = testclient.access_request(7, login, "senha", "pap", station, SECRET, os.urandom)
        reply = testclient.exchange("127.0.0.1", self.node.auth_port, request.octets, timeout_s=5.0)
        assert reply is not None
        return reply

    def accepts(self, login: str) -> bool:
        return self.log_in(login, ANOTHER_CPE).code == Code.ACCESS_ACCEPT

    def bring_online(self, login: str) -> None:
        """An hour ago, from the first CPE."""
        accepted: list[Packet] = []
        wait_for(lambda: accepted.append(self.log_in(login, FIRST_CPE)) or accepted[-1].code == Code.ACCESS_ACCEPT)
        body = (
            text_attribute(Kind.USER_NAME, login)
            + integer_attribute(Kind.ACCT_STATUS_TYPE, 1)
            + text_attribute(Kind.ACCT_SESSION_ID, f"81{login}")
            + text_attribute(Kind.CALLING_STATION_ID, FIRST_CPE)
            + integer_attribute(Kind.EVENT_TIMESTAMP, int(time.time()))
            + integer_attribute(Kind.ACCT_SESSION_TIME, HOUR_S)
            + b"".join(attribute(Kind.CLASS, value) for value in accepted[-1].every(Kind.CLASS))
        )
        octets = sign_request(Code.ACCOUNTING_REQUEST, 9, body, SECRET, message_authenticator=False)
        assert testclient.exchange("127.0.0.1", self.node.acct_port, octets) is not None
        wait_for(lambda: self.ended(login) == "")

    def ended(self, login: str) -> str | None:
        """How the session ended; empty while it lives, None while nobody knows of it."""
        answer = self.node.api.get("/sessions", params={"service_id": self.services[login]})
        return next((one["stop_kind"] or "" for one in answer.json()["items"]), None)


@pytest.fixture(scope="module")
def house(node: Node, box: Snmpd) -> House:
    house = House(node, box)
    box.show(["ether1", "<pppoe-ana>", "<pppoe-bob>"])
    for login in house.services:
        house.bring_online(login)
    return house


def test_a_second_cpe_is_refused_while_the_agent_has_the_first_ones_interface(house: House) -> None:
    wait_for(lambda: not house.accepts("ana"), every_s=0.2)
    assert house.ended("ana") == ""
    wait_for(lambda: "já há sessões demais com este login" in house.node.run("explain", "ana"), every_s=0.2)


def test_a_session_whose_stop_was_lost_keeps_nobody_out_and_is_closed(house: House) -> None:
    house.box.show(["ether1", "<pppoe-bob>"])
    wait_for(lambda: house.accepts("ana"), every_s=0.2)
    wait_for(lambda: house.ended("ana") == "not_found")


def test_an_agent_that_is_down_keeps_nobody_out(house: House) -> None:
    wait_for(lambda: not house.accepts("bob"), every_s=0.2)
    house.box.kill()
    wait_for(lambda: house.accepts("bob"), every_s=0.2)
    assert house.ended("bob") == ""
