"""What each vendor's simulated box sends, takes and refuses, after that vendor's documents."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.authenticator import SharedSecret, response_valid, sign_accounting_response, sign_reply, sign_request
from aaa.bras import Box, BoxOptions, Configured, Credential
from aaa.bras.accel_ppp import shaper_rates
from aaa.bras.box import INTERIM, START, STOP, Datagram
from aaa.bras.dialect import Refused
from aaa.bras.juniper import bandwidth_kbps
from aaa.bras.mikrotik import parse_rate
from aaa.bras.nokia import read_override
from aaa.bras.subscriber import IPV6_SHARE, State, Subscriber
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, parse, text_attribute, vendor_attribute
from aaa.vendors.base import prefix_value
from core.errors import InvalidInput
from core.models.network import Vendor

SECRET = SharedSecret(b"testing123")
NOW = 1_795_000_000.0
HUAWEI, CISCO, JUNIPER, NOKIA, MIKROTIK, WISPR, ACCEL = 2011, 9, 4874, 6527, 14988, 14122, 55999
MULTI_SESSION_ID = 50
CONFIGURED = Configured(profiles={"gold": (70_000, 700_000), "default": (0, 0)}, known=frozenset({"normal", "30"}))


def avpair(*pairs: str) -> bytes:
    return b"".join(vendor_attribute(CISCO, 1, pair.encode()) for pair in pairs)


def number(vendor: int, kind: int, value: int) -> bytes:
    return vendor_attribute(vendor, kind, value.to_bytes(4, "big"))


def service(tag: int, text: str, kind: int = 65) -> bytes:
    return vendor_attribute(JUNIPER, kind, bytes((tag,)) + text.encode())


def override(*texts: str) -> bytes:
    return b"".join(vendor_attribute(NOKIA, 126, text.encode()) for text in texts)


class Scene:
    """One line at one vendor's box, whose server gives everybody the same attributes."""

    def __init__(self, vendor: Vendor, accept: bytes = b"", *, lines: int = 1, **configured: Any) -> None:
        self.accept = accept
        self.now = NOW
        self.heard: list[Packet] = []
        self.silent = False
        self._waiting: list[Datagram] = []
        self._asked = 0
        options = BoxOptions(
            ramp=100_000.0, interim_s=10.0, vendor=vendor, configured=replace(CONFIGURED, **configured)
        )
        credentials = [Credential(f"user{line}", "secret") for line in range(lines)]
        self.box = Box(options, credentials, self._take, self.now)
        self.pass_time(1)

    def _take(self, datagram: Datagram) -> None:
        self.heard.append(parse(datagram.octets))
        self._waiting.append(datagram)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.1
            self.box.tick(self.now)
            waiting, self._waiting = self._waiting, []
            for one in waiting if not self.silent else []:
                self.box.receive(one.port, one.accounting, self._reply(parse(one.octets)), self.now)

    def _reply(self, request: Packet) -> bytes:
        if request.code == Code.ACCOUNTING_REQUEST:
            return sign_accounting_response(request, b"", SECRET)
        return sign_reply(Code.ACCESS_ACCEPT, request.identifier, request.authenticator, self.accept, SECRET)

    @property
    def line(self) -> Subscriber:
        return self.box.subscribers[0]

    @property
    def rates(self) -> tuple[int, int]:
        return self.line.grant.up_kbps, self.line.grant.down_kbps

    @property
    def key(self) -> bytes:
        return text_attribute(Kind.ACCT_SESSION_ID, self.line.acct_session_id)

    def request(self) -> Packet:
        return next(one for one in self.heard if one.code == Code.ACCESS_REQUEST)

    def accounted(self, status: int) -> list[Packet]:
        return [one for one in self.heard if one.integer(Kind.ACCT_STATUS_TYPE) == status]

    def ask(self, attributes: bytes, code: Code = Code.COA_REQUEST, *, key: bytes | None = None) -> int | str:
        """ "ack", or the Error-Cause of the NAK (0: it has none)."""
        reply = self.answer((self.key if key is None else key) + attributes, code)
        assert reply.code in {code + 1, code + 2}
        return "ack" if reply.code == code + 1 else reply.integer(Kind.ERROR_CAUSE) or 0

    def answer(self, attributes: bytes, code: Code) -> Packet:
        self._asked += 1
        octets = sign_request(code, self._asked, attributes, SECRET, message_authenticator=True)
        reply = self.box.receive_dynamic("server", octets, self.now)
        assert reply is not None
        assert response_valid(parse(reply), octets[4:20], SECRET)
        return parse(reply)

    def disconnect(self, attributes: bytes = b"", *, key: bytes | None = None) -> int | str:
        return self.ask(attributes, Code.DISCONNECT_REQUEST, key=key)


