"""Why can this subscriber connect, or not: findings from facts, worst first, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.reasons import REJECTS
from core.access import Access, HoldEffect, HoldReason
from core.explain import Attempt, Facts, HoldFact, diagnose
from core.models.network import Nas, Session, StopKind
from core.models.service import ServiceStatus

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def live(**values: object) -> Session:
    defaults = {"started_at": NOW, "updated_at": NOW, "stopped_at": None, "stop_kind": None, "box": "bras-1",
                "framed_ipv4": "100.64.0.1", "class_fingerprint": "a", "applied_fingerprint": None}  # fmt: skip
    return Session(**defaults | values)


def facts(**values: object) -> Facts:
    defaults: dict[str, object] = {
        "login": "maria", "status": ServiceStatus.ACTIVE, "access": Access.FULL, "holds": (), "session": None,
        "nas": None, "intended_fingerprint": "a", "attempts": (),
    }  # fmt: skip
    return Facts(**defaults | values)  # type: ignore[arg-type]


def codes(given_facts: Facts) -> list[str]:
    return [finding.code for finding in diagnose(given_facts, "en").findings]


def refusal(minutes: int, reason: str = "wrong_password") -> Attempt:
    return Attempt(NOW + timedelta(minutes=minutes), reason, "", "pap")


def test_online_and_well() -> None:
    found = diagnose(facts(session=live(), nas=Nas(name="bras-demo")), "en")
    assert found.online
    assert found.can_connect
    assert found.summary == "Online since 2026-11-25 12:00:00 UTC at bras-demo, address 100.64.0.1."


def test_a_hold_is_told_first_and_in_words() -> None:
    held = facts(
        holds=(HoldFact(HoldReason.BILLING, HoldEffect.BLOCK, "fatura 7"),), access=Access.BLOCKED, session=live()
    )
    assert codes(held)[0] == "hold"
    assert diagnose(held, "pt_BR").summary == "Bloqueio por cobrança, efeito sem acesso (fatura 7)."
    assert not diagnose(held, "pt_BR").can_connect


def test_refusals_since_the_last_session_come_before_it_and_are_counted() -> None:
    ended = live(stopped_at=NOW, stop_kind=StopKind.STALE)
    found = diagnose(facts(session=ended, attempts=(refusal(3), refusal(2), refusal(1, "blocked"))), "en")
    assert [finding.code for finding in found.findings] == ["refused", "refused", "offline"]
    assert found.summary == "Refused 2 times, last at 2026-11-25 12:03:00 UTC: wrong password."
    assert "once" in found.findings[1].message
    assert "nothing heard from the NAS" in found.findings[2].message


def test_refusals_from_before_the_session_say_nothing_now() -> None:
    assert codes(facts(session=live(), attempts=(refusal(-5),))) == ["online"]


def test_a_refusal_over_the_limit_is_told_while_the_session_that_took_the_place_lives() -> None:
    assert codes(facts(session=live(), attempts=(refusal(-5, "session_limit"),))) == ["refused", "online"]
    ended = live(stopped_at=NOW, stop_kind=StopKind.STALE)
    assert codes(facts(session=ended, attempts=(refusal(-5, "session_limit"),))) == ["offline"]


def test_a_session_on_another_policy_is_out_of_step() -> None:
    assert codes(facts(session=live(), intended_fingerprint="b")) == ["online", "out_of_step"]
    assert codes(facts(session=live(applied_fingerprint="b"), intended_fingerprint="b")) == ["online"]


@pytest.mark.parametrize("status", [ServiceStatus.PENDING, ServiceStatus.CANCELLED])
def test_a_service_that_is_not_active_cannot_connect(status: ServiceStatus) -> None:
    found = diagnose(facts(status=status), "pt_BR")
    assert not found.can_connect
    assert found.findings[0].code == f"service_{status}"


@given(
    st.sampled_from(list(ServiceStatus)), st.sampled_from(list(HoldReason)), st.sampled_from(list(HoldEffect)),
    st.sampled_from([*StopKind, None]), st.lists(st.sampled_from([reason.value for reason in REJECTS]), max_size=4),
    st.sampled_from(["pt_BR", "en"]),
)  # fmt: skip
def test_every_fact_has_words_in_both_languages(
    status: ServiceStatus, reason: HoldReason, effect: HoldEffect, stop_kind: StopKind | None, refusals: list[str],
    language: str,
) -> None:  # fmt: skip
    found = diagnose(
        facts(
            status=status, holds=(HoldFact(reason, effect, None),),
            session=live(stopped_at=NOW if stop_kind else None, stop_kind=stop_kind),
            attempts=tuple(refusal(1, one) for one in refusals),
        ),
        language,
    )  # fmt: skip
    assert found.summary == found.findings[0].message
    for finding in found.findings:
        assert "_" not in finding.message.replace("pt_BR", "")
        assert "{" not in finding.message + finding.next_step
