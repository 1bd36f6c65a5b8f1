"""Settings: `PROVEDOR_*` in the environment, or `provedor.toml`; the environment wins. A bad value stops the start."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from core.errors import ConfigurationError

SECRETS = frozenset({"database_url", "broker_url"})


class Settings(BaseSettings):
    """Every setting with its default and what it is for."""

    model_config = SettingsConfigDict(env_prefix="PROVEDOR_", toml_file="provedor.toml", extra="forbid")

    data: Path = Field(
        default=Path("/var/lib/provedor") if os.geteuid() == 0 else Path("data"), description="directory of this node"
    )
    database_url: str = Field(default="", description="PostgreSQL URL; empty: an embedded one below DATA")
    broker_url: str = Field(default="", description="Redis, Valkey or RabbitMQ URL; empty: an embedded Valkey")
    secret_key_file: Path | None = Field(default=None, description="keys of secrets at rest; default DATA/secret.key")
    http_host: str = Field(default="127.0.0.1", description="address of the API and pages")
    http_port: int = Field(default=8000, ge=1, le=65535)
    radius_host: str = Field(default="0.0.0.0,::", description="addresses RADIUS listens on, comma separated")
    radius_auth_port: int = Field(default=1812, ge=1, le=65535)
    radius_acct_port: int = Field(default=1813, ge=1, le=65535)
    radius_workers: int = Field(default=os.cpu_count() or 1, ge=1, le=64, description="processes per RADIUS port")
    coa_source: str = Field(default="", description="address that CoA leaves from; empty: routing decides")
    metrics_port: int = Field(default=9180, ge=1, le=65000, description="first of the /metrics ports on loopback")
    node: str = Field(default=socket.gethostname(), description="name of this node, fixed for its lifetime")
    timezone: str = Field(default="America/Sao_Paulo", description="zone of calendar rules")
    language: str = Field(default="pt_BR", pattern="^(pt_BR|en)$")
    public_url: str = Field(default="", description="URL under which people reach us")
    window_first_hour: int = Field(default=3, ge=0, le=23, description="maintenance window for redials: first hour")
    window_last_hour: int = Field(default=5, ge=0, le=24, description="maintenance window for redials: end")

    @field_validator("radius_host")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for part in value.split(","):
            ip_address(part.strip())
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no time zone such as America/Sao_Paulo") from None
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def radius_addresses(self) -> list[str]:
        return [part.strip() for part in self.radius_host.split(",")]

    @property
    def key_file(self) -> Path:
        return self.secret_key_file or self.data / "secret.key"

    @property
    def run_directory(self) -> Path:
        return self.data / "run"

    @property
    def spool_directory(self) -> Path:
        return self.data / "spool"


def load_settings(**overrides: object) -> Settings:
    """Raises ConfigurationError with one sentence that names the first bad setting."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "PROVEDOR_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"{name}: {first['msg']} (it is {first.get('input')!r})") from None