@pytest.mark.parametrize(
    ("vendor", "options", "session_id", "calling_station", "nas_port_id", "signed"),
    [
        (Vendor.MIKROTIK, {}, r"81[0-9a-f]{6}", "02:00:00:00:00:00", "ether2", True),
        (Vendor.HUAWEI, {}, r"BRAS-1[0-9a-f]{28,}", "02-00-00-00-00-00",
         r"slot=2;subslot=2;port=22;vlanid=503;vlanid2=[0-9]+;", False),
        (Vendor.CISCO, {}, r"[0-9A-F]{8}", r"0200\.0000\.0000", r"0/0/1/503\.[0-9]+", False),
        (Vendor.CISCO, {"platform": "ios_xr"}, r"[0-9a-f]{8}", r"0200\.0000\.0000", r"0/0/1/503\.[0-9]+", False),
        (Vendor.JUNIPER, {}, r"[0-9]+", "02:00:00:00:00:00", r"ge-1/0/4\.[0-9]+:503-[0-9]+", False),
        (Vendor.NOKIA, {}, r"[0-9A-F]{22}", "02:00:00:00:00:00", r"1/1/4:503\.[0-9]+", False),
        (Vendor.ACCEL_PPP, {}, r"[0-9a-f]{16}", "02:00:00:00:00:00", r"ppp[0-9]+", False),
        (Vendor.GENERIC, {}, r"[0-9a-f]{14}", "02-00-00-00-00-00", r"eth0/1:[0-9]+", True),
    ],
)  # fmt: skip
def test_requests_are_spelled_as_the_vendor_spells_them(
    vendor: Vendor, options: dict[str, str], session_id: str, calling_station: str, nas_port_id: str, signed: bool
) -> None:
    scene = Scene(vendor, options=options)
    request = scene.request()
    assert re.fullmatch(session_id, request.text(Kind.ACCT_SESSION_ID) or "")
    assert re.fullmatch(calling_station, request.text(Kind.CALLING_STATION_ID) or "")
    assert re.fullmatch(nas_port_id, request.text(Kind.NAS_PORT_ID) or "")
    assert bool(request.message_authenticator_at) is signed
    assert scene.accounted(START)[0].text(Kind.ACCT_SESSION_ID) == request.text(Kind.ACCT_SESSION_ID)
    assert scene.line.state is State.ONLINE


def test_options_of_another_vendor_are_refused() -> None:
    with pytest.raises(InvalidInput):
        Scene(Vendor.HUAWEI, options={"platform": "ios"})


RATES: list[tuple[str, Vendor, dict[str, Any], bytes, tuple[int, int]]] = [
    ("mikrotik", Vendor.MIKROTIK, {}, vendor_attribute(MIKROTIK, 8, b"10M/50M 20M/100M 8M/40M 10/10 8 1M/5M"),
     (10_000, 50_000)),
    ("mikrotik, a profile", Vendor.MIKROTIK, {}, vendor_attribute(MIKROTIK, 3, b"gold"), (70_000, 700_000)),
    ("huawei, bit/s up to the peak", Vendor.HUAWEI, {},
     number(HUAWEI, 2, 10_000_000) + number(HUAWEI, 3, 20_000_000) + number(HUAWEI, 5, 50_000_000), (20_000, 50_000)),
    ("huawei, a profile in any case of letters", Vendor.HUAWEI, {}, vendor_attribute(HUAWEI, 31, b"GOLD"),
     (70_000, 700_000)),
    ("ios, bit/s", Vendor.CISCO, {},
     avpair("ip:qos-policy-in=add-class(sub,(class-default),police(10000000))",
            "ip:qos-policy-out=add-class(sub,(class-default),shape(50000000))"), (10_000, 50_000)),
    ("ios, policies", Vendor.CISCO, {}, avpair("ip:sub-qos-policy-in=gold", "ip:sub-qos-policy-out=gold"),
     (70_000, 700_000)),
    ("xr, kbit/s", Vendor.CISCO, {"options": {"platform": "ios_xr"}},
     avpair("ip:qos-policy-in=add-class(sub,(class-default),police(10000,125,0,0,transmit,drop,drop))",
            "ip:qos-policy-out=add-class(sub,(class-default),shape(50000))"), (10_000, 50_000)),
    ("juniper, download first", Vendor.JUNIPER, {}, service(1, "internet(50m,10000k)"), (10_000, 50_000)),
    ("juniper, a profile of its own", Vendor.JUNIPER, {}, service(1, "gold"), (70_000, 700_000)),
    ("nokia, kbit/s", Vendor.NOKIA, {}, override("i:p:1:pir=10000,mbs=32000", "e:r:rate=50000"), (10_000, 50_000)),
    ("nokia, over an SLA profile", Vendor.NOKIA, {},
     vendor_attribute(NOKIA, 13, b"gold") + override("e:r:rate=50000", "i:p:1:pir=-2"), (70_000, 50_000)),
    ("nokia, no such queue", Vendor.NOKIA, {}, override("i:q:9:pir=10000", "e:q:5:pir=50000"), (0, 0)),
    ("accel-ppp, download first", Vendor.ACCEL_PPP, {}, text_attribute(Kind.FILTER_ID, "50000/10000"),
     (10_000, 50_000)),
    ("accel-ppp, as a MikroTik", Vendor.ACCEL_PPP, {"options": {"shaper": "mikrotik"}},
     vendor_attribute(MIKROTIK, 8, b"10000k/50000k"), (10_000, 50_000)),
    ("generic", Vendor.GENERIC, {}, number(WISPR, 7, 10_000_000) + number(WISPR, 8, 50_000_000), (10_000, 50_000)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "configured", "accept", "rates"), [one[1:] for one in RATES], ids=[o[0] for o in RATES]
)
def test_rates_are_read_in_the_vendors_units_and_direction_and_traffic_goes_at_them(
    vendor: Vendor, configured: dict[str, Any], accept: bytes, rates: tuple[int, int]
) -> None:
    scene = Scene(vendor, accept, **configured)
    assert scene.rates == rates
    if not all(rates):
        return
    up, down = scene.line.input_octets, scene.line.output_octets
    began = scene.line.counted_at
    scene.line.count(began + 10)
    assert (scene.line.output_octets - down) / (scene.line.input_octets - up) == pytest.approx(rates[1] / rates[0])


