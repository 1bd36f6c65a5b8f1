"""Why can this subscriber connect, or not: findings from facts, worst first, with an answer before them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.reasons import REJECTS
from aaa.reports import FindingKind
from core.access import Access, HoldEffect, HoldReason
from core.explain.facts import Attempt, Explanation, Facts, HoldFact, LocksFact, NasFact, NasFinding, Step, Verdict
from core.explain.nas import diagnose_nas
from core.explain.service import LOOP_SESSIONS, diagnose
from core.explain.voice import Voice
from core.models.network import Nas, Session, StopKind
from core.models.service import ServiceStatus
from core.policy import Burst, Policy

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
EN, PT = Voice("en"), Voice("pt_BR")
BRAS = Nas(id=7, name="bras-1", coa_port=3799, emergency=False, enforcement_frozen=False)


def live(**values: object) -> Session:
    defaults = {"started_at": NOW, "updated_at": NOW, "stopped_at": None, "stop_kind": None, "box": "box", "nas_id": 7,
                "framed_ipv4": "100.64.0.1", "class_fingerprint": "a", "applied_fingerprint": None,
                "terminate_cause": None}  # fmt: skip
    return Session(**defaults | values)


def ended(minutes: float = 0, seconds: int = 3600, cause: int | None = None) -> Session:
    """A session of so many seconds that the NAS ended so many minutes ago."""
    until = NOW - timedelta(minutes=minutes)
    return live(started_at=until - timedelta(seconds=seconds), updated_at=until, stopped_at=until,
                stop_kind=StopKind.STOP, terminate_cause=cause)  # fmt: skip


def facts(**values: object) -> Facts:
    defaults: dict[str, object] = {
        "login": "maria", "status": ServiceStatus.ACTIVE, "access": Access.FULL, "intended_fingerprint": "a",
        "nas_names": {7: "bras-1"},
    }  # fmt: skip
    return Facts(**defaults | values)  # type: ignore[arg-type]


def codes(given_facts: Facts) -> list[str]:
    return [finding.code for finding in diagnose(given_facts, EN).findings]


def refusal(minutes: float = 1, reason: str = "wrong_password", **values: object) -> Attempt:
    given: dict[str, object] = {"hint": "", "method": "pap", "login": "maria", "nas_id": 7, "service_id": 1}
    return Attempt(NOW + timedelta(minutes=minutes), reason, **given | values)  # type: ignore[arg-type]


def trouble(kind: str, nas_id: int = 7, **detail: object) -> NasFinding:
    return NasFinding(nas_id, "192.0.2.1", kind, NOW, NOW, 12, detail)


def test_online_and_well() -> None:
    found = diagnose(facts(sessions=[live()]), EN)
    assert (found.verdict, found.online, found.can_connect) == (Verdict.ONLINE, True, True)
    assert found.summary == "Online since 2026-11-25 12:00:00 UTC at bras-1, address 100.64.0.1."
    assert found.next_step == ""


def test_times_are_told_in_the_providers_zone() -> None:
    found = diagnose(facts(sessions=[live()]), Voice("pt_BR", ZoneInfo("America/Sao_Paulo")))
    assert "2026-11-25 09:00:00 -03" in found.summary


def test_a_hold_is_told_first_and_in_words() -> None:
    held = facts(
        holds=(HoldFact(HoldReason.BILLING, HoldEffect.BLOCK, "fatura 7"),), access=Access.BLOCKED, sessions=[live()]
    )
    found = diagnose(held, PT)
    assert found.summary == "Não pode se conectar. Bloqueio por cobrança, efeito sem acesso (fatura 7)."
    assert (found.verdict, found.can_connect, found.findings[0].code) == (Verdict.BLOCKED, False, "hold")


def test_a_restricted_session_is_online_and_says_why_it_is_slow() -> None:
    held = facts(
        holds=(HoldFact(HoldReason.QUOTA, HoldEffect.THROTTLE, None),), access=Access.THROTTLED, sessions=[live()],
        policy=Policy(Access.THROTTLED, 1024, 512),
    )  # fmt: skip
    found = diagnose(held, EN)
    assert found.verdict is Verdict.RESTRICTED
    assert found.summary == "Is online, with restricted access. Hold for used-up quota, effect reduced speed."
    assert [one.code for one in found.findings] == ["hold", "online", "policy", "policy_restricted"]


def test_refusals_since_the_last_session_come_before_it_and_are_counted() -> None:
    attempts = (refusal(3, times=2), refusal(2), refusal(1, "blocked"))
    found = diagnose(facts(sessions=[ended()], attempts=attempts), EN)
    assert [finding.code for finding in found.findings] == ["refused", "refused", "offline"]
    assert found.summary == (
        "Cannot connect. Refused 3 times, last at 2026-11-25 12:03:00 UTC at bras-1: wrong password."
    )
    assert found.verdict is Verdict.REFUSED
    assert "once" in found.findings[1].message


def test_refusals_from_before_the_session_say_nothing_now() -> None:
    assert codes(facts(sessions=[live()], attempts=(refusal(-5),))) == ["online"]


def test_a_refusal_over_the_limit_is_told_while_the_session_that_took_the_place_lives() -> None:
    assert codes(facts(sessions=[live()], attempts=(refusal(-5, "session_limit"),))) == ["refused", "online"]
    ended_one = live(stopped_at=NOW, stop_kind=StopKind.STALE)
    assert codes(facts(sessions=[ended_one], attempts=(refusal(-5, "session_limit"),))) == ["offline"]


@pytest.mark.parametrize(
    ("hint", "said", "step"),
    [
        ("password_case", "right but for its capitals", "right case"),
        ("password_blank", "right but for a blank", "without blanks"),
        ("password_empty", "an empty password", "Fill the password in"),
        ("wrong_shared_secret_likely", "the shared secret is likely to be wrong", "the same secret at the NAS"),
    ],
)
def test_a_password_that_is_nearly_right_is_told_as_that(hint: str, said: str, step: str) -> None:
    found = diagnose(facts(attempts=(refusal(hint=hint),)), EN)
    assert said in found.summary
    assert step in found.next_step


@pytest.mark.parametrize(
    ("written", "difference"),
    [("Maria", "capitals"), ("maria ", "a blank"), ("maria@velho", "realm"), ("MARIA@velho ", "realm")],
)
def test_a_login_that_comes_in_another_spelling_is_told_with_the_right_one(written: str, difference: str) -> None:
    found = diagnose(facts(attempts=(refusal(reason="unknown_login", login=written, service_id=None),)), EN)
    assert found.findings[0].code == "other_spelling"
    assert written in found.summary
    assert "“maria”" in found.summary
    assert difference in found.summary


def test_a_login_that_the_nas_rules_make_ours_is_no_other_spelling() -> None:
    assert codes(facts(attempts=(refusal(login="MARIA@velho"),)))[0] == "refused"


def test_a_nas_where_nobody_is_online_may_be_why_this_one_is_not() -> None:
    silent = NasFact(BRAS)
    assert codes(facts(sessions=[ended()], nas=silent)) == ["offline", "nas_not_heard"]
    assert codes(facts(nas=silent)) == ["never_seen"]
    assert codes(facts(sessions=[ended()], nas=NasFact(BRAS, NOW, 1))) == ["offline"]


def test_a_lock_says_what_came_and_what_is_let_in() -> None:
    detail = {"came": "AA:BB:CC:00:00:02", "expected": "AA:BB:CC:00:00:01"}
    attempt = refusal(reason="locked_mac", detail=detail)
    found = diagnose(facts(attempts=(attempt,)), EN)
    assert "AA:BB:CC:00:00:02 came, AA:BB:CC:00:00:01 was expected" in found.summary
    assert "“learn”" in found.next_step
    hidden = diagnose(
        facts(attempts=(attempt,), locks=LocksFact(["AA:BB:CC:00:00:01"])), Voice("en", mask=lambda _: "*")
    )
    assert "AA:BB" not in str(hidden)
    assert "* came, * was expected" in hidden.summary


def test_who_is_refused_over_the_limit_is_told_where_the_others_are() -> None:
    attempt = refusal(reason="session_limit", detail={"live": "1", "limit": "1", "where": "bras-1"})
    assert "(1 of 1 in use, at bras-1)" in diagnose(facts(attempts=(attempt,)), EN).summary


def test_a_lock_to_a_nas_names_the_nas() -> None:
    attempt = refusal(reason="locked_nas", detail={"came": "7", "expected": "8"})
    found = diagnose(facts(attempts=(attempt,), nas_names={7: "bras-1", 8: "bras-2"}), EN)
    assert "bras-1 came, bras-2 was expected" in found.summary


def test_locks_are_told_and_those_that_wait() -> None:
    found = diagnose(facts(locks=LocksFact(["AA:BB:CC:00:00:01"], [], ["bras-1"])), EN)
    assert [one.message for one in found.findings[1:]] == [
        "Locked to device AA:BB:CC:00:00:01.", "Line: will be learned at the first connection.",
        "Locked to NAS bras-1.",
    ]  # fmt: skip


def test_accepts_without_a_session_name_the_nas() -> None:
    again = facts(attempts=(refusal(reason="accepted_again", times=3),))
    found = diagnose(again, EN)
    assert "Accepted 4 times" in found.summary
    assert "the pool, the profile" in found.next_step
    assert found.verdict is Verdict.REFUSED


def test_an_accept_just_before_the_session_that_follows_it_is_no_trouble() -> None:
    assert codes(facts(sessions=[live()], attempts=(refusal(2, "accepted_again"),))) == ["online"]
    assert codes(facts(sessions=[live()], attempts=(refusal(6, "accepted_again"),)))[0] == "accepted_never_started"


def test_sessions_that_end_at_once_are_a_loop_with_its_cause() -> None:
    short = [ended(minutes, seconds=4, cause=9) for minutes in range(LOOP_SESSIONS)]
    found = diagnose(facts(sessions=short), EN)
    assert found.findings[0].code == "session_loop"
    assert "NAS error" in found.summary
    assert "pool, profile and addresses" in found.next_step
    assert "session_loop" not in codes(facts(sessions=[*short[:-1], ended(9)])), "the one before was a session"
    assert "session_loop" not in codes(facts(sessions=[live(), *short])), "it holds now"


@pytest.mark.parametrize(("cause", "said"), [(2, "the carrier was lost"), (4, "idle timeout"), (99, ""), (None, "")])
def test_the_end_of_a_session_is_told_with_its_cause(cause: int | None, said: str) -> None:
    message = diagnose(facts(sessions=[ended(cause=cause)]), EN).findings[0].message
    assert "ended by the NAS" in message
    assert said in message


def test_a_session_on_another_policy_is_out_of_step_and_says_what_the_nas_said() -> None:
    steps = [Step(NOW, "coa", "nak", 503), Step(NOW, "coa", "timeout", None)]
    found = diagnose(facts(sessions=[live()], intended_fingerprint="b", steps=steps), EN)
    assert [one.code for one in found.findings] == ["online", "out_of_step", "enforcement"]
    assert "503: session context not found" in found.findings[2].message
    assert codes(facts(sessions=[live(applied_fingerprint="b")], intended_fingerprint="b", steps=steps)) == ["online"]


def test_several_sessions_at_once_are_told() -> None:
    assert codes(facts(sessions=[live(), live()])) == ["online", "several_sessions"]


def test_the_policy_is_told_in_words() -> None:
    policy = Policy(
        Access.FULL, 300_000, 150_000, Burst(400_000, 200_000, 1, 1, 10), "residential", None, ("198.51.100.0/29",),
        None, "2001:db8::/56", "vip", vrf="corp", profile="gold", ingress_filter="in-a", egress_filter="out-a",
    )  # fmt: skip
    (said,) = [one for one in diagnose(facts(policy=policy, plan="Fibra 300"), EN).findings if one.code == "policy"]
    assert said.message == (
        "Intended policy (plan Fibra 300): 300 Mbit/s down and 150 Mbit/s up, with bursts up to 400 Mbit/s/200 Mbit/s; "
        "address from the pool residential, IPv6 2001:db8::/56, routes 198.51.100.0/29, address list vip, "
        "profile gold, VRF corp, filters in-a, out-a."
    )


@pytest.mark.parametrize("status", [ServiceStatus.PENDING, ServiceStatus.CANCELLED])
def test_a_service_that_is_not_active_cannot_connect(status: ServiceStatus) -> None:
    found = diagnose(facts(status=status), PT)
    assert not found.can_connect
    assert found.verdict is Verdict.NOT_ACTIVE
    assert found.findings[0].code == f"service_{status}"


def test_a_service_that_was_never_heard_of_tells_who_asks_without_being_a_nas() -> None:
    found = diagnose(facts(strangers=[trouble("unknown_client", 0)]), EN)
    assert [one.code for one in found.findings] == ["never_seen", "stranger"]
    assert "192.0.2.1, which is no NAS here (12 times" in found.findings[1].message


def test_what_is_wrong_with_the_nas_is_told_with_the_subscriber() -> None:
    nas = NasFact(BRAS, NOW, 3, coa_silent=True, findings=[trouble("wrong_secret", role="acct")])
    found = diagnose(facts(sessions=[live()], nas=nas), EN)
    assert [one.code for one in found.findings] == ["online", "nas_coa_silent", "nas_wrong_secret"]
    assert "bras-1 (192.0.2.1): wrong shared secret in accounting (12 times" in found.findings[2].message


@pytest.mark.parametrize(
    ("skew_s", "said", "zone"),
    [
        (-10_800, "3 h behind", True), (-10_860, "3 h behind", True), (19_800, "5.5 h ahead", True),
        (-600, "10 min behind", False), (8000, "2.2 h ahead", False), (-86_400, "24.0 h behind", False),
    ],
)  # fmt: skip
def test_a_clock_that_is_off_by_a_zone_says_so(skew_s: int, said: str, zone: bool) -> None:
    fact = NasFact(BRAS, NOW, 1, findings=[trouble("clock_skew", role="acct", skew_s=skew_s)])
    message = diagnose_nas(fact, [], [], EN).findings[0].message
    assert f"the clock is {said}" in message
    assert ("as if it were UTC" in message) == zone


def test_a_nas_that_nothing_is_wrong_with_says_when_it_was_heard_of() -> None:
    found = diagnose_nas(NasFact(BRAS, NOW, 3), [], [], EN)
    assert found.verdict is Verdict.NAS_SOUND
    assert found.summary == "Nothing wrong is known. bras-1: 3 live sessions, last heard of at 2026-11-25 12:00:00 UTC."


def test_a_nas_that_was_never_heard_of_is_looked_for_among_strangers() -> None:
    found = diagnose_nas(NasFact(BRAS), [refusal(times=4)], [trouble("unknown_client", 0)], EN)
    assert found.verdict is Verdict.NAS_TROUBLED
    assert [one.code for one in found.findings] == ["nas_not_heard", "stranger", "nas_refuses"]
    assert "wrong password (4)" in found.findings[2].message


def assert_spoken(found: Explanation) -> None:
    """Whole sentences: no code, no hole, no word of another language's table."""
    for finding in found.findings:
        for text in (finding.message, finding.next_step):
            plain = text.replace("mac_lock", "").replace("circuit_lock", "").replace("nas_id", "")
            assert "_" not in plain.replace("message_authenticator", "")
            assert "{" not in text
            assert "None" not in text
        assert finding.message
    assert found.summary.endswith(".")


