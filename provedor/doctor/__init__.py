"""What `provedor doctor` looks at, and what it says to do.

Every check is made, also after one that failed; each says what is wrong and the fix, or perhaps a note where nothing
is. `installation`, `radius`, `routers`, `boxes`, `managed` and `snmp` hold the checks, `check` what one is.
"""

from __future__ import annotations

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

__all__ = ["Check", "examine"]

_FIRST: list[tuple[str, Look]] = [
    ("settings", check_settings),
    ("data directory", check_data),
    ("key file", check_key_file),
]
#: (name, check, whether it asks the database)
_OTHERS: list[tuple[str, Look, bool]] = [
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
]


def examine(settings: Settings) -> list[Check]:
    """A database that does not answer is asked once."""
    first = [check(name, look, settings) for name, look in _FIRST]
    database = check("database", check_database, settings)
    away = database.ok is False
    others = [
        check(name, not_asked if away and asks_database else look, settings) for name, look, asks_database in _OTHERS
    ]
    return [*first, database, *others]
