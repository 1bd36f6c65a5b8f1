"""What every process of this node, and every command beside it, is made of. What workers do besides is `work`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.clock import Clock, utc_now
from core.database import Database, libpq_url, psycopg_url
from core.keyring import Keyring, load_keyring
from provedor.settings import Settings

if TYPE_CHECKING:
    from aaa.connection_log.signing import SigningKey


@dataclass(frozen=True)
class Runtime:
    """Made in each process after the fork; `database_url` and `broker_url` are resolved (embedded or given)."""

    settings: Settings
    database_url: str
    broker_url: str
    clock: Clock = utc_now

    @cached_property
    def database(self) -> Database:
        return Database(psycopg_url(self.database_url), pool_size=8)

    @property
    def libpq_url(self) -> str:
        return libpq_url(self.database_url)

    @cached_property
    def keyring(self) -> Keyring:
        return load_keyring(self.settings.key_file)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Of the provider's calendar."""
        return ZoneInfo(self.settings.timezone)

    def window_open(self, now: datetime) -> bool:
        hour = now.astimezone(self.zone).hour
        return self.settings.window_first_hour <= hour < self.settings.window_last_hour

    @cached_property
    def signing_key(self) -> SigningKey:
        from aaa.connection_log.signing import load_own, load_pkcs12  # noqa: PLC0415  (half a second, for few)

        settings = self.settings
        if settings.signature_file is not None:
            return load_pkcs12(settings.signature_file, settings.signature_password)
        return load_own(settings.own_signature_file, name=settings.provider_name, now=self.clock())
