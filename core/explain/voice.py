"""How an explanation speaks: the language, the zone of its times, and whether devices are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from core.explain.facts import Finding
from core.explain.names import NAMES, REASONS, Refusal
from core.explain.words import FINDINGS, PHRASES, choose


@dataclass(frozen=True, slots=True)
class Voice:
    """`mask` hides a device's address from who need not see it."""

    language: str = "pt_BR"
    zone: tzinfo = UTC
    mask: Callable[[str], str] | None = None

    def finding(self, code: str, **values: object) -> Finding:
        said = FINDINGS[code]
        message, step = (said.pt, said.pt_step) if self.language == "pt_BR" else (said.en, said.en_step)
        return Finding(code, message.format(**values), step.format(**values))

    def name(self, what: str) -> str:
        return choose(self.language, NAMES.get(what, (what, what)))

    def phrase(self, key: str, **values: object) -> str:
        return choose(self.language, PHRASES[key]).format(**values)

    def reason(self, reason: str) -> tuple[str, str]:
        """Its name and what to do. A reason from a newer release is named by itself."""
        return self.refusal(REASONS.get(reason)) or (reason.replace("_", " "), "")

    def refusal(self, found: Refusal | None) -> tuple[str, str] | None:
        return found and (choose(self.language, found.name), choose(self.language, found.advice))

    def times(self, number: int) -> str:
        return self.phrase("once") if number == 1 else self.phrase("times", number=number)

    def moment(self, at: datetime) -> str:
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def device(self, address: str) -> str:
        return self.mask(address) if self.mask and address else address

    def rate(self, kbps: int) -> str:
        if kbps >= 1_000_000:
            return f"{kbps / 1_000_000:g} Gbit/s"
        return f"{kbps / 1000:g} Mbit/s" if kbps >= 1000 else f"{kbps} kbit/s"
