"""Another billing system in charge: its word becomes holds within a minute, and a mistake of its restricts nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from billing_factories import guard_runs
from factories import make_contract, make_service
from simulated_erp import ACTOR, TUESDAY_TEN, ZONE, FollowingProvider, make_following
from sqlalchemy import func, select

from billing_hooks import contracts, promises
from billing_hooks.days import Calendar, Holidays
from billing_hooks.explaining import explain
from billing_hooks.follow import reader, sources, switching
from billing_hooks.follow.differences import Kind
from billing_hooks.follow.models import CutCalendar, FollowedContract, FollowedSubscriber, Mode
from billing_hooks.invoicing.words import Words
from billing_hooks.models import BillingDecision, BillingRun, DebtMessage, RunState
from billing_hooks.runs import RunUnsafe
from core import holds, invoices, parties, services, topics
from core.access import Access, HoldEffect, HoldReason
from core.clock import ManualClock
from core.database import Database
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models import ContractItem, OutboxItem, Service, ServiceKind


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(TUESDAY_TEN)


@pytest.fixture
def provider(database: Database, keyring: Keyring, clock: ManualClock) -> FollowingProvider:
    return make_following(database, keyring, clock)


@pytest.mark.parametrize(("kind", "blocked", "full"), [("ixc", "FA", "A"), ("sgp", "Suspenso", "Ativo")])
def test_blocked_there_is_held_here_within_one_period_and_freed_at_once(
    database: Database, keyring: Keyring, clock: ManualClock, kind: str, blocked: str, full: str
) -> None:
    provider = make_following(database, keyring, clock, kind)
    # before: a dry run lists what following would do, and does nothing
    provider.say(0, blocked, "Inadimplência")
    provider.look()
    assert [(one.kind, one.key, one.follows) for one in provider.differences()] == [(Kind.RESTRICT, "100", False)]
    assert provider.access(0) is Access.FULL
    # switched: what it said already comes by the guard's road
    provider.go_live()
    provider.follow_all()
    assert provider.access(0) is Access.FULL
    provider.period()
    assert (provider.access(0), provider.access(1)) == (Access.WALLED_GARDEN, Access.FULL)
    assert provider.notes()[0].startswith("matriz says: ")
    # it blocks another one
    provider.say(1, blocked)
    provider.period()
    assert provider.access(1) is Access.WALLED_GARDEN
    # it frees them on a Saturday night
    clock.now = datetime(2026, 11, 28, 23, 30, tzinfo=ZONE).astimezone(UTC)
    provider.say_all(full)
    provider.period()
    assert {provider.access(number) for number in range(3)} == {Access.FULL}
    assert provider.differences() == []


def test_what_is_the_same_is_not_written_again(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    before = (provider.notes(), provider.source().version)
    for _ in range(3):
        provider.period()
    assert (provider.notes(), provider.source().version) == before
    with provider.database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(FollowedSubscriber)) == 3


def test_an_automatisms_block_waits_for_our_calendar_and_a_persons_does_not(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    clock.now = datetime(2026, 11, 27, 10, tzinfo=ZONE).astimezone(UTC)  # a Friday
    provider.say(0, "CA")
    provider.say(1, "CM")
    provider.period()
    assert (provider.access(0), provider.access(1)) == (Access.FULL, Access.WALLED_GARDEN)
    (waiting,) = provider.differences()
    assert (waiting.kind, "sexta" in waiting.reason_pt) == (Kind.WAIT, True)
    # Monday at eight
    clock.now = datetime(2026, 11, 30, 8, tzinfo=ZONE).astimezone(UTC)
    provider.period()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_a_source_whose_own_calendar_counts_restricts_at_any_hour(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    provider.go_live(calendar=CutCalendar.ERP)
    clock.now = datetime(2026, 11, 28, 23, tzinfo=ZONE).astimezone(UTC)
    provider.say(0, "FA")
    provider.period()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_reduced_speed_is_a_throttle_and_more_access_comes_at_once(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    clock.now = datetime(2026, 11, 28, 23, tzinfo=ZONE).astimezone(UTC)
    provider.say(0, "R")
    provider.period()
    assert provider.access(0) is Access.THROTTLED
    assert len(provider.notes()) == 1


def test_that_everybody_is_blocked_is_not_believed(database: Database, keyring: Keyring, clock: ManualClock) -> None:
    provider = make_following(database, keyring, clock, subscribers=25)
    provider.start_following()
    provider.say_all("FA")
    provider.period()
    assert provider.notes() == []
    assert "25 of 25 contracts" in (provider.source().stopped or "")
    assert "25 de 25 contratos" in (provider.source().stopped_pt or "")
    assert "olhe a lista da rodada" in (provider.source().stopped_pt or "")
    provider.period()
    assert provider.events("follow_source.stopped") == ["follow_source.stopped"]  # told once
    assert len(provider.differences()) == 25
    # the run over everybody stops for the same reason; one that pays there meanwhile stays free
    with pytest.raises(RunUnsafe), database.transaction() as session:
        provider.reader.billing.run(session)
    # a person has looked at the list
    with database.transaction() as session:
        stopped = session.scalars(select(BillingRun).where(BillingRun.state == RunState.STOPPED)).one()
        provider.reader.billing.force(session, stopped.id, ACTOR)
    provider.work()
    assert len(provider.notes()) == 25
    provider.period()
    assert (provider.source().stopped, provider.source().stopped_pt) == (None, None)


def test_a_block_of_many_in_small_parts_is_still_many(database: Database, keyring: Keyring, clock: ManualClock) -> None:
    provider = make_following(database, keyring, clock, subscribers=30)
    with database.transaction() as session:
        guard_runs(session, count_floor=4)
    provider.start_following()
    for number in range(30):
        provider.say(number, "FA")
        provider.period()
    assert len(provider.notes()) == 4
    assert "of 30" in (provider.source().stopped or "")
    clock.advance(timedelta(days=1))  # another day, and the others wait for a person or come little by little
    provider.say_all("A")
    provider.period()
    assert provider.notes() == []


def test_what_a_run_is_about_to_do_is_not_owed_again(provider: FollowingProvider, clock: ManualClock) -> None:
    provider.start_following()
    provider.say(0, "FA")
    with provider.database.transaction() as session:
        source = sources.get_source(session, provider.source_id, lock=True)
        asked = provider.reader.open(session, source, source.asked_at or TUESDAY_TEN)
    for _ in range(3):  # the workers have no time meanwhile
        reading = asked.read(provider.reader.make_client)
        with provider.database.transaction() as session:
            provider.reader.conclude(session, asked, reading)
    with provider.database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(BillingRun)) == 1
    provider.work()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_who_vanishes_there_is_neither_restricted_nor_given_back(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    gone = provider.simulation.erp.subscribers.pop("sub0")
    provider.simulation.erp.subscribers.pop("sub1")
    provider.period()
    assert (provider.access(0), provider.access(1)) == (Access.WALLED_GARDEN, Access.FULL)
    assert sorted((one.kind, one.key) for one in provider.differences()) == [(Kind.GONE, "100"), (Kind.GONE, "101")]
    provider.simulation.erp.subscribers["sub0"] = gone
    provider.say(0, "A")
    provider.period()
    assert provider.access(0) is Access.FULL
    assert [one.key for one in provider.differences()] == ["101"]


def test_a_contract_that_was_made_anew_there_takes_the_place_of_the_one_that_is_gone(
    provider: FollowingProvider,
) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    assert provider.access(0) is Access.WALLED_GARDEN
    # another plan: the system ends contract 100 and makes 777, which owes nothing
    provider.simulation.erp.subscribers["sub0"].number = 777
    provider.say(0, "A")
    assert [(one.kind, one.key) for one in provider.fresh_differences()] == [(Kind.GIVE_BACK, "777")]
    provider.period()
    assert provider.access(0) is Access.FULL
    assert provider.differences() == []
    provider.simulation.erp.subscribers.pop("sub0")
    assert [(one.kind, one.key) for one in provider.fresh_differences()] == [(Kind.GONE, "777")]


def test_an_empty_list_is_an_alarm_and_changes_nothing(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    provider.simulation.erp.hidden = True
    provider.period()
    assert provider.access(0) is Access.WALLED_GARDEN
    assert "3 of the 3 subscribers" in (provider.source().alarm or "")
    assert [one for one in provider.differences() if one.kind is Kind.GONE] == []
    # while the alarm is there nobody is restricted, whatever is owed elsewhere
    with provider.database.transaction() as session:
        stopped = sources.alarms(session)
    assert stopped == [
        Words(
            "matriz: 3 dos 3 assinantes que listava sumiram da lista",
            "matriz: 3 of the 3 subscribers that it listed are gone from its list",
        )
    ]
    provider.simulation.erp.hidden = False
    provider.period()
    assert (provider.source().alarm, provider.source().alarm_pt) == (None, None)
    assert provider.events("follow_source.") == [
        "follow_source.created", "follow_source.changed", "follow_source.alarm", "follow_source.well",
    ]  # fmt: skip


def test_a_person_accepts_that_many_are_gone_there(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.simulation.erp.hidden = True
    provider.period()
    assert provider.source().alarm
    with provider.database.transaction() as session:
        source = sources.get_source(session, provider.source_id)
        asked = provider.reader.open(session, source, source.asked_at or TUESDAY_TEN, identify=True)
    reading = asked.read(provider.reader.make_client)
    with provider.database.transaction() as session:
        provider.reader.conclude(session, asked, reading, forced_by="test:person")
    assert (provider.source().alarm, len(provider.differences())) == (None, 3)
    provider.period()
    assert provider.source().alarm is None


@pytest.mark.parametrize("how", ["away", "html", "denied"])
def test_one_that_cannot_be_read_changes_nothing_and_after_ten_minutes_stops_every_run(
    provider: FollowingProvider, clock: ManualClock, keyring: Keyring, how: str
) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    provider.say_all("FA")
    provider.simulation.erp.away = {"away": 503, "html": 200, "denied": 401}[how]
    for _ in range(18):
        provider.period()
    assert (provider.source().alarm, provider.source().error is not None) == (None, True)
    for _ in range(4):
        provider.period()
    alarm = provider.source().alarm or ""
    assert "could not be read since 2026-11-24 10:00" in alarm
    alarm_pt = provider.source().alarm_pt or ""
    assert "não pôde ser lido desde 24/11/2026 10:00" in alarm_pt
    assert {"away": "503", "html": "responde com uma página que não é JSON", "denied": "401"}[how] in alarm_pt
    assert "abcdef0123456789" not in alarm + alarm_pt
    assert (provider.access(0), provider.access(1)) == (Access.WALLED_GARDEN, Access.FULL)
    # somebody under our own policy owes, too: the run does not believe that, and says why
    with provider.database.transaction() as session:
        switching.release(session, [provider.contract_ids[2]], ACTOR)
        contract = session.get_one(FollowedContract, provider.contract_ids[1])
        contract.effect = HoldEffect.WALLED_GARDEN
    with pytest.raises(RunUnsafe, match="matriz: it could not be read"), provider.database.transaction() as session:
        provider.reader.billing.run(session)
    provider.simulation.erp.away = None
    provider.period()
    assert (provider.source().alarm, provider.source().error, provider.source().error_pt) == (None, None, None)
    assert provider.access(1) is Access.WALLED_GARDEN


def test_promise_exemption_and_pause_of_ours_still_spare(provider: FollowingProvider, clock: ManualClock) -> None:
    provider.start_following()
    with provider.database.transaction() as session:
        promises.give_promise(session, provider.contract_ids[0], clock() + timedelta(days=2), ACTOR, clock())
        contracts.update_terms(session, provider.contract_ids[1], {"exemption": "hospital"}, ACTOR, clock().date())
        service = session.scalars(select(Service).where(Service.contract_id == provider.contract_ids[2])).one()
        holds.place_hold(
            session, service.id, reason=HoldReason.REQUEST, effect=HoldEffect.BLOCK, actor=ACTOR, now=clock()
        )
    provider.say_all("FA")
    provider.period()
    assert provider.notes() == []
    assert {one.kind for one in provider.differences()} == {Kind.SPARE}
    # Thursday, when the promise is over: the word of the other system stands again
    clock.advance(timedelta(days=2, minutes=1))
    provider.work()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_a_payment_window_on_a_contract_that_follows_and_then_the_restriction_goes_on(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    clock.now = datetime(2026, 11, 28, 23, tzinfo=ZONE).astimezone(UTC)
    with provider.database.transaction() as session:
        service = session.scalars(select(Service).where(Service.contract_id == provider.contract_ids[0])).one()
        invoice = invoices.create_invoice(
            session, {"contract_id": service.contract_id, "due_date": clock().date(), "amount_cents": 1}, ACTOR, clock()
        )
        window = promises.open_payment_window(session, invoice.id, ACTOR, clock(), ZONE)
    provider.work()
    provider.period()
    assert provider.access(0) is Access.FULL
    clock.now = window.until
    provider.work()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_a_dedicated_link_is_cut_by_a_person_only(provider: FollowingProvider) -> None:
    with provider.database.transaction() as session:
        service = session.scalars(select(Service).where(Service.contract_id == provider.contract_ids[0])).one()
        service.kind = ServiceKind.DEDICATED
    provider.start_following()
    provider.say(0, "CM")
    provider.period()
    assert provider.access(0) is Access.FULL


def test_our_steps_are_not_judged_and_nobody_is_told_while_another_system_is_in_charge(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    with provider.database.transaction() as session:
        invoice = invoices.create_invoice(
            session,
            {"contract_id": provider.contract_ids[0], "due_date": datetime(2026, 10, 1).date(), "amount_cents": 9990},
            ACTOR, clock(),
        )  # fmt: skip
        invoices.mark_notified(session, invoice, clock() - timedelta(days=20), ACTOR, clock())
        assert provider.reader.billing.run(session).plan == []
        assert session.scalars(select(DebtMessage)).all() == []
    provider.work()
    assert provider.access(0) is Access.FULL


def test_switching_is_reversible_both_ways_and_seen_before(provider: FollowingProvider, clock: ManualClock) -> None:
    provider.say(0, "FA")
    provider.start_following()
    provider.period()
    contract_id = provider.contract_ids[0]
    assert provider.access(0) is Access.WALLED_GARDEN

    def preview(source_id: int | None) -> list[str]:
        with provider.database.transaction() as session:
            source = sources.get_source(session, source_id) if source_id else None
            calendar = Calendar(Holidays("BR"), ZONE)
            return [one.action for one in switching.preview(session, source, [contract_id], calendar, clock())]

    # back to our own policy: nothing is owed here, so the line would be given back, and is
    assert preview(None) == ["lift"]
    with provider.database.transaction() as session:
        assert switching.release(session, [contract_id], ACTOR) == [contract_id]
        assert switching.release(session, [contract_id], ACTOR) == []
    provider.work()
    assert provider.access(0) is Access.FULL
    provider.period()
    assert provider.access(0) is Access.FULL
    # and under its word again
    assert preview(provider.source_id) == ["place"]
    provider.follow_all()
    provider.period()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_only_what_is_listed_by_a_live_source_can_be_followed(provider: FollowingProvider) -> None:
    def follow(contract_ids: list[int]) -> None:
        with provider.database.transaction() as session:
            source = sources.get_source(session, provider.source_id)
            switching.follow(session, source, contract_ids, ACTOR, provider.clock())

    with pytest.raises(Conflict, match="never read"):
        provider.go_live()
    provider.look()
    with pytest.raises(Conflict, match="not live"):
        follow(provider.contract_ids)
    provider.simulation.erp.subscribers.pop("sub2")
    provider.period()
    provider.go_live()
    with pytest.raises(Conflict, match=f"no subscriber that is contract {provider.contract_ids[2]}"):
        follow(provider.contract_ids)
    follow(provider.contract_ids[:2])


def test_nobody_is_invoiced_by_two(provider: FollowingProvider, clock: ManualClock) -> None:
    provider.start_following()
    contract_id = provider.contract_ids[0]
    ours = {"invoiced_since": clock().date()}
    with provider.database.transaction() as session:
        session.add(ContractItem(contract_id=contract_id, description="Fibra", price_cents=9990))
        session.flush()
        with pytest.raises(InvalidInput, match="release it first"):
            contracts.update_terms(session, contract_id, ours, ACTOR, clock().date())
        switching.release(session, [contract_id], ACTOR)
        contracts.update_terms(session, contract_id, ours, ACTOR, clock().date())
        source = sources.get_source(session, provider.source_id)
        with pytest.raises(Conflict, match="we make the invoices"):
            switching.follow(session, source, [contract_id], ACTOR, clock())


def test_back_to_dry_the_last_word_stays_and_nothing_new_is_done(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    provider.go_live(mode=Mode.DRY)
    provider.say(0, "A")
    provider.say(1, "FA")
    provider.period()
    assert (provider.access(0), provider.access(1)) == (Access.WALLED_GARDEN, Access.FULL)
    assert [(one.kind, one.key) for one in provider.differences()] == [(Kind.RESTRICT, "101"), (Kind.GIVE_BACK, "100")]
    provider.go_live()
    provider.period()
    assert (provider.access(0), provider.access(1)) == (Access.FULL, Access.WALLED_GARDEN)


def _read_and_die(provider: FollowingProvider) -> None:
    """A worker that is killed when the other system has answered, before anything of it is kept."""

    class Dies:
        def __init__(self, adapter: object) -> None:
            self.adapter = adapter

        def read(self, *given: object) -> None:
            self.adapter.read(*given)  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)

    with provider.database.transaction() as session:
        item = session.scalars(select(OutboxItem).where(OutboxItem.topic == topics.FOLLOW_READ.name)).one()
        source = sources.get_source(session, item.payload["source_id"])
        asked = provider.reader.open(session, source, source.asked_at or TUESDAY_TEN)
        session.delete(item)
    Dies(asked.adapter).read(asked.access, provider.reader.make_client, asked.known)


def test_killed_between_reading_and_keeping_it_is_read_again_when_the_claim_has_run_out(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    provider.say(0, "FA")
    clock.advance(timedelta(seconds=sources.EVERY_S))
    with provider.database.transaction() as session:
        assert reader.owe_due(session, clock(), ZONE) == 1
        assert reader.owe_due(session, clock(), ZONE) == 0
    provider.database.dispose()
    worker = multiprocessing.get_context("fork").Process(target=_read_and_die, args=(provider,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    provider.period()  # claimed still
    assert provider.access(0) is Access.FULL
    clock.advance(reader.CLAIM)
    provider.look()
    assert provider.access(0) is Access.WALLED_GARDEN


def test_a_reading_that_was_overtaken_is_dropped(provider: FollowingProvider, clock: ManualClock) -> None:
    provider.start_following()
    with provider.database.transaction() as session:
        source = sources.get_source(session, provider.source_id)
        older = provider.reader.open(session, source, source.asked_at or TUESDAY_TEN)
    provider.say(0, "FA")
    old_words = older.read(provider.reader.make_client)
    provider.say(0, "A")
    provider.period()
    with provider.database.transaction() as session:
        assert provider.reader.conclude(session, older, old_words) is None
    provider.work()
    assert provider.access(0) is Access.FULL


def test_a_row_that_nobody_understands_says_nothing_and_is_shown(
    database: Database, keyring: Keyring, clock: ManualClock
) -> None:
    provider = make_following(database, keyring, clock, subscribers=12)
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    provider.say(0, "XX")
    provider.period()
    assert provider.access(0) is Access.WALLED_GARDEN
    (row,) = provider.source().malformed["rows"]
    assert (row["key"], row["row"], row["row_pt"]) == ("100", "contract 100", "contrato 100")
    assert ("'XX' means" in row["detail"], "nada diz o que significa o estado 'XX'" in row["detail_pt"]) == (True, True)
    provider.say(1, "YY")
    provider.period()
    assert "2 of its 12 rows cannot be understood (contract 100: nothing says" in (provider.source().alarm or "")
    assert "2 das suas 12 linhas não se entendem (contrato 100: nada diz" in (provider.source().alarm_pt or "")


def test_an_ended_contract_frees_its_subscriber_for_the_next_one(
    provider: FollowingProvider, keyring: Keyring, clock: ManualClock
) -> None:
    provider.look()
    with provider.database.transaction() as session:
        service = session.scalars(select(Service).where(Service.contract_id == provider.contract_ids[0])).one()
        services.cancel_service(session, service, ACTOR, clock())
        contract = parties.get_contract(session, provider.contract_ids[0])
        contract.status = type(contract.status)("cancelled")
        session.flush()
        new = make_contract(session)
        make_service(session, keyring, contract=new, login="sub0")
        new_id = new.id
    provider.period()
    with provider.database.transaction() as session:
        matched = session.scalar(select(FollowedSubscriber.contract_id).where(FollowedSubscriber.key == "100"))
    assert matched == new_id


def test_a_whole_run_gives_back_what_the_word_no_longer_asks_for(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.say(0, "FA")
    provider.period()
    with provider.database.transaction() as session:
        session.get_one(FollowedContract, provider.contract_ids[0]).effect = None
        assert [change.action for change in provider.reader.billing.run(session).plan] == ["lift"]
    provider.work()
    assert provider.access(0) is Access.FULL


def test_what_billing_says_of_a_contract_that_follows_names_who_said_it(provider: FollowingProvider) -> None:
    provider.start_following()
    provider.say(0, "CM")
    provider.period()
    with provider.database.transaction() as session:
        _, verdict = provider.reader.billing.look(session, provider.contract_ids[0])
    assert (verdict.reason, verdict.reason_pt) == ("matriz says: Bloqueio manual", "matriz diz: Bloqueio manual")
    assert provider.notes() == ["matriz says: Bloqueio manual"]


def test_a_decision_by_the_word_of_another_system_is_explained_by_that_and_no_step_or_invoice_of_ours(
    provider: FollowingProvider, clock: ManualClock
) -> None:
    provider.start_following()
    with provider.database.transaction() as session:
        owed = {"contract_id": provider.contract_ids[0], "due_date": clock().date(), "amount_cents": 9990}
        invoices.create_invoice(session, owed, ACTOR, clock())
    provider.say(0, "CM")
    provider.period()
    with provider.database.transaction() as session:
        decision = session.scalars(select(BillingDecision)).one()
        words = explain(decision, session.get_one(BillingRun, decision.run_id), ZONE)
    assert "because matriz says: Bloqueio manual." in words.en
    assert "Regra: o contrato segue outro sistema de cobrança, “matriz”." in words.pt
    assert "99,90" not in words.pt
