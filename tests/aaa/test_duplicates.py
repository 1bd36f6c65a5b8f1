"""The duplicate cache against a model that forgets nothing: what it finds is right, and what is recent is found."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aaa import duplicates
from aaa.duplicates import LIFETIME_S, PENDING, Duplicates

Key = tuple[bytes, int]
sources = st.sampled_from([b"one", b"other"])
identifiers = st.integers(0, 3)
authenticators = st.sampled_from([b"a" * 16, b"b" * 16])


class CacheAndModel(RuleBasedStateMachine):
    """Rules are what a worker does, once a second as often as not."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.cache = Duplicates(self.now)
        #: Key to (authenticator, reply, when it was remembered).
        self.model: dict[Key, tuple[bytes, bytes, float]] = {}

    @rule(source=sources, identifier=identifiers, authenticator=authenticators, reply=st.binary(max_size=3))
    def remember(self, source: bytes, identifier: int, authenticator: bytes, reply: bytes) -> None:
        self.cache.remember(source, identifier, authenticator, reply)
        self.model[source, identifier] = (authenticator, reply, self.now)

    @rule(source=sources, identifier=identifiers)
    def forget(self, source: bytes, identifier: int) -> None:
        self.cache.forget(source, identifier)
        self.model.pop((source, identifier), None)

    @rule(seconds=st.floats(0, 8))
    def let_time_pass(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 1.0, until)
            self.cache.expire(self.now)

    @rule(source=sources, identifier=identifiers, authenticator=authenticators)
    def ask(self, source: bytes, identifier: int, authenticator: bytes) -> None:
        found = self.cache.find(source, identifier, authenticator)
        known = self.model.get((source, identifier))
        if known is None or known[0] != authenticator:
            assert found is None
            return
        age = self.now - known[2]
        assert found in {known[1], None}
        assert found == known[1] or age >= LIFETIME_S, "too young to be forgotten"
        assert found is None or age <= 2 * LIFETIME_S + 2, "too old to be known"

    @rule(source=sources, identifier=identifiers, authenticator=authenticators)
    def ask_whether_superseded(self, source: bytes, identifier: int, authenticator: bytes) -> None:
        known = self.model.get((source, identifier))
        if self.cache.superseded(source, identifier, authenticator):
            assert known is not None
            assert known[0] != authenticator

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.cache) <= 2 * len(self.model) + 8


TestCacheAndModel = CacheAndModel.TestCase


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Duplicates:
    monkeypatch.setattr(duplicates, "ENTRIES_MAX", 10)
    return Duplicates(0.0)


def test_a_flood_retires_the_older_half_and_never_more(small: Duplicates) -> None:
    for number in range(105):
        small.remember(b"source", number, b"a" * 16, b"reply")
        assert len(small) <= 20
        for recent in range(max(0, number - 9), number + 1):
            assert small.find(b"source", recent, b"a" * 16) == b"reply"


def test_what_could_not_be_done_is_forgotten_even_if_it_filled_a_generation(small: Duplicates) -> None:
    for number in range(10):
        small.remember(b"source", number, b"a" * 16, PENDING)
    small.forget(b"source", 9)
    assert small.find(b"source", 9, b"a" * 16) is None
