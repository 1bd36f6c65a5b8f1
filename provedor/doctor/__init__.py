"""What `provedor doctor` looks at, and what it says to do.

Every check that is asked for is made, also after one that failed; each says what is wrong and the fix, or perhaps a
note where nothing is. `installation`, `radius`, `routers`, `boxes`, `managed` and `snmp` hold the checks, `check` what
one is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from provedor.doctor.boxes import check_boxes
from provedor.doctor.check import Check, Look, check, check_key_file, not_asked
from provedor.doctor.installation import (
    check_api,
    check_broker,
    check_clock,
    check_data,
    check_database,
    check_keys_match,
    check_schema,
    check_settings,
    check_work,
)
from provedor.doctor.managed import check_managed
from provedor.doctor.radius import (
    check_accounting,
    check_authentication,
    check_enforcement,
    check_feed,
    check_nas_clocks,
    check_nas_findings,
    check_nodes,
    check_snapshot,
    check_spool,
)
from provedor.doctor.routers import check_routers
from provedor.doctor.snmp import check_snmp
from provedor.settings import Settings

__all__ = ["NAMES", "Check", "examine"]

_DATABASE: Final = "database"
#: (name, check, whether it asks the database)
_CHECKS: Final[tuple[tuple[str, Look, bool], ...]] = (
    ("settings", check_settings, False),
    ("data directory", check_data, False),
    ("key file", check_key_file, False),
    (_DATABASE, check_database, True),
    ("schema", check_schema, True),
    ("keys and database", check_keys_match, True),
    ("clock", check_clock, True),
    ("broker", check_broker, False),
    ("work", check_work, True),
    ("API", check_api, False),
    ("RADIUS feed", check_feed, False),
    ("RADIUS authentication", check_authentication, True),
    ("RADIUS accounting", check_accounting, True),
    ("accounting spool", check_spool, False),
    ("copy of the snapshot", check_snapshot, True),
    ("RADIUS nodes", check_nodes, True),
    ("enforcement", check_enforcement, True),
    ("NAS clocks", check_nas_clocks, True),
    ("NAS findings", check_nas_findings, True),
    ("SNMP", check_snmp, True),
    ("router APIs", check_routers, True),
    ("boxes", check_boxes, True),
    ("managed boxes", check_managed, True),
)
NAMES: Final = tuple(name for name, _, _ in _CHECKS)


def examine(settings: Settings, names: Collection[str] = NAMES) -> list[Check]:
    """The checks of these names. A database that does not answer is asked once."""
    chosen = [one for one in _CHECKS if one[0] in names]
    asks = any(asks_database for _, _, asks_database in chosen)
    database = check(_DATABASE, check_database, settings) if asks else None
    away = database is not None and database.ok is False
    return [
        database if database is not None and name == _DATABASE
        else check(name, not_asked if away and asks_database else look, settings)
        for name, look, asks_database in chosen
    ]  # fmt: skip
