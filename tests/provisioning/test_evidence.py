"""An explanation from what the database holds: by login, address, device and NAS, with everything joined."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from factories import make_nas, make_service
from sqlalchemy.orm import Session as DatabaseSession

from aaa.models import AuthenticationAttempt, NasFindingRow
from core import explain
from core.clock import utc_now
from core.explain import Explanation, Verdict, Voice
from core.keyring import Keyring
from core.models.network import Nas, Session
from core.models.service import Service
from provisioning import evidence
from provisioning.models import EnforcementStep, NasPace

Asked = Callable[[str], Explanation]
MAC = "AA:BB:CC:00:00:01"


@pytest.fixture
def nas(session: DatabaseSession, keyring: Keyring) -> Nas:
    return make_nas(session, keyring, name="bras-1")


@pytest.fixture
def maria(session: DatabaseSession, keyring: Keyring) -> Service:
    return make_service(session, keyring, login="maria", mac_lock=[MAC], ipv4_address="198.51.100.7")


@pytest.fixture
def ask(session: DatabaseSession) -> Asked:
    return lambda what: explain.explain_anything(session, what, Voice("en"), evidence.sources(session))


def go_online(session: DatabaseSession, nas: Nas, service: Service | None, **values: object) -> Session:
    now = utc_now()
    given: dict[str, object] = {
        "nas_id": nas.id, "box": "b", "acct_session_id": f"s{id(values)}", "login": "maria", "started_at": now,
        "updated_at": now, "nas_address": "127.0.0.1", "framed_ipv4": "100.64.0.9",
        "calling_station_id": "aabb.cc00.0001", "service_id": service.id if service else None,
    }  # fmt: skip
    live = Session(**given | values)
    session.add(live)
    session.flush()
    return live


def refuse(session: DatabaseSession, nas: Nas, login: str, reason: str = "unknown_login", **values: object) -> None:
    given: dict[str, object] = {"nas_id": nas.id, "source": "127.0.0.1", "method": "pap", "hint": ""}
    session.add(AuthenticationAttempt(login=login, reason=reason, **given | values))
    session.flush()


def codes(found: Explanation) -> list[str]:
    return [finding.code for finding in found.findings]


def test_a_service_joins_session_nas_steps_locks_and_policy(
    session: DatabaseSession, nas: Nas, maria: Service, ask: Asked
) -> None:
    live = go_online(session, nas, maria, class_fingerprint="0" * 16)
    step = {"session_id": live.id, "service_id": maria.id, "nas_id": nas.id, "reason": "", "duration_ms": 1.0}
    session.add(EnforcementStep(action="coa", outcome="ack", **step))
    session.add(EnforcementStep(action="coa", outcome="nak", error_cause=503, **step))
    session.add(NasPace(nas_id=nas.id, tokens=1.0, filled_at=utc_now(), closed_until=utc_now()))
    session.add(NasFindingRow(nas_id=nas.id, source="127.0.0.1", kind="clock_skew", count=9, detail={"skew_s": -10800}))
    session.flush()
    found = ask("maria")
    assert codes(found) == [
        "online", "out_of_step", "enforcement", "nas_coa_silent", "nas_clock_skew", "locked_to", "policy"
    ]  # fmt: skip
    assert "503" in found.findings[2].message
    assert "3 h behind" in found.findings[4].message
    assert "fixed address 198.51.100.7" in found.findings[-1].message
    assert found.service_id == maria.id


def test_a_login_that_is_nobodys_finds_its_attempts_and_who_may_be_meant(
    session: DatabaseSession, nas: Nas, maria: Service, ask: Asked
) -> None:
    refuse(session, nas, "Maria@velho", times=5)
    found = ask("Maria@velho")
    assert found.verdict is Verdict.UNKNOWN_LOGIN
    assert codes(found) == ["login_unknown", "refused"]
    assert "Did you mean “maria”?" in found.next_step
    assert "5 times" in found.findings[1].message
    assert "at bras-1" in found.findings[1].message
    assert codes(ask("maria"))[0] == "other_spelling"


def test_a_refusal_at_another_nas_since_tells_of_that_nas(
    session: DatabaseSession, keyring: Keyring, nas: Nas, maria: Service, ask: Asked
) -> None:
    other = make_nas(session, keyring, name="bras-2", address="192.0.2.2", emergency=True)
    go_online(session, nas, maria, stopped_at=utc_now() - timedelta(hours=1), updated_at=utc_now() - timedelta(hours=1))
    refuse(session, other, "maria", "wrong_password", service_id=maria.id)
    assert codes(ask("maria"))[:3] == ["refused", "offline", "nas_emergency"]
    assert "bras-2" in ask("maria").findings[2].message


def test_a_login_of_which_nothing_is_known_shows_who_asks_without_being_a_nas(
    session: DatabaseSession, ask: Asked
) -> None:
    session.add(NasFindingRow(nas_id=0, source="203.0.113.5", kind="unknown_client", count=7, detail={}))
    session.flush()
    assert codes(ask("nobody")) == ["login_unknown", "stranger"]


def test_an_address_finds_who_holds_it_now(session: DatabaseSession, nas: Nas, maria: Service, ask: Asked) -> None:
    go_online(session, nas, maria, delegated_ipv6_prefix="2001:db8:7::/56")
    for address in ("100.64.0.9", "2001:db8:7::1"):
        found = ask(address)
        assert codes(found)[:2] == ["holds_address", "online"]
        assert found.login == "maria"
    assert codes(ask("100.64.0.10")) == ["address_free"]
    assert codes(ask("2001:db8:8::1")) == ["address_free"]


def test_a_fixed_address_finds_its_service(maria: Service, ask: Asked) -> None:
    found = ask("198.51.100.7")
    assert codes(found)[:2] == ["fixed_address", "never_seen"]
    assert found.service_id == maria.id


def test_an_address_of_a_session_that_is_no_service_finds_its_login(
    session: DatabaseSession, nas: Nas, ask: Asked
) -> None:
    go_online(session, nas, None, login="old-system")
    found = ask("100.64.0.9")
    assert codes(found)[:2] == ["holds_address", "login_unknown"]


def test_a_device_finds_who_uses_it_is_locked_to_it_or_tried_with_it(
    session: DatabaseSession, nas: Nas, maria: Service, ask: Asked
) -> None:
    assert codes(ask("aa-bb-cc-00-00-01"))[:2] == ["uses_device", "never_seen"]
    live = go_online(session, nas, None, login="rui")
    assert "“rui”" in ask(MAC).findings[0].message
    live.stopped_at = utc_now()
    session.flush()
    refuse(session, nas, "bia", calling_station_id="AA:BB:CC:00:00:02")
    assert "“bia”" in ask("aabb.cc00.0002").summary
    assert codes(ask("AA:BB:CC:00:00:03")) == ["device_unknown"]


def test_a_nas_by_name_or_address(session: DatabaseSession, nas: Nas, maria: Service, ask: Asked) -> None:
    refuse(session, nas, "maria", "wrong_password", times=4)
    for what in ("bras-1", "127.0.0.1"):
        found = ask(what)
        assert found.verdict is Verdict.NAS_TROUBLED
        assert codes(found) == ["nas_not_heard", "nas_refuses"]
    go_online(session, nas, maria)
    found = ask("bras-1")
    assert (found.verdict, codes(found)) == (Verdict.NAS_SOUND, ["nas_heard", "nas_refuses"])


def test_accepts_that_lead_nowhere_are_told_until_a_session_is_heard_of(
    session: DatabaseSession, nas: Nas, maria: Service, ask: Asked
) -> None:
    refuse(session, nas, "maria", "accepted_again", service_id=maria.id, times=3, at=utc_now() - timedelta(minutes=1))
    found = ask("maria")
    assert codes(found)[:2] == ["accepted_never_started", "never_seen"]
    assert found.verdict is Verdict.REFUSED
    go_online(session, nas, maria)
    assert codes(ask("maria"))[0] == "online"


def test_no_explanation_holds_a_secret(session: DatabaseSession, keyring: Keyring, ask: Asked) -> None:
    nas = make_nas(session, keyring, name="bras-2", address="192.0.2.9", secret="the-nas-secret")
    make_service(session, keyring, login="ana", password="the-ana-password")
    refuse(session, nas, "ana", "wrong_password", hint="password_case")
    said = repr((ask("ana"), ask("bras-2")))
    assert "the-nas-secret" not in said
    assert "the-ana-password" not in said
