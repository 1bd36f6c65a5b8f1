"""What explanations may say: the same in both languages, and something for everything that can be the matter."""

from __future__ import annotations

from pathlib import Path
from string import Formatter

import pytest

from aaa.coa import ErrorCause
from aaa.credentials import HINT_BLANK, HINT_CASE, HINT_EMPTY, HINT_WRONG_SECRET
from aaa.reasons import REJECTS
from aaa.reports import ACCEPTED_AGAIN, FindingKind
from aaa.reports import FINDINGS as NAS_TROUBLES
from core.access import HoldEffect, HoldReason
from core.explain.causes import ERROR_CAUSES, TERMINATE_CAUSES
from core.explain.facts import Verdict
from core.explain.names import HINTS, NAMES, REASONS
from core.explain.table import markdown
from core.explain.words import ANSWERS, FINDINGS, PHRASES
from core.models.network import StopKind


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("code", FINDINGS)
def test_a_finding_says_the_same_in_both_languages(code: str) -> None:
    said = FINDINGS[code]
    assert holes(said.pt) == holes(said.en)
    assert holes(said.pt_step) == holes(said.en_step)
    assert bool(said.pt_step) == bool(said.en_step)
    assert said.pt != said.en


@pytest.mark.parametrize("key", PHRASES)
def test_a_phrase_has_the_same_holes_in_both_languages(key: str) -> None:
    pt, en = PHRASES[key]
    assert holes(pt) == holes(en)
    assert pt
    assert en


@pytest.mark.parametrize("table", [REASONS, HINTS, TERMINATE_CAUSES, ERROR_CAUSES])
def test_a_reason_has_a_name_and_advice_in_both_languages_or_in_neither(table: dict[object, object]) -> None:
    for key, (name, advice) in table.items():  # type: ignore[misc]
        assert all(name), key  # type: ignore[has-type]
        assert bool(advice[0]) == bool(advice[1]), key  # type: ignore[has-type]


def test_everything_that_can_be_the_matter_has_words() -> None:
    assert {*REJECTS, ACCEPTED_AGAIN} <= REASONS.keys()
    assert {HINT_BLANK, HINT_CASE, HINT_EMPTY, HINT_WRONG_SECRET} == HINTS.keys()
    assert set(ErrorCause) == ERROR_CAUSES.keys()
    assert set(range(1, 19)) == TERMINATE_CAUSES.keys()
    assert {*HoldReason, *HoldEffect, *StopKind} <= NAMES.keys()
    assert set(Verdict) == ANSWERS.keys()
    assert {f"nas_{kind}" for kind in FindingKind if kind is not FindingKind.UNKNOWN_CLIENT} <= FINDINGS.keys()
    assert set(NAS_TROUBLES.values()) <= set(FindingKind)


def test_the_documentations_tables_are_the_words_themselves() -> None:
    """`python -m core.explain.table` prints what belongs there."""
    document = Path("docs/explain.md").read_text()
    assert markdown().strip() in document
