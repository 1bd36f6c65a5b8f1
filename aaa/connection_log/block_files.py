"""Port blocks in a CSV file: what another system or a NAT's archive knows. Pure; a wrong row is named by its line.

Columns: address, port_first, port_last, started_at, and where known ended_at, inside_address, login (one of the last
two). Times as RFC 3339 with an offset, or local ones with the zone given for the whole file. A column of destinations
is refused: it must not be in our hands.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address
from typing import Final, NamedTuple

from aaa.connection_log.blocks import read_range
from aaa.connection_log.moments import read_moment
from core.errors import InvalidInput

_NEEDED: Final = frozenset({"address", "port_first", "port_last", "started_at"})
_KNOWN: Final = _NEEDED | {"ended_at", "inside_address", "login"}


class ImportedBlock(NamedTuple):
    outside: str
    port_first: int
    port_last: int
    started_at: datetime
    ended_at: datetime | None
    inside: str | None
    login: str | None


def read_blocks(lines: Iterable[str], zone: str | None) -> Iterator[ImportedBlock]:
    """Raises InvalidInput, whose field is the line and column."""
    reader = csv.DictReader(lines)
    columns = set(reader.fieldnames or ())
    if not columns >= _NEEDED:
        raise InvalidInput(f"has no column {', '.join(sorted(_NEEDED - columns))}", field="line 1")
    if columns - _KNOWN:
        raise InvalidInput(f"takes no column {', '.join(sorted(columns - _KNOWN))}", field="line 1")
    for row in reader:
        plain = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
        try:
            yield _block(plain, zone)
        except InvalidInput as error:
            raise InvalidInput(error.detail, field=f"line {reader.line_num}, {error.field}") from None


def _block(row: dict[str, str], zone: str | None) -> ImportedBlock:
    ports = read_range(row["address"], row["port_first"], row["port_last"])
    if ports is None:
        raise InvalidInput("is no IPv4 address with ports from 1 to 65535", field="address")
    started_at = read_moment(row["started_at"], zone, "started_at")
    ended_at = read_moment(row["ended_at"], zone, "ended_at") if row.get("ended_at") else None
    if ended_at is not None and ended_at < started_at:
        raise InvalidInput("is before started_at", field="ended_at")
    inside, login = row.get("inside_address") or None, row.get("login") or None
    if (inside is None) == (login is None):
        raise InvalidInput("give an inside address or a login", field="inside_address")
    try:
        host = None if inside is None else str(IPv4Address(inside))
    except AddressValueError:
        raise InvalidInput("is no IPv4 address", field="inside_address") from None
    return ImportedBlock(*ports, started_at, ended_at, host, login)
