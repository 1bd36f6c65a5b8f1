"""The simulated RouterOS API: its wire format, its queries, and other people's clients at it."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import librouteros
import pytest
import routeros_api
from hypothesis import given
from hypothesis import strategies as st
from librouteros.exceptions import FatalError, TrapError
from librouteros.login import token
from librouteros.query import And, Key, Or
from routeros_api.exceptions import RouterOsApiCommunicationError, RouterOsApiConnectionError
from routeros_boxes import PASSWORD, USER, Box, Clock, box, do, session

from provisioning.simulators.routeros import Listing, Version, self_signed
from provisioning.simulators.routeros.query import BadQuery, matches
from provisioning.simulators.routeros.words import (
    WORD_OCTETS_MAX,
    Decoder,
    Malformed,
    encode_length,
    encode_sentence,
)

#: The manual's table, at each of its edges.
LENGTHS = [
    (0x00, "00"), (0x7F, "7f"), (0x80, "8080"), (0x3FFF, "bfff"), (0x4000, "c04000"), (0x1FFFFF, "dfffff"),
    (0x200000, "e0200000"), (0xFFFFFFF, "efffffff"), (0x10000000, "f010000000"), (0xFFFFFFFF, "f0ffffffff"),
]  # fmt: skip
SENTENCES = st.lists(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5), max_size=5)


@pytest.mark.parametrize(("length", "octets"), LENGTHS)
def test_a_length_has_as_many_octets_as_it_needs(length: int, octets: str) -> None:
    assert encode_length(length).hex() == octets


@given(SENTENCES, st.data())
def test_sentences_are_the_same_in_whatever_pieces_they_come(sentences: list[list[bytes]], data: st.DataObject) -> None:
    octets = b"".join(encode_sentence(words) for words in sentences)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=20)))
    decoder = Decoder()
    found = [
        one for start, end in zip([0, *cuts], [*cuts, None], strict=True) for one in decoder.feed(octets[start:end])
    ]
    assert found == sentences


@pytest.mark.parametrize("size", [1, 0x7F, 0x80, 0x3FFF, 0x4000, WORD_OCTETS_MAX])
def test_a_word_cut_at_any_octet_of_its_length_is_read(size: int) -> None:
    octets = encode_sentence([b"x" * size])
    for cut in range(1, 8):
        decoder = Decoder()
        assert decoder.feed(octets[:cut]) + decoder.feed(octets[cut:]) == [[b"x" * size]]


def test_all_five_forms_of_a_length_are_read() -> None:
    for octets in ("05", "8005", "c00005", "e0000005", "f000000005"):
        assert Decoder().feed(bytes.fromhex(octets) + b"/quit\x00") == [[b"/quit"]]


@given(st.binary(max_size=200))
def test_whatever_octets_come_are_sentences_or_malformed(octets: bytes) -> None:
    try:
        sentences = Decoder().feed(octets)
    except Malformed:
        return
    assert all(words and all(words) for words in sentences)


@pytest.mark.parametrize("octets", ["f8", "ff", "f0ffffffff", "e7ffffff"])
def test_reserved_control_octets_and_impossible_lengths_are_malformed(octets: str) -> None:
    with pytest.raises(Malformed):
        Decoder().feed(bytes.fromhex(octets))


ROW = {"name": "ana", "uptime": "1h2m", "address": "10.0.0.9", "number": "9", "radius": "true"}


@pytest.mark.parametrize(
    ("queries", "found"),
    [
        ([], True),
        (["name"], True),
        (["comment"], False),
        (["-comment"], True),
        (["-name"], False),
        (["name=ana"], True),
        (["=name=ana"], True),
        (["name=an"], False),
        (["comment="], False),
        (["<number=10"], True),  # as numbers: as text it would not be less
        ([">number=10"], False),
        ([">uptime=59m"], True),
        (["<address=10.0.0.10"], True),
        (["name=ana", "number=8"], False),
        (["name=ana", "number=8", "#|"], True),
        (["name=ana", "number=9", "#&"], True),
        (["name=eva", "#!"], True),
        # ((name or number) and address), all in one word of operations
        (["name=eva", "number=9", "#|", "address=10.0.0.9", "#&"], True),
        (["name=eva", "number=8", "address=10.0.0.9", "#||"], True),
        # an index at the end replaces all; before another character it copies
        (["name=eva", "number=9", "#0"], True),
        (["name=eva", "number=9", "#1"], False),
        (["number=9", "name=eva", "#1|&"], True),
        (["name=eva", "#!.&"], True),
        # below what was pushed there are endlessly many truths
        (["name=eva", "#|"], True),
        (["name=ana", "#&"], True),
        (["name=ana", "#7"], True),
    ],
)
def test_queries_are_evaluated_on_a_stack(queries: Sequence[str], found: bool) -> None:
    assert matches(ROW, queries) is found


def test_an_operation_that_there_is_not_is_no_query() -> None:
    with pytest.raises(BadQuery):
        matches(ROW, ["#x"])


@given(
    st.lists(st.sampled_from(["name=ana", "name=eva", "comment", "-comment"]), min_size=1, max_size=4),
    st.text("!&|.0123", max_size=6),
)
def test_a_query_of_known_operations_is_always_decided(queries: list[str], operations: str) -> None:
    assert matches(ROW, [*queries, f"#{operations}"]) in {True, False}


@pytest.fixture
def router() -> Iterator[Box]:
    with box(session(1, "ana"), session(2, "123"), session(3, "josé")) as found:
        yield found


def libre(found: Box, **given: Any) -> Any:
    return librouteros.connect(
        "127.0.0.1", USER, given.pop("password", PASSWORD), port=found.server.port, encoding="utf-8", timeout=5, **given
    )


def test_librouteros_reads_filters_and_removes(router: Box) -> None:
    api = libre(router)
    active = api.path("ppp", "active")
    name, address = Key("name"), Key("address")
    assert [row["name"] for row in active] == ["ana", 123, "josé"]  # its casting: what ours is for
    assert list(active.select(name, Key("caller-id")).where(name == "josé")) == [
        {"name": "josé", "caller-id": "02:00:00:00:00:03"}
    ]
    assert [row["name"] for row in active.select(name).where(Or(name == "ana", address == "100.64.0.3"))] == [
        "ana",
        "josé",
    ]
    assert list(active.select(name).where(And(name == "ana", address == "100.64.0.3"))) == []
    row_id = next(iter(active.select(Key(".id")).where(name == "ana")))[".id"]
    active.remove(row_id)
    assert [one.login for one in router.online.read()] == ["123", "josé"]
    with pytest.raises(TrapError, match="no such item"):
        active.remove(row_id)


def test_librouteros_hears_what_is_not_there(router: Box) -> None:
    api = libre(router)
    for command, message in (
        ("/ppp/active/add", "no such command"),
        ("/ppp/passive/print", "no such command prefix"),
        ("/ip/service/remove", "no such command"),
    ):
        with pytest.raises(TrapError) as trap:
            tuple(api(command))
        assert (trap.value.message, trap.value.category) == (message, 0)
    with pytest.raises(TrapError, match="unknown parameter"):
        tuple(api("/ppp/active/print", colour="blue"))
    assert next(iter(api("/system/identity/print"))) == {"name": "bras-1"}


def test_librouteros_ends_with_quit(router: Box) -> None:
    api = libre(router)
    with pytest.raises(FatalError, match="session terminated on request"):
        tuple(api("/quit"))


def test_a_wrong_password_is_refused_to_librouteros(router: Box) -> None:
    with pytest.raises(TrapError, match=r"invalid user name or password \(6\)"):
        libre(router, password="wrong")


def other(found: Box, **given: Any) -> Any:
    return routeros_api.RouterOsApiPool(
        "127.0.0.1", USER, given.pop("password", PASSWORD), port=found.server.port,
        plaintext_login=given.pop("plaintext_login", True), **given,
    )  # fmt: skip


def test_routeros_api_reads_and_removes_with_its_tags(router: Box) -> None:
    pool = other(router)
    active = pool.get_api().get_resource("/ppp/active")
    assert [row["name"] for row in active.get()] == ["ana", "123", "josé"]
    (found,) = active.get(name="123")
    assert (found["service"], found["session-id"], found["uptime"]) == ("pppoe", "0x81C00002", "1m30s")
    active.remove(id=found["id"])
    assert len(router.online.read()) == 2
    with pytest.raises(RouterOsApiCommunicationError, match="no such item"):
        active.remove(id=found["id"])
    pool.disconnect()


def test_routeros_api_is_told_of_a_wrong_password(router: Box) -> None:
    with pytest.raises(RouterOsApiCommunicationError, match="invalid user name or password"):
        other(router, password="wrong").get_api()


def test_before_6_43_the_challenge_is_the_login_and_after_it_leads_nowhere() -> None:
    with box(session(1), version=Version.V6_42) as old:
        active = other(old, plaintext_login=False).get_api().get_resource("/ppp/active")
        assert [row["name"] for row in active.get()] == ["ana"]
        with pytest.raises(TrapError, match="cannot log in"):
            libre(old, password="wrong", login_method=token)
    with box(version=Version.V6_49) as new, pytest.raises(RouterOsApiCommunicationError, match="invalid user name"):
        other(new, plaintext_login=False).get_api()


def test_both_clients_come_in_by_tls() -> None:
    signed = self_signed("router", "127.0.0.1")
    trusting = ssl.create_default_context(cadata=signed.pem)
    with box(session(1), tls=signed.context) as found:
        api = libre(found, ssl_wrapper=lambda sock: trusting.wrap_socket(sock, server_hostname="127.0.0.1"))
        assert [row["name"] for row in api("/ppp/active/print")] == ["ana"]
        active = other(found, use_ssl=True, ssl_context=trusting).get_api().get_resource("/ppp/active")
        assert [row["name"] for row in active.get()] == ["ana"]
        shown = hashlib.sha256(api.protocol.transport.sock.getpeercert(binary_form=True)).hexdigest()
        assert shown == signed.sha256
        with pytest.raises((RouterOsApiConnectionError, ssl.SSLCertVerificationError)):
            other(found, use_ssl=True).get_api()


def test_a_session_goes_on_without_its_secret_until_it_is_removed_itself(router: Box) -> None:
    api = libre(router)
    secrets, active = api.path("ppp", "secret"), api.path("ppp", "active")
    secret_id = secrets.add(name="ana", password="x")
    tuple(api("/ppp/secret/disable", numbers="ana"))
    secrets.remove(secret_id)
    (online,) = active.select(Key(".id")).where(Key("name") == "ana")
    with pytest.raises(TrapError, match="no such item"):
        secrets.remove(online[".id"])  # its ids are others
    active.remove(online[".id"])
    assert [one.login for one in router.online.read()] == ["123", "josé"]


class Wire:
    """Words by hand."""

    def __init__(self, found: Box, *, log_in: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", found.server.port), timeout=5)
        self._decoder = Decoder()
        if log_in:
            assert self.ask("/login", f"=name={USER}", f"=password={PASSWORD}") == [["!done"]]

    def ask(self, *words: str) -> list[list[str]]:
        """The sentences of the answer, to its end."""
        self._socket.sendall(encode_sentence([word.encode() for word in words]))
        found: list[list[str]] = []
        while not found or found[-1][0] not in {"!done", "!fatal"}:
            octets = self._socket.recv(4096)
            assert octets, "the connection ended in the middle of an answer"
            found += [[word.decode() for word in words] for words in self._decoder.feed(octets)]
        return found


def test_a_command_before_the_login_is_fatal(router: Box) -> None:
    assert Wire(router, log_in=False).ask("/ppp/active/print") == [["!fatal", "not logged in"]]


def test_nothing_to_return_is_said_from_7_18_on() -> None:
    expected = {Version.V7_18: [["!empty"], ["!done"]], Version.V7_12: [["!done"]], Version.V6_49: [["!done"]]}
    for version, answer in expected.items():
        with box(version=version) as found:
            assert Wire(found).ask("/ppp/active/print", "=.proplist=name") == answer


def test_a_tag_is_on_every_sentence_of_its_answer(router: Box) -> None:
    answer = Wire(router).ask("/ppp/active/print", "=.proplist=name", "?name=ana", ".tag=7")
    assert answer == [["!re", ".tag=7", "=name=ana"], ["!done", ".tag=7"]]


def test_a_row_without_the_wanted_properties_is_bare_and_still_counts(router: Box) -> None:
    wire = Wire(router)
    assert wire.ask("/ppp/active/print", "=.proplist=comment", "?name=ana") == [["!re"], ["!done"]]
    assert wire.ask("/ppp/active/print", "=count-only=") == [["!done", "=ret=3"]]


def test_a_row_that_is_no_utf8_goes_out_as_it_is() -> None:
    odd = b"jos\xe9".decode("utf-8", "surrogateescape")
    menu = Listing(lambda: [{".id": "*1", "name": odd}])
    with box(others={"/ppp/active": menu}) as found:
        api = librouteros.connect("127.0.0.1", USER, PASSWORD, port=found.server.port, encoding="latin-1", timeout=5)
        assert next(iter(api("/ppp/active/print")))["name"] == "josé"


@pytest.mark.parametrize(("version", "table"), [(Version.V6_49, "routing-table"), (Version.V7_18, "vrf")])
def test_it_pings_as_real_ones_do_and_counts_what_it_asks_of_radius(version: Version, table: str) -> None:
    """Rows as clients of real routers have them (napalm-ros), the counters as the manual does."""
    clock = Clock()
    with box(version=version, clock=clock) as found:
        api = librouteros.connect("127.0.0.1", USER, PASSWORD, port=found.server.port, timeout=5)
        found.router.answering = lambda address: address == "192.0.2.1"
        answered = list(api("/ping", address="192.0.2.1", count="3", interval="200ms", **{table: "main"}))
        assert [row["received"] for row in answered] == [1, 2, 3]
        assert {"seq", "host", "size", "ttl", "time", "sent", "packet-loss", "min-rtt", "avg-rtt", "max-rtt"} <= set(
            answered[0]
        )
        (lost,) = api("/ping", address="192.0.2.9", count="1")
        assert (lost["status"], lost["packet-loss"]) == ("timeout", 100)
        for wrong in ({"address": "192.0.2.1", "size": "9", "no-such": "1"}, {"count": "1"}, {"address": "ns1"}):
            with pytest.raises(TrapError):
                list(api("/ping", **wrong))
        for address in ("192.0.2.9", "192.0.2.1"):
            do(found.router, "/radius/add", service="ppp", address=address, secret="x")
        found.router.radius.per_s = 1.0
        clock.now += 3
        silent, first = (next(iter(api("/radius/monitor", numbers=one, once=""))) for one in ("0", "1"))
        assert (silent["requests"], silent["accepts"], silent["resends"], silent["timeouts"]) == (3, 0, 9, 3)
        assert (first["requests"], first["accepts"], first["timeouts"], first["bad-replies"]) == (3, 3, 0, 0)