NOT_UP: list[tuple[str, Vendor, dict[str, Any], bytes]] = [
    ("nokia: an address and a pool", Vendor.NOKIA, {},
     attribute(Kind.FRAMED_IP_ADDRESS, bytes((192, 0, 2, 7))) + text_attribute(Kind.FRAMED_POOL, "homes")),
    ("nokia: an SLA profile that is not there", Vendor.NOKIA, {}, vendor_attribute(NOKIA, 13, b"platinum")),
    ("nokia: no SLA profile at all", Vendor.NOKIA, {"default_profile": ""}, b""),
    ("huawei: a QoS profile that is not there", Vendor.HUAWEI, {}, vendor_attribute(HUAWEI, 31, b"platinum")),
    ("juniper: a service that is not there", Vendor.JUNIPER, {}, service(1, "platinum")),
    ("juniper: a service without its parameters", Vendor.JUNIPER, {}, service(1, "internet(50m)")),
    ("xr: a template that is not there", Vendor.CISCO, {"options": {"platform": "ios_xr"}},
     avpair("subscriber:sa=platinum")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "configured", "accept"), [one[1:] for one in NOT_UP], ids=[one[0] for one in NOT_UP]
)
def test_what_fails_a_sessions_set_up_leaves_the_line_offline_and_no_accounting(
    vendor: Vendor, configured: dict[str, Any], accept: bytes
) -> None:
    scene = Scene(vendor, accept, **configured)
    assert (scene.line.state, scene.line.setup_failures) == (State.OFFLINE, 1)
    assert scene.accounted(START) == []


@pytest.mark.parametrize("vendor", [one for one in Vendor if one is not Vendor.NOKIA])
def test_elsewhere_an_address_is_taken_and_the_pool_beside_it_is_not(vendor: Vendor) -> None:
    scene = Scene(
        vendor, attribute(Kind.FRAMED_IP_ADDRESS, bytes((192, 0, 2, 7))) + text_attribute(Kind.FRAMED_POOL, "homes")
    )
    assert scene.line.framed_ipv4 == bytes((192, 0, 2, 7))


@pytest.mark.parametrize("vendor", list(Vendor))
def test_unknown_attributes_of_an_accept_are_ignored(vendor: Vendor) -> None:
    scene = Scene(vendor, vendor_attribute(32473, 1, b"x") + attribute(200, b"y"))
    assert scene.line.state is State.ONLINE


