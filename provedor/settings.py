"""Settings: `PROVEDOR_*` in the environment, or `provedor.toml`; the environment wins. A bad value stops the start."""

from __future__ import annotations

import os
import socket
import tomllib
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from core.errors import ConfigurationError
from core.language import Language

PREFIX = "PROVEDOR_"
#: Read by the embedded PostgreSQL itself, before there are settings to speak of.
OTHER_VARIABLES = frozenset({"PROVEDOR_POSTGRES_ACCOUNT"})
SECRETS = frozenset({"database_url", "broker_url", "signature_password"})
_DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "amqp", "amqps")


class Settings(BaseSettings):
    """Every setting with its default and what it is for."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, toml_file="provedor.toml", extra="forbid")

    data: Path = Field(
        default=Path("/var/lib/provedor") if os.geteuid() == 0 else Path("data"), description="directory of this node"
    )
    database_url: str = Field(default="", repr=False, description="PostgreSQL URL; empty: an embedded one below DATA")
    broker_url: str = Field(
        default="", repr=False, description="Redis, Valkey or RabbitMQ URL; empty: an embedded Valkey"
    )
    secret_key_file: Path | None = Field(default=None, description="keys of secrets at rest; default DATA/secret.key")
    http_host: str = Field(default="127.0.0.1", description="address of the API and pages")
    http_port: int = Field(default=8000, ge=1, le=65535, description="port of the API and pages")
    bank_host: str = Field(default="0.0.0.0", description="address banks send Pix webhooks to")  # noqa: S104
    bank_port: int = Field(
        default=0, ge=0, le=65535, description="its TLS port, where banks show a certificate; 0: none"
    )
    bank_certificate: Path | None = Field(default=None, description="our certificate there, with its chain (PEM)")
    bank_key: Path | None = Field(default=None, description="its private key (PEM)")
    radius_host: str = Field(default="0.0.0.0,::", description="addresses RADIUS listens on, comma separated")
    radius_auth_port: int = Field(default=1812, ge=1, le=65535, description="UDP port of authentication")
    radius_acct_port: int = Field(default=1813, ge=1, le=65535, description="UDP port of accounting")
    radius_workers: int = Field(default=os.cpu_count() or 1, ge=1, le=64, description="processes per RADIUS port")
    coa_port: int = Field(default=3799, ge=1, le=65535, description="CoA port of a new NAS that names none")
    coa_source: str = Field(default="", description="address that CoA leaves from; empty: routing decides")
    metrics_port: int = Field(default=9180, ge=1, le=65000, description="first of the /metrics ports on loopback")
    node: str = Field(default=socket.gethostname(), description="name of this node, fixed for its lifetime")
    lease_grace_s: int = Field(
        default=120,
        ge=5,
        le=3600,
        description="seconds until an address that was taken back is another's; must exceed what a NAS takes from an "
        "accept to its acknowledged Start, retransmissions included, and the difference of the nodes' clocks",
    )
    timezone: str = Field(default="America/Sao_Paulo", description="zone of calendar rules")
    country: str = Field(default="BR", pattern="^[A-Z]{2}$", description="whose holidays are holidays (ISO 3166-1)")
    language: Language = Field(default="pt_BR", description="of what is written for people")
    public_url: str = Field(default="", description="URL under which the API is reached from outside")
    window_first_hour: int = Field(default=3, ge=0, le=23, description="maintenance window for redials: first hour")
    window_last_hour: int = Field(default=5, ge=0, le=24, description="maintenance window for redials: end")

    templates: Path | None = Field(
        default=None, description="directory of configuration templates of your own, which go before those that we ship"
    )
    signature_file: Path | None = Field(
        default=None, description="PKCS#12 key that signs answers to authorities; default: one of our own, below DATA"
    )
    signature_password: str = Field(default="", repr=False, description="password of SIGNATURE_FILE")
    provider_name: str = Field(default="Provedor", description="who answers authorities: the company's legal name")
    nat_log_host: str = Field(default="0.0.0.0", description="address NATs' syslog is received on")  # noqa: S104
    nat_log_port: int = Field(default=0, ge=0, le=65535, description="its port, UDP and TCP; 0: not received")
    nat_log_senders: str = Field(
        default="", description="addresses and networks that are believed beside NAS entries, comma separated"
    )
    connection_log_months: int = Field(
        default=13, ge=12, le=240, description="months that the connection log is kept; the law wants a year at least"
    )
    backup_days: int = Field(
        default=365, ge=1, le=3650,
        description="days that an older version of a box's configuration is kept; the newest always is",
    )  # fmt: skip

    @field_validator("radius_host")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for part in value.split(","):
            _check_address(part.strip())
        return value

    @field_validator("nat_log_host", "bank_host")
    @classmethod
    def _one_address(cls, value: str) -> str:
        _check_address(value)
        return value

    @field_validator("nat_log_senders")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            try:
                ip_network(part.strip(), strict=False)
            except ValueError:
                raise ValueError(f"{part.strip()} is no address or network") from None
        return value

    @field_validator("coa_source")
    @classmethod
    def _address(cls, value: str) -> str:
        if value:
            _check_address(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        return _check_url(value, _DATABASE_SCHEMES)

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, value: str) -> str:
        return _check_url(value, _BROKER_SCHEMES)

    @field_validator("public_url")
    @classmethod
    def _public(cls, value: str) -> str:
        return _check_url(value, ("http", "https")).rstrip("/")

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no time zone such as America/Sao_Paulo") from None
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Values that are right one by one and wrong together; the message names the one to change."""
        if self.window_last_hour <= self.window_first_hour:
            raise ValueError(
                f"WINDOW_LAST_HOUR: must be later than PROVEDOR_WINDOW_FIRST_HOUR {self.window_first_hour}"
            )
        if self.bank_port and (self.bank_certificate is None or self.bank_key is None):
            raise ValueError("BANK_PORT: needs PROVEDOR_BANK_CERTIFICATE and PROVEDOR_BANK_KEY")
        if self.radius_acct_port == self.radius_auth_port:
            raise ValueError(f"RADIUS_ACCT_PORT: must differ from PROVEDOR_RADIUS_AUTH_PORT {self.radius_auth_port}")
        return self

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
    def nat_log_networks(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(part.strip(), strict=False) for part in self.nat_log_senders.split(",") if part.strip()]

    @property
    def key_file(self) -> Path:
        return self.secret_key_file or self.data / "secret.key"

    @property
    def own_signature_file(self) -> Path:
        return self.data / "signature.p12"

    @property
    def run_directory(self) -> Path:
        return self.data / "run"

    @property
    def snapshot_file(self) -> Path:
        return self.data / "snapshot" / "snapshot.bin"

    @property
    def spool_directory(self) -> Path:
        return self.data / "spool"

    @property
    def outbound_directory(self) -> Path:
        """Accounting that waits for the server which we take over from."""
        return self.data / "outbound"


def load_settings(**overrides: object) -> Settings:
    """Raises ConfigurationError with one sentence that names the first bad setting."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigurationError(_sentence(error.errors()[0])) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"provedor.toml is no TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"provedor.toml cannot be read: {error.strerror}") from None


def unknown_variables() -> list[str]:
    """Variables of the environment that look like settings and are none: most often a mistyped name."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def _sentence(first: ErrorDetails) -> str:
    """Without the value where that is a secret."""
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return PREFIX + message
    field = str(first["loc"][0])
    name = PREFIX + field.upper()
    if first["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; `provedor settings` lists them"
    shown = "" if field in SECRETS else f" (it is {first.get('input')!r})"
    return f"{name}: {message}{shown}"


def _check_address(value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError("takes IP addresses such as 192.0.2.1 or ::") from None


def _check_url(value: str, schemes: tuple[str, ...]) -> str:
    scheme, separator, rest = value.partition("://")
    if value and (scheme not in schemes or not separator or not rest):
        raise ValueError(f"takes a URL that begins with {' or '.join(f'{one}://' for one in schemes)}")
    return value