@given(
    st.sampled_from(list(ServiceStatus)), st.sampled_from(list(HoldReason)), st.sampled_from(list(HoldEffect)),
    st.sampled_from([*StopKind, None]), st.lists(st.sampled_from([reason.value for reason in REJECTS]), max_size=4),
    st.integers(0, 20), st.sampled_from(["asking", "ack", "nak", "timeout", "unreachable", "held_back"]),
    st.sampled_from([None, 201, 401, 503, 508, 999]), st.lists(st.sampled_from(list(FindingKind)), max_size=3),
    st.sampled_from(["pt_BR", "en"]),
)  # fmt: skip
def test_every_fact_has_words_in_both_languages(
    status: ServiceStatus, reason: HoldReason, effect: HoldEffect, stop_kind: StopKind | None, refusals: list[str],
    cause: int, outcome: str, error_cause: int | None, kinds: list[FindingKind], language: str,
) -> None:  # fmt: skip
    session = live(stopped_at=NOW if stop_kind else None, stop_kind=stop_kind, terminate_cause=cause or None)
    nas = NasFact(BRAS, NOW, 1, findings=[trouble(kind, skew_s=cause * 1000) for kind in kinds])
    found = diagnose(
        facts(
            status=status, holds=(HoldFact(reason, effect, None),), sessions=[session], nas=nas,
            attempts=[refusal(9, one) for one in refusals], intended_fingerprint="b",
            steps=[Step(NOW, "disconnect", outcome, error_cause)],
        ),
        Voice(language),
    )  # fmt: skip
    assert_spoken(found)