@pytest.mark.parametrize(
    ("vendor", "configured", "accept"),
    [
        (Vendor.MIKROTIK, {}, vendor_attribute(MIKROTIK, 19, b"walled-garden")),
        (Vendor.HUAWEI, {}, text_attribute(Kind.FILTER_ID, "walled-garden")),
        (Vendor.CISCO, {}, vendor_attribute(CISCO, 250, b"Awalled-garden")),
        (Vendor.CISCO, {"options": {"platform": "ios_xr"}}, avpair("subscriber:sa=walled-garden")),
        (Vendor.JUNIPER, {}, service(1, "internet(1m,1m)") + service(2, "walled-garden")),
        (Vendor.NOKIA, {"walled_garden": "20"}, vendor_attribute(NOKIA, 134, b"Ingr-v4:20,Ingr-v6:20")),
        (Vendor.NOKIA, {}, vendor_attribute(NOKIA, 13, b"walled-garden")),
        (Vendor.ACCEL_PPP, {"options": {"l4_redirect": "243"}}, integer_attribute(243, 1)),
        (Vendor.ACCEL_PPP, {}, text_attribute(Kind.FRAMED_POOL, "walled-garden")),
        (Vendor.GENERIC, {}, text_attribute(Kind.FILTER_ID, "walled-garden")),
    ],
)
def test_the_walled_garden_is_what_the_vendor_has_for_it(
    vendor: Vendor, configured: dict[str, Any], accept: bytes
) -> None:
    assert Scene(vendor, accept, **configured).line.grant.walled_garden
    assert not Scene(vendor, **configured).line.grant.walled_garden


IOS_RATES = ("ip:qos-policy-in=add-class(sub,(class-default),police(1000000))",
             "ip:qos-policy-out=add-class(sub,(class-default),shape(2000000))")  # fmt: skip
XR_RATES = ("ip:qos-policy-out=add-class(sub,(class-default),shape(2000))",)
XR: dict[str, Any] = {"options": {"platform": "ios_xr"}}
UPDATE = "subscriber:command=account-update"

REFUSED: list[tuple[str, Vendor, dict[str, Any], bytes, int]] = [
    ("mikrotik: an address list", Vendor.MIKROTIK, {}, vendor_attribute(MIKROTIK, 19, b"walled-garden"), 401),
    ("mikrotik: a pool", Vendor.MIKROTIK, {}, text_attribute(Kind.FRAMED_POOL, "homes"), 401),
    ("mikrotik: no rate", Vendor.MIKROTIK, {}, vendor_attribute(MIKROTIK, 8, b"1.5M/2M"), 407),
    ("huawei: no such user group", Vendor.HUAWEI, {}, text_attribute(Kind.FILTER_ID, "nobody"), 404),
    ("huawei: no such QoS profile", Vendor.HUAWEI, {}, vendor_attribute(HUAWEI, 31, b"platinum"), 404),
    ("huawei: another vendor's attribute", Vendor.HUAWEI, {}, vendor_attribute(MIKROTIK, 8, b"1M/1M"), 401),
    ("ios: no active policy", Vendor.CISCO, {"default_profile": ""}, avpair(*IOS_RATES), 404),
    ("ios: named and parameterised", Vendor.CISCO, {}, avpair("ip:sub-qos-policy-in=gold", *IOS_RATES), 404),
    ("ios: no such policy map", Vendor.CISCO, {}, avpair("ip:sub-qos-policy-in=platinum"), 407),
    ("ios: shaping what comes in", Vendor.CISCO, {},
     avpair("ip:qos-policy-in=add-class(sub,(class-default),shape(1000000))"), 407),
    ("ios: more than 32 bits", Vendor.CISCO, {},
     avpair("ip:qos-policy-in=add-class(sub,(class-default),police(4294967296))"), 407),
    ("ios: a service that is not there", Vendor.CISCO, {}, vendor_attribute(CISCO, 252, b"\x0bplatinum"), 407),
    ("ios: a service that is not active", Vendor.CISCO, {}, vendor_attribute(CISCO, 252, b"\x0cwalled-garden"), 407),
    ("ios: a timer", Vendor.CISCO, {}, integer_attribute(Kind.SESSION_TIMEOUT, 60), 401),
    ("ios: nothing", Vendor.CISCO, {}, b"", 404),
    ("xr: rates without a command", Vendor.CISCO, XR, avpair(*XR_RATES), 404),
    ("xr: one of two fails", Vendor.CISCO, XR, avpair(UPDATE, *XR_RATES, "subscriber:sa=platinum"), 407),
    ("juniper: a service that is not active", Vendor.JUNIPER, {}, vendor_attribute(JUNIPER, 66, b"internet"), 404),
    ("juniper: one of two fails", Vendor.JUNIPER, {}, service(1, "internet(2m,1m)") + service(2, "platinum"), 404),
    ("juniper: a service without a tag", Vendor.JUNIPER, {}, service(0, "internet(2m,1m)"), 404),
    ("juniper: another vendor's attribute", Vendor.JUNIPER, {}, number(WISPR, 7, 1000), 401),
    ("nokia: no override", Vendor.NOKIA, {}, override("x:p:1:pir=1000"), 407),
    ("nokia: an ingress aggregate rate", Vendor.NOKIA, {}, override("i:r:rate=1000"), 407),
    ("nokia: an arbiter that is not root", Vendor.NOKIA, {}, override("i:a:other:rate=1000"), 407),
    ("nokia: no such filter", Vendor.NOKIA, {}, vendor_attribute(NOKIA, 134, b"Ingr-v4:99"), 407),
    ("generic: a pool", Vendor.GENERIC, {}, text_attribute(Kind.FRAMED_POOL, "homes"), 401),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "configured", "change", "cause"), [o[1:] for o in REFUSED], ids=[o[0] for o in REFUSED]
)
def test_a_coa_that_the_box_refuses_changes_nothing(
    vendor: Vendor, configured: dict[str, Any], change: bytes, cause: int
) -> None:
    scene = Scene(vendor, **configured)
    before = scene.line.grant
    assert scene.ask(change) == cause
    assert scene.line.grant == before


