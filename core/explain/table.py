"""The tables in docs/explain.md, made from the words themselves: `python -m core.explain.table` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.explain.causes import ERROR_CAUSES, TERMINATE_CAUSES
from core.explain.names import HINTS, REASONS, Refusal
from core.explain.words import FINDINGS


def markdown() -> str:
    return "\n".join(
        [
            *_section("Reasons of an attempt", _rows(REASONS)),
            *_section("Hints beside a wrong password", _rows(HINTS)),
            *_section("Findings about a NAS", _findings()),
            *_section("Acct-Terminate-Cause", _rows(TERMINATE_CAUSES)),
            *_section("Error-Cause of a refused CoA or Disconnect", _rows(ERROR_CAUSES)),
        ]
    )


def _section(title: str, rows: Iterable[str]) -> list[str]:
    return [f"## {title}", "", "| code | what it means | what to do |", "|---|---|---|", *rows, ""]


def _rows(table: Mapping[str, Refusal] | Mapping[int, Refusal]) -> list[str]:
    return [f"| `{code}` | {found.name[1]} | {found.advice[1]} |" for code, found in table.items()]


def _findings() -> list[str]:
    """Without what only an occasion fills in."""
    rows = []
    for code, said in FINDINGS.items():
        kind = code.removeprefix("nas_")
        if "{nas}: " in said.en and "{count}" in said.en:
            meaning = said.en.removeprefix("{nas}: ").partition("{where}")[0].replace("{offset}", "ahead or behind")
            rows.append(f"| `{kind}` | {meaning} | {said.en_step.replace('{nas}', 'NAS')} |")
    return rows


if __name__ == "__main__":
    print(markdown())  # noqa: T201
