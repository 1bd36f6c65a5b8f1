"""Our client of the RouterOS API, over real sockets: at the simulated router, and at ones that fail."""

from __future__ import annotations

import dataclasses
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from routeros_boxes import PASSWORD, USER, Box, box, session

from core.errors import InvalidInput
from core.routeros import RouterOsAccess, check_routeros
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import (
    CertificateRefused,
    LoginRefused,
    Misunderstood,
    RouterOsError,
    Trap,
    Unreachable,
)
from provisioning.simulators.routeros import Listing, Version, self_signed
from provisioning.simulators.routeros.words import Decoder, encode_sentence

NAMES = (".id", "name")


@pytest.mark.parametrize("version", [Version.V6_49, Version.V7_12, Version.V7_18])
def test_values_are_the_strings_they_are(version: Version) -> None:
    logins = ["123", "007", "yes", "true", "no", "josé", "a=b", ""]
    sessions = [session(number, login) for number, login in enumerate(logins, 1)]
    with box(*sessions, version=version) as found:
        client = RouterOs(found.access())
        assert [row["name"] for row in client.rows("/ppp/active", NAMES)] == logins
        assert [row["name"] for row in client.rows("/ppp/active", NAMES, "name=yes")] == ["yes"]
        assert client.rows("/ppp/active", NAMES, "name=nobody") == []
        client.close()


def test_octets_that_are_no_utf8_are_read_and_asked_for_as_they_are() -> None:
    odd = b"jos\xe9".decode("utf-8", "surrogateescape")
    with box(others={"/ppp/active": Listing(lambda: [{".id": "*1", "name": odd}])}) as found:
        client = RouterOs(found.access())
        (row,) = client.rows("/ppp/active", NAMES, f"name={odd}")
        assert row["name"].encode("utf-8", "surrogateescape") == b"jos\xe9"


def test_a_command_is_done_at_once_and_only_once() -> None:
    with box(session(1), session(2)) as found:
        client = RouterOs(found.access())
        client.call("/ppp/active/remove", {".id": session(1).row_id})
        assert len(found.online.read()) == 1
        found.server.drop()
        with pytest.raises(Unreachable):  # it may have been done: it is not ours to say
            client.call("/ppp/active/remove", {".id": session(2).row_id})
        assert len(found.online.read()) == 1
        client.call("/ppp/active/remove", {".id": session(2).row_id})
        assert found.online.read() == []


def test_a_trap_is_an_answer_and_the_connection_stays() -> None:
    with box(session(1)) as found:
        client = RouterOs(found.access())
        client.rows("/ppp/active", NAMES)
        with pytest.raises(Trap) as trap:
            client.rows("/caps-man/registration-table", NAMES)
        assert (trap.value.no_such_command, trap.value.category, trap.value.nas_id) == (True, 0, 7)
        with pytest.raises(Trap) as trap:
            client.call("/ppp/active/remove", {".id": "*FF"})
        assert (trap.value.message, trap.value.no_such_command) == ("no such item", False)
        assert client.connected
        assert found.server.connections == 1


def test_a_connection_that_was_dropped_while_idle_is_replaced() -> None:
    with box(session(1)) as found:
        client = RouterOs(found.access())
        client.rows("/ppp/active", NAMES)
        found.server.drop()
        assert [row["name"] for row in client.rows("/ppp/active", NAMES)] == ["ana"]


def test_a_late_answer_is_never_taken_for_the_next_one() -> None:
    let_go = threading.Event()

    def slow() -> list[dict[str, str]]:
        let_go.wait(10)
        return [{".id": "*1", "name": "late"}]

    with box(session(1), others={"/slow": Listing(slow)}) as found:
        client = RouterOs(found.access(), timeout_s=0.2)
        with pytest.raises(Unreachable, match=r"no answer in 0\.2 s"):
            client.rows("/slow", NAMES)
        assert not client.connected
        let_go.set()
        assert [row["name"] for row in client.rows("/ppp/active", NAMES)] == ["ana"]


def test_a_refused_login_says_so_and_not_the_password() -> None:
    with box() as found:
        client = RouterOs(found.access(password="wrong-and-secret"))
        with pytest.raises(LoginRefused, match=r"invalid user name or password \(6\)") as refused:
            client.rows("/ppp/active", NAMES)
        assert "wrong-and-secret" not in str(refused.value) + repr(client.__dict__)
        assert not client.connected


def test_a_router_before_6_43_is_too_old() -> None:
    with box(version=Version.V6_42) as found, pytest.raises(LoginRefused, match="too old"):
        RouterOs(found.access()).rows("/ppp/active", NAMES)


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    client = RouterOs(RouterOsAccess(7, "127.0.0.1", port, USER, PASSWORD, tls=False))
    with pytest.raises(Unreachable, match=f"port {port}: Connection refused"):
        client.rows("/ppp/active", NAMES)


@pytest.fixture(scope="module")
def signed() -> Iterator[tuple[Box, str]]:
    own = self_signed("router", "127.0.0.1")
    with box(session(1), tls=own.context) as found:
        yield found, own.sha256


def test_the_pinned_certificate_is_enough(signed: tuple[Box, str]) -> None:
    found, sha256 = signed
    client = RouterOs(found.access(tls=True, certificate_sha256=sha256))
    assert len(client.rows("/ppp/active", NAMES)) == 1
    client.close()


