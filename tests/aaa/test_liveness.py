"""Does this session live? Asked of NASes that answer as they do, over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest
from coa_nas import NOT_FOUND, SECRET, Answers, Nas
from factories import make_nas
from sqlalchemy import select

from aaa.coa import CoaClient, ErrorCause, Target
from aaa.liveness import (
    BELIEVED_S,
    DEAF_AFTER_S,
    DEAF_S,
    NOBODYS_SESSION,
    Addressee,
    CoaProbe,
    Liveness,
    Probes,
    Told,
    Verifier,
)
from aaa.packet import Kind, text_attribute
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models.network import Session, StopKind
from core.models.system import OutboxItem


@pytest.fixture
def client() -> Iterator[CoaClient]:
    client = CoaClient()
    yield client
    client.close()


def addressee(nas: Nas, session: str = "s1") -> Addressee:
    only_id = text_attribute(Kind.ACCT_SESSION_ID, session)
    return Addressee(7, nas.target, text_attribute(Kind.USER_NAME, "ana") + only_id, only_id)


def asked_of(probe: CoaProbe, nas: Nas) -> Liveness:
    told: SimpleQueue[Liveness] = SimpleQueue()
    probe.ask(addressee(nas), told.put)
    return told.get(timeout=20)


@pytest.mark.parametrize(
    ("answers", "liveness"),
    [
        pytest.param(lambda one: None if one == "s1 and keys" else NOT_FOUND, Liveness.ALIVE, id="it has the session"),
        pytest.param(lambda _: NOT_FOUND, Liveness.GONE, id="it does not"),
        pytest.param(lambda one: None if one == "s1" else NOT_FOUND, Liveness.ALIVE, id="one of the keys was stale"),
        pytest.param(
            lambda one: ErrorCause.MISSING_ATTRIBUTE if one.startswith("s1") else NOT_FOUND, Liveness.ALIVE,
            id="it has it, and misses something to change",
        ),
        pytest.param(
            lambda _: ErrorCause.ADMINISTRATIVELY_PROHIBITED, Liveness.UNKNOWN, id="it refuses whatever is asked"
        ),
        pytest.param(lambda _: None, Liveness.UNKNOWN, id="it agrees to whatever is asked"),
    ],
)  # fmt: skip
def test_what_a_nas_says_of_a_session(client: CoaClient, answers: Answers, liveness: Liveness) -> None:
    nas = Nas(answers)
    assert asked_of(CoaProbe(client), nas) is liveness
    nas.close()


class Held:
    """A probe that answers when it is told to."""

    def ask(self, addressee: Addressee, told: Told) -> None:
        self.asked, self.answer = addressee, told


@pytest.mark.parametrize(
    ("answers", "heard"),
    [
        ([Liveness.UNKNOWN, Liveness.GONE, Liveness.ALIVE], [[], [Liveness.GONE], [Liveness.GONE]]),
        ([Liveness.ALIVE, Liveness.UNKNOWN, Liveness.GONE], [[Liveness.ALIVE]] * 3),
        ([Liveness.UNKNOWN] * 3, [[], [], [Liveness.UNKNOWN]]),
    ],
)
def test_of_several_ways_to_ask_the_first_that_knows_is_believed(
    answers: list[Liveness], heard: list[list[Liveness]]
) -> None:
    ways = [Held(), Held(), Held()]
    told: list[Liveness] = []
    Probes(*ways).ask(Addressee(7, Target("127.0.0.1", 9, SECRET), b"", b""), told.append)
    for way, answer, so_far in zip(ways, answers, heard, strict=True):
        way.answer(answer)
        assert told == so_far


def test_a_nas_that_does_not_answer_says_nothing() -> None:
    client = CoaClient(monotonic=lambda: 50 * time.monotonic())
    nas = Nas(lambda _: "silence")
    assert asked_of(CoaProbe(client), nas) is Liveness.UNKNOWN
    nas.close()
    client.close()


def test_a_nas_that_is_deaf_is_left_alone_for_a_while(client: CoaClient) -> None:
    now = [1000.0]
    nas = Nas(lambda _: "silence")
    probe, told = CoaProbe(client, lambda: now[0]), SimpleQueue[Liveness]()
    probe.ask(addressee(nas), told.put)
    now[0] += DEAF_AFTER_S
    assert asked_of(probe, nas) is Liveness.UNKNOWN
    assert told.empty()  # only the second was told at once
    nas.answers = lambda one: NOT_FOUND if one == NOBODYS_SESSION else None
    assert asked_of(probe, nas) is Liveness.UNKNOWN
    now[0] += DEAF_S
    assert [asked_of(probe, nas) for _ in range(2)] == [Liveness.ALIVE] * 2
    now[0] += DEAF_AFTER_S
    assert asked_of(probe, nas) is Liveness.ALIVE  # it owes nothing
    nas.close()


def test_a_nas_is_asked_about_nobody_now_and_then_only(client: CoaClient) -> None:
    now = [1000.0]
    nas = Nas(lambda one: NOT_FOUND if one == NOBODYS_SESSION else None)
    probe = CoaProbe(client, lambda: now[0])
    assert [asked_of(probe, nas) for _ in range(3)] == [Liveness.ALIVE] * 3
    assert nas.asked.count(NOBODYS_SESSION) == 1
    now[0] += BELIEVED_S + 1
    assert asked_of(probe, nas) is Liveness.ALIVE
    assert nas.asked.count(NOBODYS_SESSION) == 2
    nas.close()


def kept(database: Database) -> Session:
    with database.transaction() as session:
        return session.scalars(select(Session)).one()


@pytest.fixture
def silent_session(database: Database, keyring: Keyring, clock: ManualClock) -> Callable[[Nas], int]:
    """A session of this NAS that nothing was heard of."""

    def make(nas: Nas) -> int:
        with database.transaction() as session:
            nas_id = make_nas(session, keyring, coa_port=nas.port).id
            live = Session(
                nas_id=nas_id, box="b", acct_session_id="s1", login="ana", nas_address="127.0.0.1",
                started_at=clock(), updated_at=clock(),
            )  # fmt: skip
            session.add(live)
            session.flush()
            return live.id

    return make


def verify(database: Database, keyring: Keyring, client: CoaClient, clock: ManualClock, session_id: int) -> None:
    """The handler and what it leaves, as a worker runs them; until the answer is written."""
    with ThreadPoolExecutor(1) as conclusions:
        told = threading.Event()

        class Probe(CoaProbe):
            def ask(self, addressee: Addressee, of: Callable[[Liveness], None]) -> None:
                super().ask(addressee, lambda liveness: (of(liveness), told.set())[0])  # type: ignore[func-returns-value]

        verifier = Verifier(database, Probe(client), conclusions, keyring, clock)
        with database.transaction() as session:
            afterwards = verifier.session_verify(session, {"session_id": session_id})
        assert afterwards is not None
        afterwards()
        assert told.wait(20)


def owed(database: Database) -> int:
    with database.transaction() as session:
        return len(session.scalars(select(OutboxItem).where(OutboxItem.topic == "aaa.session_verify")).all())


def test_a_silent_session_that_its_nas_has_is_kept(
    database: Database, keyring: Keyring, client: CoaClient, clock: ManualClock,
    silent_session: Callable[[Nas], int],
) -> None:  # fmt: skip
    nas = Nas(lambda one: NOT_FOUND if one == NOBODYS_SESSION else None)
    verify(database, keyring, client, clock, silent_session(nas))
    assert (kept(database).verified_at, kept(database).stopped_at, owed(database)) == (clock(), None, 0)
    nas.close()


def test_a_silent_session_that_its_nas_does_not_have_is_closed(
    database: Database, keyring: Keyring, client: CoaClient, clock: ManualClock,
    silent_session: Callable[[Nas], int],
) -> None:  # fmt: skip
    nas = Nas(lambda _: NOT_FOUND)
    verify(database, keyring, client, clock, silent_session(nas))
    assert (kept(database).stop_kind, owed(database)) == (StopKind.NOT_FOUND, 0)
    nas.close()


def test_a_nas_that_cannot_tell_is_asked_again_later(
    database: Database, keyring: Keyring, client: CoaClient, clock: ManualClock,
    silent_session: Callable[[Nas], int],
) -> None:  # fmt: skip
    nas = Nas(lambda _: ErrorCause.ADMINISTRATIVELY_PROHIBITED)
    verify(database, keyring, client, clock, silent_session(nas))
    assert (kept(database).stopped_at, kept(database).verified_at, owed(database)) == (None, None, 1)
    nas.close()