ACCEPTED: list[tuple[str, Vendor, dict[str, Any], bytes, tuple[int, int]]] = [
    ("mikrotik", Vendor.MIKROTIK, {}, vendor_attribute(MIKROTIK, 8, b"1000k/2000k"), (1000, 2000)),
    ("ios", Vendor.CISCO, {}, avpair(*IOS_RATES), (1000, 2000)),
    ("ios: services", Vendor.CISCO, {}, vendor_attribute(CISCO, 252, b"\x0bwalled-garden"), (0, 0)),
    ("xr", Vendor.CISCO, XR, avpair(UPDATE, *XR_RATES, "subscriber:sa=walled-garden"), (0, 2000)),
    ("juniper", Vendor.JUNIPER, {}, service(1, "internet(2m,1m)"), (1000, 2000)),
    ("juniper: a filter that is not there is passed over", Vendor.JUNIPER, {},
     service(1, "internet(2m,1m)") + vendor_attribute(JUNIPER, 10, b"nothing"), (1000, 2000)),
    ("nokia", Vendor.NOKIA, {}, override("i:p:1:pir=1000", "e:r:rate=2000"), (1000, 2000)),
    ("nokia ignores what it does not support", Vendor.NOKIA, {},
     override("e:r:rate=2000") + vendor_attribute(MIKROTIK, 8, b"x") + text_attribute(Kind.FRAMED_POOL, "p"),
     (0, 2000)),
    ("accel-ppp", Vendor.ACCEL_PPP, {}, text_attribute(Kind.FILTER_ID, "2000/1000"), (1000, 2000)),
    ("accel-ppp ignores what it does not know", Vendor.ACCEL_PPP, {}, text_attribute(Kind.FRAMED_POOL, "p"), (0, 0)),
    ("accel-ppp cannot read it and says so to nobody", Vendor.ACCEL_PPP, {},
     text_attribute(Kind.FILTER_ID, "1.5M/2M"), (0, 0)),
    ("generic", Vendor.GENERIC, {}, number(WISPR, 7, 1_000_000) + number(WISPR, 8, 2_000_000), (1000, 2000)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "configured", "change", "rates"), [o[1:] for o in ACCEPTED], ids=[o[0] for o in ACCEPTED]
)
def test_a_coa_that_the_box_takes_changes_the_line_at_once(
    vendor: Vendor, configured: dict[str, Any], change: bytes, rates: tuple[int, int]
) -> None:
    scene = Scene(vendor, **configured)
    assert scene.ask(change) == "ack"
    assert scene.rates == rates
    assert scene.line.logins == 1


def test_a_huawei_keeps_a_peak_that_it_is_not_told_to_lower() -> None:
    peak = number(HUAWEI, 2, 50_000_000) + number(HUAWEI, 3, 80_000_000)
    scene = Scene(Vendor.HUAWEI, peak)
    assert scene.ask(number(HUAWEI, 2, 1_000_000)) == "ack"
    assert scene.rates[0] == 80_000
    assert scene.ask(number(HUAWEI, 2, 1_000_000) + number(HUAWEI, 3, 1_000_000)) == "ack"
    assert scene.rates[0] == 1_000


def test_a_nokia_gives_back_what_the_profile_has() -> None:
    scene = Scene(Vendor.NOKIA, vendor_attribute(NOKIA, 13, b"gold") + override("i:p:1:pir=1000", "e:r:rate=2000"))
    assert scene.ask(override("i:p:1:pir=-2", "e:r:rate=max")) == "ack"
    assert scene.rates == (70_000, 0)
    assert scene.ask(vendor_attribute(NOKIA, 238, b"26-6527-126")) == "ack"
    assert scene.rates == (70_000, 700_000)
    assert scene.ask(vendor_attribute(NOKIA, 134, b"Ingr-v4:30")) == "ack"
    assert scene.line.address_list == "30"
    assert scene.ask(vendor_attribute(NOKIA, 134, b"Ingr-v4:-2")) == "ack"
    assert scene.line.address_list == ""


