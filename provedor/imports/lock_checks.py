"""Checks of a FreeRADIUS database that lock a login to a device or a line. Pure."""

from __future__ import annotations

from typing import Final

from core.locks import canonical_circuit, canonical_mac
from provedor.imports.reply_terms import AttributeRow

_MAC: Final = "calling-station-id"
_CIRCUITS: Final = frozenset({"nas-port-id", "adsl-agent-circuit-id", "agent-circuit-id"})


def locked_mac(row: AttributeRow) -> str | None:
    """The device that alone is let in, as core.locks writes it; None where the row is no such check.

    `==` alone compares with one value; `:=` does not compare at all.
    """
    return canonical_mac(row.value) if _compares(row) and row.attribute.strip().lower() == _MAC else None


def locked_circuit(row: AttributeRow) -> str | None:
    """The line that alone is let in."""
    is_circuit = _compares(row) and row.attribute.strip().lower() in _CIRCUITS
    return canonical_circuit(row.value) or None if is_circuit else None


def _compares(row: AttributeRow) -> bool:
    return row.op == "=="
