"""Why can this subscriber connect, or not? Findings in words, from what is known, with what to do next.

    lookup (database) -> facts -> service, attempts, nas (pure) -> findings -> verdict: the answer

Words stand in `words`, `names` and `causes`, apart from what decides which of them are said. What rooms above keep
(attempts, findings about a NAS, enforcement steps) is handed in as `Sources`, so that this stays below.
"""

from __future__ import annotations

from core.explain.facts import Attempt, Explanation, Finding, NasFinding, Sources, Step, Verdict
from core.explain.lookup import (
    as_json,
    explain_address,
    explain_anything,
    explain_device,
    explain_login,
    explain_nas,
    explain_service,
)
from core.explain.nas import trouble_finding
from core.explain.voice import Voice

__all__ = [
    "Attempt",
    "Explanation",
    "Finding",
    "NasFinding",
    "Sources",
    "Step",
    "Verdict",
    "Voice",
    "as_json",
    "explain_address",
    "explain_anything",
    "explain_device",
    "explain_login",
    "explain_nas",
    "explain_service",
    "trouble_finding",
]