def test_an_accel_ppp_takes_class_or_timeout_or_vrf_and_acknowledges_all() -> None:
    scene = Scene(Vendor.ACCEL_PPP)
    vrf = vendor_attribute(ACCEL, 1, b"business")
    timeout = integer_attribute(Kind.SESSION_TIMEOUT, 3600)
    assert scene.ask(attribute(Kind.CLASS, b"c") + timeout + vrf) == "ack"
    assert (scene.line.grant.classes, scene.line.grant.session_timeout_s, scene.line.grant.names) == ((b"c",), 0, {})
    assert scene.ask(timeout + vrf) == "ack"
    assert (scene.line.grant.session_timeout_s, scene.line.grant.names) == (3600, {})
    assert scene.ask(vrf) == "ack"
    assert scene.line.grant.names == {"vrf": "business"}


def test_all_keys_must_agree_and_each_vendor_has_its_own_word_for_it() -> None:
    stale = attribute(Kind.FRAMED_IP_ADDRESS, bytes((100, 64, 9, 9)))
    causes = {vendor: Scene(vendor).disconnect(stale) for vendor in Vendor}
    assert causes == {
        Vendor.MIKROTIK: 503, Vendor.HUAWEI: 503, Vendor.CISCO: 407, Vendor.JUNIPER: 401,
        Vendor.NOKIA: "ack",  # Acct-Session-Id comes before an address alone
        Vendor.ACCEL_PPP: 503, Vendor.GENERIC: 503,
    }  # fmt: skip


def test_a_nokia_refuses_keys_that_do_not_agree() -> None:
    scene = Scene(Vendor.NOKIA)
    place = scene.request().text(Kind.NAS_PORT_ID) or ""
    keys = text_attribute(Kind.NAS_PORT_ID, place) + attribute(Kind.FRAMED_IP_ADDRESS, scene.line.framed_ipv4)
    assert scene.disconnect(keys, key=text_attribute(Kind.ACCT_SESSION_ID, "0" * 22)) == 503
    assert scene.disconnect(keys) == "ack"


def test_a_nokia_takes_no_more_than_32_hosts_at_once() -> None:
    scene = Scene(Vendor.NOKIA, lines=40)
    for one in scene.box.subscribers:
        one.login = "shared"
    assert scene.disconnect(key=text_attribute(Kind.USER_NAME, "shared")) == 501


def test_a_juniper_wants_the_sessions_id() -> None:
    scene = Scene(Vendor.JUNIPER)
    user = text_attribute(Kind.USER_NAME, "user0")
    assert scene.disconnect(key=user) == 402
    assert scene.disconnect(user) == "ack"


def test_an_isg_finds_a_session_by_its_address_in_account_info() -> None:
    scene = Scene(Vendor.CISCO)
    address = str(IPv4Address(scene.line.framed_ipv4))
    assert scene.ask(avpair(*IOS_RATES), key=vendor_attribute(CISCO, 250, b"S" + address.encode())) == "ack"
    assert scene.ask(avpair(*IOS_RATES), key=vendor_attribute(CISCO, 250, b"S192.0.2.1")) == 503


def test_an_accel_ppp_means_the_first_session_that_fits_and_others_mean_all() -> None:
    for vendor, left in ((Vendor.ACCEL_PPP, 1), (Vendor.MIKROTIK, 0)):
        scene = Scene(vendor, lines=2)
        for one in scene.box.subscribers:
            one.login = "shared"
        assert scene.disconnect(key=text_attribute(Kind.USER_NAME, "shared")) == "ack"
        assert scene.box.online == left


def test_an_accel_ppp_asks_whether_it_is_meant() -> None:
    assert Scene(Vendor.ACCEL_PPP).disconnect(text_attribute(Kind.NAS_IDENTIFIER, "other")) == 403


@pytest.mark.parametrize("vendor", list(Vendor))
def test_a_disconnect_that_wants_to_change_something_is_refused_but_where_nothing_is_looked_at(vendor: Vendor) -> None:
    careless = {Vendor.NOKIA, Vendor.ACCEL_PPP}
    answer = Scene(vendor).disconnect(integer_attribute(Kind.SERVICE_TYPE, 2))
    assert answer == ("ack" if vendor in careless else 401)


