"""`provedor up`: embedded services where no URL is set, migrations, then the node's processes under the supervisor."""

from __future__ import annotations

import fcntl
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, NamedTuple

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import start_http_server
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from aaa.connection_log.listener import SyslogListener
from api.app import create_app
from core.errors import ConfigurationError
from provedor import bank_port
from provedor.bank_port import BankPort, authorities_of_accounts
from provedor.celery_app import make_app, register
from provedor.embedded import EmbeddedPostgres, EmbeddedValkey
from provedor.migrate import head_revision, migrate
from provedor.processes import run_until_term, step_back
from provedor.radius import radius_children
from provedor.relay import Relay
from provedor.runtime import Runtime
from provedor.settings import Settings
from provedor.supervisor import Child, Service, Supervisor
from provisioning.napalm.plan_names import DevicePlanNames

log = structlog.get_logger()

ROLES = ("radius", "api", "worker", "beat", "natlog")
RELAY_METRICS = 3
ENFORCE_METRICS = 4
DEFAULT_METRICS = 5
NAT_LOG_METRICS = 9


class _Worker(NamedTuple):
    """`nice`: how far it steps back for HTTP and RADIUS, where somebody waits for each answer."""

    queues: str
    threads: int
    metrics: int
    nice: int


#: What a payment leads to. No thread waits for a NAS, so these only overlap what waits for PostgreSQL; more would fight
#: for the interpreter.
ENFORCING = _Worker("enforce", threads=8, metrics=ENFORCE_METRICS, nice=2)
#: The rest, and a run of ten thousand suspensions is among it.
REST = _Worker("default,paced,notify,provision", threads=3, metrics=DEFAULT_METRICS, nice=8)
#: After which the API's event loop gets the interpreter back from a thread that works for it. At Python's own 5 ms the
#: loop waits for as long as many a request takes, and with a flood of webhooks their senders do.
SWITCH_S = 0.0005


