"""What is kept of a period that was invoiced: what it was made from, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter

from billing_hooks.invoicing.facts import Facts
from billing_hooks.invoicing.lines import Line
from billing_hooks.invoicing.period import Period
from billing_hooks.models import BilledPeriod
from core.cycles import Cycle

_FACTS: Final = TypeAdapter(Facts)
_LINES: Final = TypeAdapter(tuple[Line, ...])


def keep_facts(facts: Facts, services: Mapping[str, int | None]) -> dict[str, Any]:
    """The prices of now, and whose they are. Days that are not charged and plans that change are looked up again, and
    credits are no part of what a period costs."""
    prices = replace(facts, credits=(), uncharged=(), changes=())
    return {
        "facts": _FACTS.dump_python(prices, mode="json"),
        "services": {item.id: services[item.id] for item in facts.items},
    }


def facts_of(row: BilledPeriod) -> Facts:
    return _FACTS.validate_python(row.facts["facts"])


def services_of(row: BilledPeriod) -> dict[str, int | None]:
    """By item, whose price it was; None: that of no service."""
    services: dict[str, int | None] = row.facts["services"]
    return services


def keep_lines(lines: Sequence[Line]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = _LINES.dump_python(tuple(lines), mode="json")
    return kept


def lines_of(row: BilledPeriod) -> tuple[Line, ...]:
    return _LINES.validate_python(row.lines)


def period_of(row: BilledPeriod) -> Period:
    return Period(row.start, row.end, Cycle(row.cycle_start, row.cycle_end))
