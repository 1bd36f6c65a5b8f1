"""The connection log over REST: lookups with their reason, rules, and requests of authorities up to the signed PDF."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from api_rows import make_service
from applications import make_app
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from fastapi.testclient import TestClient
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext
from pypdf import PdfReader
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from aaa.connection_log import cases
from aaa.connection_log.signing import SigningKey, load_own, load_pkcs12
from core import tokens
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.errors import ConfigurationError
from core.keyring import Keyring
from core.models.system import Role

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RULE = {
    "name": "cgnat-1", "inside_first": "100.64.0.0", "inside_last": "100.64.0.31", "outside_first": "203.0.113.0",
    "outside_last": "203.0.113.0", "ports_per_subscriber": 2000, "valid_from": "2026-01-01T00:00:00-03:00",
}  # fmt: skip
ORDER = {
    "kind": "records", "authority": "1ª Vara Cível de Recife", "order_number": "0001234-55.2026.8.17.2001",
    "received_at": "2026-11-23T09:00:00-03:00", "deadline": "2026-12-01", "secret": False,
    "questions": [{"ip": "203.0.113.0", "port": 3500, "at": "2026-11-20 10:00:00", "zone": "America/Sao_Paulo"}],
}  # fmt: skip
#: Names are not written in Latin-1 alone.
AUTHORITY = "1ª Vara Cível: Łukasz Ковальчук Σοφία"
ClientFor = Callable[..., TestClient]
_numbers = itertools.count()


@pytest.fixture
def client_for(database: Database, keyring: Keyring, tmp_path: Path) -> ClientFor:
    """Clients by role and name, on a node that signs with a key of its own."""
    clock = ManualClock(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
    app = make_app(
        database, keyring, clock=clock, zone=ZoneInfo("America/Sao_Paulo"),
        signing_key=lambda: load_own(tmp_path / "signature.p12", name="Fibra Ltda", now=clock()), provider="Fibra Ltda",
    )  # fmt: skip

    def make(role: Role, name: str = "") -> TestClient:
        with database.transaction() as session:
            _, secret = tokens.create_token(session, name or f"{role}-{next(_numbers)}", role, Actor("test"))
        return TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {secret}"})

    return make


def hold(
    database: Database, service_id: str, address: str, login: str, *, hours: int = 4, at: datetime = START
) -> None:
    """A session that had this address."""
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO session (nas_id, box, acct_session_id, service_id, login, started_at, updated_at, "
                "stopped_at, stop_kind, nas_address, framed_ipv4) VALUES (1, 'bras', :key, :service, :login, :first, "
                ":last, :last, 'stop', '192.0.2.1', :address)"
            ),
            {"key": f"{address}-{at}", "service": int(service_id), "login": login, "first": at,
             "last": at + timedelta(hours=hours), "address": address},
        )  # fmt: skip


@pytest.fixture
def subscriber(client_for: ClientFor, database: Database) -> dict[str, Any]:
    """Ana, behind ports 3024-5023 of 203.0.113.0 by the rule."""
    client = client_for(Role.ADMIN)
    service = make_service(client, address={"street": "Rua do Sol", "number": "10", "city": "Recife"})
    assert client.post("/api/v1/nat-rules", json=RULE).status_code == 201
    hold(database, service["id"], "100.64.0.1", "ana")
    return service


def ask(client: TestClient, **values: Any) -> Any:
    query = {"reason": "ticket 7", "at": "2026-11-20T13:00:00Z"} | values
    return client.get("/api/v1/connection-log", params={key: value for key, value in query.items() if value})


def test_a_shared_address_with_its_port_names_one_subscriber(client_for: ClientFor, subscriber: dict[str, Any]) -> None:
    found = ask(client_for(Role.LEGAL), ip="203.0.113.0", port="3500", language="en").json()
    (candidate,) = found["candidates"]
    assert (candidate["how"], candidate["inside_address"], candidate["port_first"], candidate["port_last"]) == (
        "nat_rule", "100.64.0.1", 3024, 5023,
    )  # fmt: skip
    assert (candidate["login"], candidate["customer"]["name"]) == ("ana", "Ana")
    assert candidate["customer"]["address"]["street"] == "Rua do Sol"
    assert candidate["end_in_words"] == "told by the equipment"
    assert "300 seconds" in found["in_words"][-1]


def test_without_the_port_all_candidates_are_given_and_the_uncertainty_is_said(
    client_for: ClientFor, subscriber: dict[str, Any], database: Database
) -> None:
    hold(database, subscriber["id"], "100.64.0.9", "bia")
    found = ask(client_for(Role.LEGAL), ip="203.0.113.0").json()
    assert sorted(one["login"] for one in found["candidates"]) == ["ana", "bia"]
    assert "porta lógica de origem não foi informada" in found["in_words"][0]
    assert {"port_missing", "several"} <= set(found["notes"])


def test_times_in_a_zone_and_windows_are_understood(client_for: ClientFor, subscriber: dict[str, Any]) -> None:
    client = client_for(Role.LEGAL)
    local = {"at": "2026-11-20 10:00:00", "zone": "America/Sao_Paulo", "ip": "100.64.0.1"}
    assert len(ask(client, **local).json()["candidates"]) == 1
    window = {"at": None, "from": "2026-11-19T00:00:00Z", "until": "2026-11-21T00:00:00Z", "ip": "100.64.0.1"}
    assert len(ask(client, **window).json()["candidates"]) == 1
    assert ask(client, ip="100.64.0.1", at="2026-11-20T17:00:00Z").json()["candidates"] == []
    for wrong, field in (
        ({"at": "2026-11-20 10:00:00"}, "at"), ({"from": "2026-11-20T10:00:00Z"}, "at"), ({"at": None}, "at"),
        ({"ip": "300.1.1.1"}, "ip"), ({"at": None, "from": "2026-11-20T10:00:00Z"}, "until"),
    ):  # fmt: skip
        answer = ask(client, **({"ip": "100.64.0.1"} | wrong))
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_every_lookup_is_kept_with_its_reason_and_no_row_of_it_can_be_changed(
    client_for: ClientFor, subscriber: dict[str, Any], database: Database
) -> None:
    assert client_for(Role.LEGAL).get("/api/v1/connection-log?ip=100.64.0.1&at=2026-11-20T13:00:00Z").status_code == 422
    ask(client_for(Role.LEGAL, "lia"), ip="100.64.0.1")
    (entry,) = client_for(Role.ADMIN).get("/api/v1/connection-lookups").json()["items"]
    assert (entry["actor"], entry["reason"], entry["results"]) == ("token:lia", "ticket 7", 1)
    assert entry["question"]["address"] == "100.64.0.1"
    for statement in ("UPDATE connection_lookup SET reason = ''", "DELETE FROM connection_lookup"):
        with pytest.raises(ProgrammingError, match="added, never changed"), database.transaction() as session:
            session.execute(text(statement))


def test_only_administrators_legal_and_noc_see_the_log_and_noc_sees_no_personal_data(
    client_for: ClientFor, subscriber: dict[str, Any]
) -> None:
    allowed = {role for role in Role if ask(client_for(role), ip="100.64.0.1").status_code == 200}
    assert allowed == {Role.ADMIN, Role.LEGAL, Role.NOC}
    customer = ask(client_for(Role.NOC), ip="100.64.0.1").json()["candidates"][0]["customer"]
    assert (customer["address"], customer["document"]) == ({}, None)
    readers = {role for role in Role if client_for(role).get("/api/v1/connection-lookups").status_code == 200}
    assert readers == {Role.ADMIN}


def test_a_renamed_login_and_a_cancelled_service_are_still_found_as_they_were(
    client_for: ClientFor, subscriber: dict[str, Any]
) -> None:
    client = client_for(Role.ADMIN)
    assert client.patch(f"/api/v1/services/{subscriber['id']}", json={"login": "ana.2"}).status_code == 200
    assert client.delete(f"/api/v1/services/{subscriber['id']}").status_code == 200
    (candidate,) = ask(client, ip="100.64.0.1").json()["candidates"]
    assert (candidate["login"], candidate["customer"]["service_status"]) == ("ana", "cancelled")


def test_rules_are_ended_and_never_overlap(client_for: ClientFor, subscriber: dict[str, Any]) -> None:
    client = client_for(Role.NOC)
    assert client.post("/api/v1/nat-rules", json=RULE).status_code == 409
    other_ports = {"first_port": 1, "last_port": 1023, "ports_per_subscriber": 31}
    assert client.post("/api/v1/nat-rules", json=RULE | other_ports).status_code == 201
    short = client.post("/api/v1/nat-rules", json=RULE | {"ports_per_subscriber": 3000})
    assert (short.status_code, short.json()["field"]) == (422, "ports_per_subscriber")
    ended = client.delete("/api/v1/nat-rules/1").json()
    assert ended["valid_until"].startswith("2026-11-24T12:00:00")
    assert client.post("/api/v1/nat-rules", json=RULE | {"valid_from": "2026-11-24T12:00:00Z"}).status_code == 201
    assert len(ask(client, ip="203.0.113.0", port="3500").json()["candidates"]) == 1
    assert client_for(Role.SUPPORT).get("/api/v1/nat-rules").status_code == 403


def step(client: TestClient, case: dict[str, Any], what: str, **body: Any) -> Any:
    return client.post(f"/api/v1/judicial-requests/{case['id']}/{what}", json=body)


@pytest.mark.parametrize("language", ["pt_BR", "en"])
def test_an_order_is_searched_approved_by_another_and_answered_with_a_signed_document(
    client_for: ClientFor, subscriber: dict[str, Any], language: str
) -> None:
    lia, rui = client_for(Role.LEGAL, "lia"), client_for(Role.LEGAL, "rui")
    case = lia.post("/api/v1/judicial-requests", json=ORDER | {"authority": AUTHORITY}).json()
    assert step(lia, case, "approve").status_code == 409
    found = step(lia, case, "search").json()
    assert found["findings"]["answers"][0]["candidates"][0]["customer"]["name"] == "Ana"
    assert step(lia, case, "approve").status_code == 403
    assert step(rui, case, "answer", language=language).status_code == 409
    assert step(rui, case, "approve").json()["state"] == "approved"
    answered = step(lia, case, "answer", language=language).json()
    assert (answered["state"], answered["searched_by"], answered["approved_by"]) == (
        "answered", "token:lia", "token:rui",
    )  # fmt: skip
    document = lia.get(f"/api/v1/judicial-requests/{case['id']}/document")
    assert document.headers["content-type"] == "application/pdf"
    assert hashlib.sha256(document.content).hexdigest() == answered["document_sha256"]
    assert step(rui, case, "withdraw", reason="x").status_code == 409
    check_signature(document.content)
    assert "Rua do Sol, 10, Recife" in read_text(document.content)
    assert AUTHORITY in read_text(document.content)


def read_text(octets: bytes) -> str:
    """The words of a document's first page."""
    return PdfReader(BytesIO(octets)).pages[0].extract_text()


