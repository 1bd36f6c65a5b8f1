"""One module a system, each behind `base.SourceAdapter`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from billing_hooks.follow.base import SourceAdapter
from billing_hooks.follow.csv_file import CsvFile
from billing_hooks.follow.ixc import Ixc
from billing_hooks.follow.sgp import Sgp
from billing_hooks.follow.sql import Sql

ADAPTERS: Final[Mapping[str, SourceAdapter]] = {"ixc": Ixc(), "sgp": Sgp(), "sql": Sql(), "csv": CsvFile()}
#: Of a system that tells us over REST: nothing is read.
PUSH: Final = "push"
