"""A provider that follows a simulated billing system: real reader, run and database, a clock moved by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from factories import make_contract, make_service
from simulated_gateway import Inline
from sqlalchemy import or_, select
from starlette.testclient import TestClient

from billing_hooks.follow import differences, reader, sources, switching
from billing_hooks.follow.differences import Difference
from billing_hooks.follow.models import FollowSource, Mode
from billing_hooks.follow.reader import Reader
from billing_hooks.runs import Billing
from billing_hooks.simulators.erp import ERPS, Simulation, Subscriber
from core import outbox, topics
from core.access import Access, HoldReason
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models import Contract, Event, Hold, OutboxItem, Service

ZONE = ZoneInfo("America/Sao_Paulo")
ACTOR = Actor("test:person")
TUESDAY_TEN = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
CREDENTIALS = {"ixc": {"token": "17:abcdef0123456789"}, "sgp": {"token": "t-0123", "app": "provedor"}}
_TOPICS = (topics.FOLLOW_READ.name, topics.STANDING_CHANGED.name, topics.BILLING_CHUNK.name, topics.PROMISE_OVER.name)


@dataclass
class FollowingProvider:
    """Subscribers `sub0`, `sub1`, … there, and a contract of one service with that login here."""

    database: Database
    clock: ManualClock
    reader: Reader
    simulation: Simulation
    source_id: int
    contract_ids: list[int]

    def say(self, number: int, standing: str, reason: str = "") -> None:
        """The system's own people or automatism."""
        self.simulation.erp.subscribers[f"sub{number}"].standing = standing
        self.simulation.erp.subscribers[f"sub{number}"].reason = reason

    def say_all(self, standing: str) -> None:
        for one in self.simulation.erp.subscribers.values():
            one.standing = standing

    def period(self) -> None:
        """Half a minute goes by: whoever is due is read, and what follows is done."""
        self.clock.advance(timedelta(seconds=sources.EVERY_S))
        self.look()

    def look(self) -> None:
        with self.database.transaction() as session:
            reader.owe_due(session, self.clock(), ZONE)
        self.work()

    def work(self) -> None:
        """What the workers do with all that is owed by now."""
        handlers = {
            topics.FOLLOW_READ.name: self.reader.handle_read,
            topics.STANDING_CHANGED.name: self.reader.billing.handle_standing_changed,
            topics.BILLING_CHUNK.name: self.reader.billing.handle_chunk,
            topics.PROMISE_OVER.name: self.reader.billing.handle_promise_over,
        }
        while item_ids := self._owed():
            for item_id in item_ids:
                with self.database.transaction() as session:
                    item = outbox.claim(session, item_id)
                    afterwards = handlers[item.topic](session, item.payload) if item is not None else None
                if afterwards is not None:
                    afterwards()

    def _owed(self) -> list[int]:
        due = or_(OutboxItem.topic != topics.PROMISE_OVER.name, OutboxItem.due_at <= self.clock())
        with self.database.transaction() as session:
            query = select(OutboxItem.id).where(OutboxItem.topic.in_(_TOPICS), due).order_by(OutboxItem.id)
            return list(session.scalars(query))

    def go_live(self, **values: object) -> None:
        with self.database.transaction() as session:
            source = sources.get_source(session, self.source_id)
            sources.update_source(session, self.reader.keyring, source, {"mode": Mode.LIVE, **values}, ACTOR)

    def follow_all(self) -> None:
        with self.database.transaction() as session:
            source = sources.get_source(session, self.source_id)
            switching.follow(session, source, switching.all_matched(session, source.id), ACTOR, self.clock())
        self.work()

    def start_following(self) -> None:
        """Read dry, live, and everybody under its word."""
        self.look()
        self.go_live()
        self.follow_all()

    def source(self) -> FollowSource:
        with self.database.transaction() as session:
            return sources.get_source(session, self.source_id)

    def access(self, number: int) -> Access:
        with self.database.transaction() as session:
            return session.scalars(select(Service).where(Service.contract_id == self.contract_ids[number])).one().access

    def notes(self) -> list[str]:
        """Of live billing holds."""
        live = (Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
        with self.database.transaction() as session:
            return [note or "" for note in session.scalars(select(Hold.note).where(*live).order_by(Hold.id))]

    def differences(self) -> list[Difference]:
        with self.database.transaction() as session:
            source = sources.get_source(session, self.source_id)
            return differences.compare(session, source, "BR", ZONE, self.clock()).stored()

    def fresh_differences(self) -> list[Difference]:
        """The dry run: read now, and not kept."""
        with self.database.transaction() as session:
            source = sources.get_source(session, self.source_id)
            asked = self.reader.open(session, source, self.clock(), identify=True)
        reading = asked.read(self.reader.make_client)
        with self.database.transaction() as session:
            source = sources.get_source(session, self.source_id)
            return differences.compare(session, source, "BR", ZONE, self.clock()).of_reading(reading)

    def events(self, prefix: str) -> list[str]:
        with self.database.transaction() as session:
            found = session.scalars(select(Event.type).order_by(Event.id)).all()
        return [one for one in found if one.startswith(prefix)]


def make_following(
    database: Database, keyring: Keyring, clock: ManualClock, kind: str = "ixc", subscribers: int = 3
) -> FollowingProvider:
    contract_ids = []
    with database.transaction() as session:
        for number in range(subscribers):
            contract: Contract = make_contract(session)
            make_service(session, keyring, contract=contract, login=f"sub{number}")
            contract_ids.append(contract.id)
        source = sources.create_source(
            session, keyring, kind, "matriz", ACTOR, settings={"base_url": "http://erp.test"},
            credentials=CREDENTIALS[kind],
        )  # fmt: skip
    simulation = ERPS[kind](CREDENTIALS[kind], [])
    full = simulation.erp.standings[0]
    simulation.erp.subscribers |= {
        f"sub{n}": Subscriber(100 + n, f"sub{n}", "", f"Cliente {n}", full) for n in range(subscribers)
    }
    billing = Billing(ZONE, clock)
    made = Reader(database, keyring, billing, lambda _: TestClient(simulation.app, "http://erp.test"), Inline(), clock)
    return FollowingProvider(database, clock, made, simulation, source.id, contract_ids)
