"""Incidents: whom a scope touches, that only a confirmed one spares, and that none is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import make_contract, make_nas, make_plan, make_service
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.orm import Session as DatabaseSession

from core import explain, incidents, services
from core.audit import Actor
from core.errors import Conflict, InvalidInput
from core.incident_scope import Line, Place, Scope, from_body, to_body
from core.keyring import Keyring
from core.models import Event, Incident, Service, Session, SessionKind
from provisioning import evidence

NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
ACTOR = Actor("test:noc")


def make_session(session: DatabaseSession, service: Service, nas_id: int, **values: Any) -> Session:
    number = session.scalar(select(Session.id).order_by(Session.id.desc()).limit(1)) or 0
    defaults: dict[str, Any] = {
        "nas_id": nas_id, "box": "b", "acct_session_id": f"s{number}", "service_id": service.id,
        "login": service.login or "", "started_at": NOW, "updated_at": NOW, "nas_address": "192.0.2.1",
    }  # fmt: skip
    found = Session(**defaults | values)
    session.add(found)
    session.flush()
    return found


def open_one(session: DatabaseSession, scope: Scope, hours: float = 4, *, confirmed: bool = True) -> Incident:
    values = {"title": "Fibra rompida", "description": "backbone sul", "scope": scope}
    incident = incidents.open_incident(
        session, values | {"expires_at": NOW + timedelta(hours=hours)}, ACTOR, NOW
    )  # fmt: skip
    return incidents.confirm_scope(session, incident, ACTOR, NOW) if confirmed else incident


def touched(session: DatabaseSession, scope: Scope) -> set[int]:
    return set(session.scalars(select(Service.id).where(incidents.touched_by(scope))))


def inside(session: DatabaseSession, *of: Service, now: datetime = NOW) -> set[int]:
    return set(incidents.contracts_inside(session, [one.contract_id for one in of], now))


def told(session: DatabaseSession) -> list[str]:
    query = select(Event.type).where(Event.type.startswith("incident.")).order_by(Event.id)
    return [one.removeprefix("incident.") for one in session.scalars(query)]


def test_a_nas_touches_who_is_there_and_who_was_there_last(session: DatabaseSession, keyring: Keyring) -> None:
    broken, other = (make_nas(session, keyring, address=f"192.0.2.{n}").id for n in (1, 2))
    online, was_last, moved, both, cancelled, never = (make_service(session, keyring) for _ in range(6))
    locked = make_service(session, keyring, nas_lock=[str(broken)])
    make_session(session, online, broken)
    make_session(session, was_last, other, stopped_at=NOW)
    make_session(session, was_last, broken, stopped_at=NOW)
    make_session(session, moved, broken, stopped_at=NOW)
    make_session(session, moved, other)
    # another account of the line says nothing of where the line is
    make_session(session, moved, broken, kind=SessionKind.VIEW)
    make_session(session, both, broken)
    make_session(session, both, other)
    make_session(session, cancelled, broken)
    services.cancel_service(session, cancelled, ACTOR, NOW)
    assert touched(session, Scope(nas_ids=(broken,))) == {online.id, was_last.id, both.id, locked.id}
    assert never.id not in touched(session, Scope(nas_ids=(broken, other)))


def test_a_line_is_named_by_how_its_port_begins(session: DatabaseSession, keyring: Keyring) -> None:
    nas_id = make_nas(session, keyring).id
    ports = ("olt1 xpon 0/3", "olt1 xpon 0/3:17", "olt1 xpon 0/4", "OLT1 xpon 0/3", "olt1%xpon", None)
    found = {port: make_service(session, keyring) for port in ports}
    for port, service in found.items():
        make_session(session, service, nas_id, nas_port_id=port)

    def on(port: str, at: int = nas_id) -> set[str | None]:
        ids = touched(session, Scope(lines=(Line(at, port),)))
        return {port for port, service in found.items() if service.id in ids}

    assert on("olt1 xpon 0/3") == {"olt1 xpon 0/3", "olt1 xpon 0/3:17"}
    assert on("olt1%") == {"olt1%xpon"}
    assert on("olt1 xpon 0/3", at=nas_id + 1) == set()


SAO_PAULO = {"state": "SP", "ibge_code": "3550308", "district": " Braz ", "postal_code": "03012-000"}


@pytest.mark.parametrize(
    ("place", "is_there"),
    [
        (Place(state="SP"), True),
        (Place(state="RJ"), False),
        (Place(ibge_code="3550308"), True),
        (Place(ibge_code="3550308", district="BRAZ"), True),
        (Place(ibge_code="3304557", district="Braz"), False),
        (Place(postal_code="0301"), True),
        (Place(postal_code="03012000"), True),
        (Place(postal_code="0302"), False),
        (Place(state="RJ", postal_code="0301"), False),
    ],
)
def test_a_place_has_to_hold_whole(session: DatabaseSession, keyring: Keyring, place: Place, is_there: bool) -> None:
    there = make_service(session, keyring, address=SAO_PAULO)
    make_service(session, keyring)
    assert touched(session, Scope(places=(place,))) == ({there.id} if is_there else set())


def test_the_parts_of_a_scope_are_joined_by_or_and_none_is_nobody(session: DatabaseSession, keyring: Keyring) -> None:
    plan = make_plan(session)
    named, planned, placed, _ = (
        make_service(session, keyring),
        make_service(session, keyring, plan=plan),
        make_service(session, keyring, address=SAO_PAULO),
        make_service(session, keyring),
    )
    scope = Scope(service_ids=(named.id,), plan_ids=(plan.id,), places=(Place(state="SP"),))
    assert touched(session, scope) == {named.id, planned.id, placed.id}
    assert touched(session, Scope()) == set()


def test_only_a_confirmed_scope_spares_and_it_does_until_another_is_confirmed(
    session: DatabaseSession, keyring: Keyring
) -> None:
    first, second = make_service(session, keyring), make_service(session, keyring)
    incident = open_one(session, Scope(service_ids=(first.id,)), confirmed=False)
    assert inside(session, first, second) == set()
    incidents.confirm_scope(session, incident, ACTOR, NOW)
    assert inside(session, first, second) == {first.contract_id}
    incidents.update_incident(session, incident, {"scope": Scope(service_ids=(second.id,))}, ACTOR, NOW)
    assert inside(session, first, second) == {first.contract_id}
    incidents.confirm_scope(session, incident, ACTOR, NOW)
    assert inside(session, first, second) == {second.contract_id}
    incidents.close_incident(session, incident, ACTOR, NOW)
    assert inside(session, first, second) == set()
    assert told(session) == ["opened", "confirmed", "changed", "confirmed", "closed"]


def test_it_is_over_when_it_expires_and_again_open_when_extended(session: DatabaseSession, keyring: Keyring) -> None:
    service = make_service(session, keyring)
    incident = open_one(session, Scope(service_ids=(service.id,)))
    end = incident.expires_at
    assert inside(session, service, now=end - timedelta(seconds=1)) == {service.contract_id}
    assert inside(session, service, now=end) == set()
    incidents.update_incident(session, incident, {"expires_at": end + timedelta(days=1)}, ACTOR, end)
    assert inside(session, service, now=end) == {service.contract_id}


def test_what_cannot_be_confirmed_or_opened_is_refused_by_name(session: DatabaseSession, keyring: Keyring) -> None:
    service = make_service(session, keyring)
    for hours in (-1, 0, 7 * 24 + 1):
        with pytest.raises(InvalidInput, match="days ahead") as refused:
            open_one(session, Scope(service_ids=(service.id,)), hours)
        assert refused.value.field == "expires_at"
    for scope, field in (
        (Scope(nas_ids=(999,)), "scope.nas_ids"),
        (Scope(lines=(Line(999, "x"),)), "scope.nas_ids"),
        (Scope(service_ids=(service.id, service.id + 999)), "scope.service_ids"),
        (Scope(plan_ids=(999_999,)), "scope.plan_ids"),
    ):
        with pytest.raises(InvalidInput, match="there is no") as refused:
            open_one(session, scope)
        assert refused.value.field == field
    with pytest.raises(Conflict, match="names nothing"):
        open_one(session, Scope())
    incident = open_one(session, Scope(service_ids=(service.id,)))
    with pytest.raises(Conflict, match="expired"):
        incidents.confirm_scope(session, incident, ACTOR, incident.expires_at)
    incidents.close_incident(session, incident, ACTOR, NOW)
    with pytest.raises(Conflict, match="closed"):
        incidents.update_incident(session, incident, {"title": "x"}, ACTOR, NOW)


def test_it_tells_before_it_expires_when_it_has_and_daily_while_it_is_open(
    session: DatabaseSession, keyring: Keyring
) -> None:
    service = make_service(session, keyring)
    incident = open_one(session, Scope(service_ids=(service.id,)), 50)

    def at(hours: float) -> list[str]:
        before = len(told(session))
        # however often the clock asks
        assert incidents.remind(session, NOW + timedelta(hours=hours)) == len(told(session)) - before
        assert incidents.remind(session, NOW + timedelta(hours=hours)) == 0
        return told(session)[before:]

    assert at(23) == []
    assert at(24) == ["open_long"]
    # two hours before the end, and a day after it told last
    assert at(48) == ["expires_soon", "open_long"]
    incidents.update_incident(session, incident, {"expires_at": NOW + timedelta(hours=60)}, ACTOR, NOW)
    assert at(49) == []
    assert at(58.5) == ["expires_soon"]
    assert at(60) == ["expired"]
    assert at(100) == []
    incidents.close_incident(session, incident, ACTOR, NOW)
    assert at(200) == []


def test_many_contracts_and_incidents_cost_two_statements(session: DatabaseSession, keyring: Keyring) -> None:
    contract = make_contract(session)
    found = [make_service(session, keyring, contract=contract), *(make_service(session, keyring) for _ in range(5))]
    nas_id = make_nas(session, keyring).id
    make_session(session, found[0], nas_id)
    oldest = open_one(session, Scope(nas_ids=(nas_id,)))
    open_one(session, Scope(service_ids=tuple(one.id for one in found)))
    seen: list[str] = []
    listen = (session.get_bind(), "before_cursor_execute", lambda *given: seen.append(given[2]))
    event.listen(*listen)
    outages = incidents.contracts_inside(session, {one.contract_id for one in found}, NOW)
    event.remove(*listen)
    assert len(seen) == 2
    assert len(outages) == 6
    assert outages[contract.id].incident_id == oldest.id


def test_an_explanation_names_the_incident_first_where_the_line_is_down(
    session: DatabaseSession, keyring: Keyring
) -> None:
    service = make_service(session, keyring, login="maria")
    incident = open_one(session, Scope(service_ids=(service.id,)))
    # an explanation goes by the database's clock
    incident.opened_at = datetime.now(UTC)
    incident.expires_at = datetime.now(UTC) + timedelta(hours=1)
    session.flush()
    for language, words in (("pt_BR", "Há um incidente aberto"), ("en", "An open incident touches")):
        found = explain.explain_login(session, "maria", explain.Voice(language), evidence.sources(session))
        assert [one.code for one in found.findings][:2] == ["incident", "never_seen"]
        assert words in found.summary
        assert "Fibra rompida" in found.summary
    make_session(session, service, make_nas(session, keyring).id)
    found = explain.explain_login(session, "maria", explain.Voice("en"), evidence.sources(session))
    assert [one.code for one in found.findings] == ["online", "observed", "incident", "policy"]
    incidents.close_incident(session, incident, ACTOR, NOW)
    found = explain.explain_login(session, "maria", explain.Voice("en"), evidence.sources(session))
    assert "incident" not in [one.code for one in found.findings]


IDS = st.lists(st.integers(1, 2**63 - 1), max_size=3).map(tuple)
SOME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
PLACES = st.builds(
    Place,
    state=st.sampled_from([None, "SP", "RJ"]),
    ibge_code=st.just("3550308"),
    district=st.none() | SOME,
    postal_code=st.none() | st.from_regex(r"\A[0-9]{3,8}\Z"),
)
SCOPES = st.builds(
    Scope, nas_ids=IDS, service_ids=IDS, plan_ids=IDS, places=st.lists(PLACES, max_size=2).map(tuple),
    lines=st.lists(st.builds(Line, nas_id=st.integers(1, 9), port=SOME.filter(str.strip)), max_size=2).map(tuple),
)  # fmt: skip


@given(SCOPES)
def test_a_scope_goes_through_its_body_unchanged(scope: Scope) -> None:
    assert from_body(to_body(scope)) == scope
    assert (to_body(scope) == {}) == scope.is_empty


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["state", "nas_id", "port"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["nas_ids", "lines", "service_ids", "plan_ids", "places"]), JSON))
def test_any_body_is_a_scope_or_is_refused_by_name(body: dict[str, Any]) -> None:
    read: Scope | str
    try:
        read = from_body(body)
    except InvalidInput as refused:
        read = refused.field or ""
    assert read.startswith("scope") if isinstance(read, str) else from_body(to_body(read)) == read


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: Scope(places=(Place(),)), "scope.places.0"),
        (lambda: Scope(places=(Place(district="Centro"),)), "scope.places.0.ibge_code"),
        (lambda: Scope(places=(Place(postal_code="12"),)), "scope.places.0.postal_code"),
        (lambda: Scope(places=(Place(postal_code="12345-000"),)), "scope.places.0.postal_code"),
        (lambda: Scope(lines=(Line(1, " "),)), "scope.lines.0.port"),
        (lambda: Scope(nas_ids=tuple(range(501))), "scope.nas_ids"),
    ],
)
def test_a_scope_that_says_too_little_or_too_much_is_refused(build: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build()
    assert refused.value.field == field