def test_another_certificate_than_the_pinned_one_is_told_nothing(signed: tuple[Box, str]) -> None:
    found, sha256 = signed
    client = RouterOs(found.access(tls=True, certificate_sha256="0" * 64))
    with pytest.raises(CertificateRefused, match=sha256):
        client.rows("/ppp/active", NAMES)


def test_without_a_pin_an_authority_must_vouch_for_the_certificate(signed: tuple[Box, str]) -> None:
    found, _ = signed
    with pytest.raises(CertificateRefused, match="self-signed"):
        RouterOs(found.access(tls=True)).rows("/ppp/active", NAMES)


def test_a_port_without_tls_is_unreachable_by_tls() -> None:
    with box() as found, pytest.raises(Unreachable):  # at once, or it waits for the rest of what it takes for a word
        RouterOs(found.access(tls=True), timeout_s=0.3).rows("/ppp/active", NAMES)


@contextmanager
def saying(
    answer: Callable[[list[bytes]], bytes], then: Callable[[socket.socket], None] = lambda _: None
) -> Iterator[RouterOsAccess]:
    """A router that says this to each sentence; after an empty answer it does what else it does, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    decoder = Decoder()
                    while octets := connection.recv(4096):
                        for words in decoder.feed(octets):
                            if not (said := answer(words)):
                                return then(connection)
                            connection.sendall(said)
            except OSError:
                return None
            return None

        threading.Thread(target=serve, daemon=True).start()
        yield RouterOsAccess(7, "127.0.0.1", listener.getsockname()[1], USER, PASSWORD, tls=False)


def after_login(octets: bytes) -> Callable[[list[bytes]], bytes]:
    return lambda words: encode_sentence([b"!done"]) if words[0] == b"/login" else octets


ROW = encode_sentence([b"!re", b"=name=ana"])


@pytest.mark.parametrize(
    ("octets", "error", "why"),
    [
        pytest.param(ROW + b"\x09=name", Unreachable, "no answer in", id="cut in a word, and silent"),
        pytest.param(encode_sentence([b"!fatal", b"session terminated"]), Misunderstood, "terminated", id="fatal"),
        pytest.param(encode_sentence([b"!what"]), Misunderstood, "ProtocolError", id="no reply that there is"),
        pytest.param(b"\xf8", Misunderstood, "ProtocolError", id="a reserved control octet"),
        pytest.param(b"\xef\xff\xff\xff", Misunderstood, "ProtocolError", id="a word of impossible length"),
        pytest.param(ROW + b"\x00" * 5000, Unreachable, "no answer in", id="empty sentences without end"),
    ],
)  # fmt: skip
def test_what_is_no_whole_answer_ends_the_connection(octets: bytes, error: type[RouterOsError], why: str) -> None:
    with saying(after_login(octets)) as access:
        client = RouterOs(access, timeout_s=0.3)
        with pytest.raises(error, match=why):
            client.rows("/ppp/active", NAMES)
        assert not client.connected


def test_a_router_that_drips_has_one_deadline_for_all() -> None:
    given_up = threading.Event()

    def rows() -> Iterator[dict[str, str]]:
        while not given_up.wait(0.02):
            yield {".id": "*1", "name": "one more"}

    def drip(connection: socket.socket) -> None:
        for row in rows():
            connection.sendall(encode_sentence([b"!re", *(f"={name}={value}".encode() for name, value in row.items())]))

    with saying(after_login(b""), then=drip) as access:
        with pytest.raises(Unreachable, match=r"no answer in 0\.3 s"):
            RouterOs(access, timeout_s=0.3).rows("/ppp/active", NAMES)
        given_up.set()


def test_a_trap_with_more_words_and_several_traps_are_the_first_one() -> None:
    traps = encode_sentence([b"!trap", b"=category=4", b"=message=busy", b"=retry-after=3"])
    traps += encode_sentence([b"!trap", b"=message=again"]) + encode_sentence([b"!done"])
    with saying(after_login(traps)) as access:
        with pytest.raises(Trap, match="/ppp/active/print: busy") as trap:
            RouterOs(access).rows("/ppp/active", NAMES)
        assert trap.value.category == 4


def test_no_word_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with box(session(1, "login-in-question")) as found:
        RouterOs(found.access()).rows("/ppp/active", NAMES, "name=login-in-question")
    assert PASSWORD not in caplog.text
    assert "login-in-question" not in caplog.text


def test_the_password_is_in_no_representation() -> None:
    access = RouterOsAccess(7, "192.0.2.1", 8729, USER, "hidden-one")
    assert "hidden-one" not in repr(access)
    assert dataclasses.replace(access) == access


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"user": "u"}, {"user": "u", "port": 8729, "tls": True, "certificate_sha256": None}),
        ({"user": "u", "tls": False}, {"user": "u", "port": 8728, "tls": False, "certificate_sha256": None}),
        (
            {"user": "u", "port": 18729, "certificate_sha256": ":".join(["AB"] * 32)},
            {"user": "u", "port": 18729, "tls": True, "certificate_sha256": "ab" * 32},
        ),
    ],
)
def test_an_access_is_kept_with_what_was_left_out(given: dict[str, object], kept: dict[str, object]) -> None:
    assert check_routeros(given) == kept


@pytest.mark.parametrize("given", [{"certificate_sha256": "ab"}, {"tls": False, "certificate_sha256": "ab" * 32}])
def test_a_fingerprint_that_cannot_be_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_routeros({"user": "u", **given})
    assert refused.value.field == "routeros.certificate_sha256"