def check_signature(octets: bytes) -> None:
    """Whole, and by the certificate that it carries; a changed octet is noticed."""
    (signature,) = PdfFileReader(BytesIO(octets)).embedded_signatures
    trust = ValidationContext(trust_roots=[signature.signer_cert])
    status = validate_pdf_signature(signature, trust)
    assert status.intact
    assert status.valid
    assert "ENTIRE" in str(status.coverage)
    changed = bytearray(octets)
    changed[octets.index(b"/Type /Page") + 2] ^= 1
    (broken,) = PdfFileReader(BytesIO(bytes(changed)), strict=False).embedded_signatures
    assert not validate_pdf_signature(broken, trust, skip_diff=True).intact


def test_the_law_decides_what_may_be_entered(client_for: ClientFor) -> None:
    client = client_for(Role.LEGAL)
    for wrong, field in (
        ({"order_number": None}, "order_number"),
        ({"kind": "preservation", "order_number": None}, "legal_basis"),
        ({"questions": [{"ip": "203.0.113.0", "at": "2026-11-20 10:00"}]}, "questions.0.at"),
        ({"questions": [{"login": "ana"}]}, "questions.0.ip"),
        ({"kind": "registration", "legal_basis": "x"}, "questions.0"),
    ):  # fmt: skip
        answer = client.post("/api/v1/judicial-requests", json=ORDER | wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_a_preservation_discloses_nothing_lapses_after_sixty_days_and_an_order_saves_it(
    client_for: ClientFor, subscriber: dict[str, Any], database: Database
) -> None:
    lia, rui = client_for(Role.LEGAL, "lia"), client_for(Role.LEGAL, "rui")
    body = ORDER | {"kind": "preservation", "order_number": None, "legal_basis": "Lei 12.965/2014, art. 13 §2"}
    first, second = (lia.post("/api/v1/judicial-requests", json=body).json() for _ in range(2))
    assert first["preserved_until"].startswith("2027-01-22T12:00:00")
    for case in (first, second):
        step(lia, case, "search")
        assert step(rui, case, "approve").status_code == 409
    with database.transaction() as session:
        session.execute(text("DELETE FROM address_use"))  # the log forgets
    ordered = step(lia, second, "order", order_number="77").json()
    assert (ordered["kind"], ordered["preserved_until"]) == ("records", None)
    with database.transaction() as session:
        assert cases.expire_preservations(session, now=datetime(2027, 1, 22, 11, 59, tzinfo=UTC)) == 0
        assert cases.expire_preservations(session, now=datetime(2027, 1, 22, 12, 1, tzinfo=UTC)) == 1
    lapsed = lia.get(f"/api/v1/judicial-requests/{first['id']}").json()
    assert (lapsed["state"], lapsed["findings"]) == ("expired", None)
    assert step(rui, second, "approve").status_code == 200
    kept = step(rui, second, "answer").json()["findings"]["answers"][0]["candidates"]
    assert [one["login"] for one in kept] == ["ana"]


def test_registration_data_is_answered_by_login_without_a_word_of_connections(
    client_for: ClientFor, subscriber: dict[str, Any]
) -> None:
    lia, rui = client_for(Role.LEGAL, "lia"), client_for(Role.LEGAL, "rui")
    body = ORDER | {"kind": "registration", "order_number": None, "legal_basis": "Lei 12.965/2014, art. 10 §3",
                    "questions": [{"login": "ana"}, {"login": "nobody"}]}  # fmt: skip
    case = lia.post("/api/v1/judicial-requests", json=body).json()
    answers = step(lia, case, "search").json()["findings"]["answers"]
    assert [[one["name"] for one in answer["customers"]] for answer in answers] == [["Ana"], []]
    assert step(rui, case, "approve").status_code == 200
    assert step(rui, case, "answer").json()["state"] == "answered"


def test_a_secret_case_is_known_to_its_people_and_to_administrators_only(
    client_for: ClientFor, subscriber: dict[str, Any]
) -> None:
    lia, rui, eva = (client_for(Role.LEGAL, name) for name in ("lia", "rui", "eva"))
    case = lia.post("/api/v1/judicial-requests", json=ORDER | {"secret": True, "people": ["token:rui"]}).json()
    path = f"/api/v1/judicial-requests/{case['id']}"
    assert [one.get(path).status_code for one in (lia, rui, eva, client_for(Role.ADMIN))] == [200, 200, 404, 200]
    assert eva.get("/api/v1/judicial-requests").json()["items"] == []
    assert len(rui.get("/api/v1/judicial-requests").json()["items"]) == 1
    assert step(eva, case, "search").status_code == 404
    assert step(lia, case, "refuse", reason="not our address").json()["close_reason"] == "not our address"


def make_pkcs12(path: Path, password: bytes) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FIBRA LTDA:11222333000181")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(START).not_valid_after(START + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    encryption = serialization.BestAvailableEncryption(password)
    path.write_bytes(serialization.pkcs12.serialize_key_and_certificates(b"a1", key, certificate, None, encryption))


def test_the_providers_own_certificate_is_used_where_it_is_given(tmp_path: Path) -> None:
    make_pkcs12(tmp_path / "a1.p12", b"s3nha")
    key: SigningKey = load_pkcs12(tmp_path / "a1.p12", "s3nha")
    assert ("FIBRA LTDA" in key.subject, key.own) == (True, False)
    with pytest.raises(ConfigurationError) as caught:
        load_pkcs12(tmp_path / "a1.p12", "wrong-password")
    assert "wrong-password" not in caught.value.detail
    with pytest.raises(ConfigurationError):
        load_pkcs12(tmp_path / "none.p12", "")


def test_a_key_of_our_own_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "signature.p12"
    first = load_own(path, name="Fibra", now=START)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_own(path, name="Fibra", now=START).fingerprint == first.fingerprint
    path.chmod(0o644)
    with pytest.raises(ConfigurationError):
        load_own(path, name="Fibra", now=START)
