"""Every room's tables in one place, for migrations and for the test that holds the two against each other."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from core.models import Base

_ROOMS = (
    "aaa", "aaa.pools", "provisioning", "provisioning.jobs", "provisioning.local", "provisioning.backups",
    "provisioning.credentials", "provisioning.napalm", "provisioning.adopt", "billing_hooks", "billing_hooks.follow",
)  # fmt: skip
for _room in _ROOMS:
    if find_spec(f"{_room}.models"):
        importlib.import_module(f"{_room}.models")
importlib.import_module("aaa.connection_log.models")

metadata = Base.metadata