def run_node(settings: Settings, roles: list[str], extra: Callable[[Runtime], list[Child]] | None = None,
             prepare: Callable[[Runtime], None] | None = None) -> None:  # fmt: skip
    """Returns when told to stop. Raises ConfigurationError."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.run_directory.mkdir(exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        stack.enter_context(_only_one(settings))
        runtime, services = _start_services(settings, roles, stack)
        # Somebody else's database is not RADIUS's to migrate, nor to wait for.
        migrates = not settings.database_url or set(roles) != {"radius"}
        migrated = migrates and _migrate_if_there(runtime)
        _refuse_lost_key_file(runtime, schema_is_there=migrated)
        if prepare is not None:
            prepare(runtime)
        runtime.keyring  # noqa: B018  (makes the key file of a new installation before anybody needs it)
        children = _children(runtime, roles)
        if not children:
            raise ConfigurationError("PROVEDOR_NAT_LOG_PORT: is 0, so there is nothing to receive")
        if migrates and not migrated:
            children.append(Child("migrate", lambda ready: _run_migrations(runtime, ready)))
        children += extra(runtime) if extra else []
        runtime.database.dispose()
        Supervisor(children, lambda: _announce(settings, roles), services).run()


def resolve_runtime(settings: Settings) -> Runtime:
    """For commands beside a running node: the same URLs that it uses."""
    if not settings.database_url and not (settings.data / "postgres").exists():
        raise ConfigurationError(
            f"PROVEDOR_DATA {settings.data} is no data directory of a node: start `provedor up` first"
        )
    database_url = settings.database_url or EmbeddedPostgres(settings.data / "postgres").url
    broker_url = settings.broker_url or EmbeddedValkey(settings.data / "valkey").url
    return Runtime(settings, database_url, broker_url)


def _start_services(settings: Settings, roles: list[str], stack: ExitStack) -> tuple[Runtime, list[Service]]:
    """What has no URL is embedded, and stopped with the stack. Only who works off the outbox needs a broker."""
    database_url, broker_url = settings.database_url, settings.broker_url
    services: list[Service] = []
    if not database_url:
        postgres = EmbeddedPostgres(settings.data / "postgres")
        postgres.start()
        stack.callback(postgres.stop)
        services.append(postgres)
        database_url = postgres.url
    if not broker_url and {"worker", "beat"} & set(roles):
        valkey = EmbeddedValkey(settings.data / "valkey")
        valkey.start()
        stack.callback(valkey.stop)
        services.append(valkey)
        broker_url = valkey.url
    return Runtime(settings, database_url, broker_url), services


def _migrate_if_there(runtime: Runtime) -> bool:
    """Whether the database is there, and has the schema of this release now."""
    try:
        migrate(runtime.database_url)
    except OperationalError as error:
        log.warning("the database is away, its schema is looked at when it is back", error=type(error).__name__)
        return False
    return True


def _refuse_lost_key_file(runtime: Runtime, *, schema_is_there: bool) -> None:
    """A new key would open nothing of what is stored, and hide that the old one is missing."""
    settings = runtime.settings
    used = settings.snapshot_file.exists() or (schema_is_there and _holds_secrets(runtime))
    if used and not settings.key_file.exists():
        raise ConfigurationError(
            f"the key file {settings.key_file} is missing, and what is stored is sealed under it: "
            "bring it back from its copy (PROVEDOR_SECRET_KEY_FILE names it)"
        )


def _holds_secrets(runtime: Runtime) -> bool:
    query = "SELECT EXISTS (SELECT FROM nas) OR EXISTS (SELECT FROM service WHERE password_encrypted IS NOT NULL)"
    with runtime.database.transaction() as session:
        return bool(session.scalar(text(query)))


def _run_migrations(runtime: Runtime, ready: Callable[[], None]) -> None:
    """Raises while the database is away, and is started again with back-off."""
    migrate(runtime.database_url)
    ready()
    signal.pause()


def _children(runtime: Runtime, roles: list[str]) -> list[Child]:
    children: list[Child] = []
    if "radius" in roles:
        children += radius_children(runtime)
    if "api" in roles:
        children.append(Child("api", lambda ready: _run_api(runtime, ready)))
        if runtime.settings.bank_port:
            children.append(Child("banks", lambda ready: _run_bank_port(runtime, ready)))
    if "worker" in roles:
        children += [
            Child("relay", lambda ready: _run_relay(runtime, ready)),
            Child("enforce", lambda ready: _run_worker(runtime, ENFORCING, ready)),
            Child("worker", lambda ready: _run_worker(runtime, REST, ready)),
        ]
    if "beat" in roles:
        children.append(Child("beat", lambda ready: _run_beat(runtime, ready)))
    if "natlog" in roles and runtime.settings.nat_log_port:
        children.append(Child("natlog", lambda ready: _run_nat_log(runtime, ready)))
    return children


def _run_nat_log(runtime: Runtime, ready: Callable[[], None]) -> None:
    settings = runtime.settings
    listener = SyslogListener(
        host=settings.nat_log_host, port=settings.nat_log_port, senders=settings.nat_log_networks,
        database_url=runtime.libpq_url,
    )  # fmt: skip
    start_http_server(settings.metrics_port + NAT_LOG_METRICS, addr="127.0.0.1")
    ready()
    run_until_term(listener.run, listener.stop)


def _run_bank_port(runtime: Runtime, ready: Callable[[], None]) -> None:
    settings = runtime.settings
    assert settings.bank_certificate is not None  # noqa: S101  (the settings are checked together)
    assert settings.bank_key is not None  # noqa: S101
    port = BankPort(settings.bank_certificate, settings.bank_key, lambda: authorities_of_accounts(runtime.database))
    config = port.config(_make_api(runtime), settings.bank_host, settings.bank_port)
    bank_port.run(_Server(config, ready), port)


def _run_api(runtime: Runtime, ready: Callable[[], None]) -> None:
    sys.setswitchinterval(SWITCH_S)
    settings, app = runtime.settings, _make_api(runtime)
    config = uvicorn.Config(
        app, host=settings.http_host, port=settings.http_port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=3, server_header=False,
    )  # fmt: skip
    server = _Server(config, ready)
    server.run()


def _make_api(runtime: Runtime) -> FastAPI:
    settings = runtime.settings
    return create_app(
        runtime.database, runtime.keyring, clock=runtime.clock, zone=runtime.zone, country=settings.country,
        schema_head=head_revision(), coa_port=settings.coa_port, public_url=settings.public_url,
        signing_key=lambda: runtime.signing_key, provider=settings.provider_name, plan_names=DevicePlanNames(),
    )  # fmt: skip


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _run_relay(runtime: Runtime, ready: Callable[[], None]) -> None:
    relay = Relay(runtime, ready)
    start_http_server(runtime.settings.metrics_port + RELAY_METRICS, addr="127.0.0.1")
    run_until_term(relay.run, relay.stop)


def _run_worker(runtime: Runtime, worker: _Worker, ready: Callable[[], None]) -> None:
    step_back(worker.nice)
    app = make_app(runtime.broker_url)
    register(app, runtime)
    start_http_server(runtime.settings.metrics_port + worker.metrics, addr="127.0.0.1")
    ready()
    name = worker.queues.partition(",")[0]
    options = [
        "--pool=threads",
        f"--concurrency={worker.threads}",
        f"--queues={worker.queues}",
        f"--hostname={name}@%h",
    ]
    app.worker_main(
        [
            "--quiet",
            "worker",
            *options,
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=WARNING",
        ]
    )


def _run_beat(runtime: Runtime, ready: Callable[[], None]) -> None:
    app = make_app(runtime.broker_url)
    register(app, runtime)
    ready()
    app.Beat(loglevel="WARNING", schedule=str(runtime.settings.run_directory / "beat"), quiet=True).run()


@contextmanager
def _only_one(settings: Settings) -> Iterator[IO[str]]:
    """A second `up` on the same data directory is refused."""
    with (settings.data / "node.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"another `provedor up` runs on PROVEDOR_DATA {settings.data}") from None
        yield file


def _announce(settings: Settings, roles: list[str]) -> None:
    parts = ["provedor ready"]
    if "api" in roles:
        parts.append(f"http://{settings.http_host}:{settings.http_port}")
    if "radius" in roles:
        parts.append(f"auth {settings.radius_host} {settings.radius_auth_port}")
        parts.append(f"acct {settings.radius_host} {settings.radius_acct_port}")
    print("  ".join(parts), flush=True)  # noqa: T201  (the one line that scripts wait for)