@pytest.mark.parametrize("vendor", list(Vendor))
def test_only_the_box_by_the_rfcs_signs_its_answers(vendor: Vendor) -> None:
    scene = Scene(vendor)
    reply = scene.answer(scene.key, Code.DISCONNECT_REQUEST)
    assert bool(reply.message_authenticator_at) is (vendor is Vendor.GENERIC)


def test_a_nokia_counts_in_64_bits_of_its_own() -> None:
    scene = Scene(Vendor.NOKIA, override("i:p:1:pir=50000", "e:r:rate=200000"))
    scene.pass_time(12)
    interim = scene.accounted(INTERIM)[0]
    assert interim.first(Kind.ACCT_INPUT_OCTETS) is None
    upload = [value for kind in (19, 20) for value in interim.vendor_values(NOKIA, kind)]
    download = [value for kind in (21, 22) for value in interim.vendor_values(NOKIA, kind)]
    assert {value[:2] for value in upload} == {b"\x80\x01"}  # policer 1
    assert {value[:2] for value in download} == {b"\x00\x01"}  # queue 1
    octets = [sum(int.from_bytes(value[2:], "big") for value in values) for values in (upload, download)]
    assert octets[1] / octets[0] == pytest.approx(4, rel=0.01)
    assert octets[0] > 0


@pytest.mark.parametrize(
    ("accounting", "sessions", "tied"),
    [("", 1, 1), ("host", 1, 1), ("queue", 1, 0), ("host+session", 2, 2), ("host+queue", 2, 1), ("session+std", 1, 1)],
)
def test_a_nokia_accounts_hosts_sessions_and_queues_each_under_an_id_of_its_own(
    accounting: str, sessions: int, tied: int
) -> None:
    scene = Scene(Vendor.NOKIA, accounting=accounting)
    starts = scene.accounted(START)
    assert len({start.text(Kind.ACCT_SESSION_ID) for start in starts}) == sessions
    queues = [start.text(MULTI_SESSION_ID) for start in starts if start.text(MULTI_SESSION_ID)]
    assert (len(queues), len(set(queues))) == (tied, min(tied, 1))
    assert all(bool(start.first(Kind.ACCT_INPUT_OCTETS)) is ("std" in accounting) for start in starts)
    assert scene.disconnect() == "ack"
    assert len(scene.accounted(STOP)) == sessions


def test_a_huawei_counts_ipv4_and_ipv6_apart_and_a_juniper_says_how_much_of_all_was_ipv6() -> None:
    for vendor, own, kind in ((Vendor.HUAWEI, HUAWEI, 145), (Vendor.JUNIPER, JUNIPER, 152)):
        scene = Scene(vendor, text_attribute(Kind.FRAMED_IPV6_POOL, "six"))
        scene.pass_time(12)
        interim = scene.accounted(INTERIM)[0]
        standard = interim.integer(Kind.ACCT_OUTPUT_OCTETS) or 0
        ipv6 = int.from_bytes(interim.vendor_values(own, kind)[0], "big")
        share = ipv6 / (standard + ipv6) if vendor is Vendor.HUAWEI else ipv6 / standard
        assert share == pytest.approx(IPV6_SHARE, rel=0.01)


@pytest.mark.parametrize("vendor", list(Vendor))
def test_prefixes_are_told_once_the_session_has_them(vendor: Vendor) -> None:
    prefixes = attribute(Kind.FRAMED_IPV6_PREFIX, prefix_value("2001:db8:1::/64")) + attribute(
        Kind.DELEGATED_IPV6_PREFIX, prefix_value("2001:db8:5::/56")
    )
    scene = Scene(vendor, prefixes)
    scene.pass_time(12)
    first, later = scene.accounted(START)[0], scene.accounted(INTERIM)[0]
    assert first.first(Kind.DELEGATED_IPV6_PREFIX) is None
    assert later.first(Kind.FRAMED_IPV6_PREFIX) == prefix_value("2001:db8:1::/64")
    assert later.first(Kind.DELEGATED_IPV6_PREFIX) == prefix_value("2001:db8:5::/56")


def test_a_line_without_ipv6_has_no_counters_for_it() -> None:
    for vendor, own in ((Vendor.HUAWEI, HUAWEI), (Vendor.JUNIPER, JUNIPER)):
        assert not Scene(vendor).accounted(START)[0].vendor_firsts(own)


def test_a_juniper_accounts_a_service_whose_statistics_are_on_for_itself() -> None:
    statistics = vendor_attribute(JUNIPER, 69, b"\x01\x00\x00\x02")
    scene = Scene(Vendor.JUNIPER, service(1, "internet(50m,10m)") + statistics)
    parent = scene.line.acct_session_id
    own, internet = (start.text(Kind.ACCT_SESSION_ID) or "" for start in scene.accounted(START))
    assert (own, internet.partition(":")[0]) == (parent, parent)
    change = vendor_attribute(JUNIPER, 66, b"internet") + service(1, "internet(2m,1m)") + statistics
    scene.pass_time(5)
    assert scene.ask(change) == "ack"
    scene.pass_time(1)
    stop, start = scene.accounted(STOP)[0], scene.accounted(START)[-1]
    assert stop.text(Kind.ACCT_SESSION_ID) == internet
    assert stop.integer(Kind.ACCT_OUTPUT_OCTETS)
    assert start.text(Kind.ACCT_SESSION_ID) not in {parent, internet}
    assert start.integer(Kind.ACCT_OUTPUT_OCTETS) == 0
    assert start.vendor_values(JUNIPER, 83) == [b"internet"]
    assert scene.line.state is State.ONLINE


def test_a_nokia_says_how_late_a_repeated_record_is_and_a_mikrotik_repeats_it_as_it_was() -> None:
    for vendor, changed in ((Vendor.NOKIA, True), (Vendor.MIKROTIK, False)):
        scene = Scene(vendor)
        scene.silent = True
        scene.heard.clear()
        scene.box.hang_up(scene.line, scene.now, redial=False)
        scene.pass_time(3)
        stops = scene.accounted(STOP)
        assert len(stops) == 3
        assert (len({stop.octets for stop in stops}) == 3) is changed
        delays = [stop.integer(Kind.ACCT_DELAY_TIME) for stop in stops]
        assert delays == ([0, 1, 2] if changed else [0, 0, 0])
        scene.silent = False
        scene.pass_time(2)
        assert scene.box.pending == 0


def test_interims_come_as_the_vendor_lets_the_server_say() -> None:
    """Nokia takes 300 seconds and more, Junos 600 and more."""
    said = integer_attribute(Kind.ACCT_INTERIM_INTERVAL, 60)
    asked = {vendor: Scene(vendor, said).line.grant.interim_s for vendor in Vendor}
    assert asked == dict.fromkeys(Vendor, 60.0) | {Vendor.NOKIA: 300.0, Vendor.JUNIPER: 600.0}


RATE = st.integers(1, 4_000_000)


@given(RATE, RATE)
def test_a_routeros_rate_limit_is_upload_and_download(up: int, down: int) -> None:
    assert parse_rate(f"{up}k/{down}k 1M/1M 1/1") == (up, down)
    assert parse_rate(f"{up * 1000}") == (up, up)
    assert parse_rate(f"{up}M/{down}M") == (up * 1000, down * 1000)


@given(RATE, RATE, st.sampled_from("/\\:"))
def test_an_accel_ppp_shaper_is_download_and_upload(down: int, up: int, separator: str) -> None:
    assert shaper_rates(f"{down}{separator}{up}") == (down, up)
    assert shaper_rates(f"3,{down}k{separator}{up}M burst") == (down, up * 1000)
    assert shaper_rates(f"{down}") == (down, down)
    assert shaper_rates(f"rate-limit output {down}000 1 1 rate-limit input access-group 7 {up}000 1 1") == (down, up)
    assert shaper_rates(f"{down}G") == (down * 10_000_000,) * 2  # as its table has it
    assert shaper_rates(f"{down}/{up}.5") == (down, 0)


@given(RATE)
def test_a_junos_bandwidth_is_a_whole_number_with_a_letter(kbps: int) -> None:
    assert bandwidth_kbps(f"{kbps}k") == bandwidth_kbps(f"{kbps}000") == kbps
    assert bandwidth_kbps(f"{kbps}m") == kbps * 1000
    assert bandwidth_kbps(f"{kbps}.5m") is None


@given(st.sampled_from(["i:p:1", "e:q:2", "i:a:root", "e:s:tier1"]), RATE)
def test_a_nokia_override_is_a_place_and_kbits(place: str, kbps: int) -> None:
    parameter = "pir" if place[2] in "pq" else "rate"
    assert read_override(f"{place}:{parameter}={kbps}") == {place: kbps}
    assert read_override(f"{place[0].upper()}{place[1:]}:{parameter}={kbps},") == {place: kbps}


@given(st.text(max_size=30))
def test_any_text_is_a_rate_or_is_not(text: str) -> None:
    parsed = parse_rate(text)
    assert parsed is None or min(parsed) >= 0
    assert min(shaper_rates(text)) >= 0
    assert (bandwidth_kbps(text) or 0) >= 0
    try:
        limits = read_override(text)
    except Refused:
        return
    assert all(limit >= -2 for limit in limits.values())
