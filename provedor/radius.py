"""The RADIUS processes of a node: workers on inherited sockets, the feeder and the shipper."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from prometheus_client import start_http_server
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric

from aaa.acct_worker import AccountingWorker
from aaa.auth_worker import AuthenticationWorker
from aaa.coa import CoaClient
from aaa.feeder import Feeder
from aaa.live_sessions import LiveSessions
from aaa.liveness import close_gone
from aaa.pools import nodes
from aaa.pools.taking import take
from aaa.registrar import Registrar
from aaa.shipper import Share, Shipper
from aaa.sockets import bind_group
from aaa.spool import SpoolWriter
from aaa.takeover.forwarder import Forwarder
from aaa.takeover.outbound import Outbound
from aaa.worker import WorkerOptions
from core import network, services
from core.locks import LearnedLocks
from provedor.probes import liveness_probe
from provedor.processes import run_until_term
from provedor.runtime import Runtime
from provedor.settings import Settings
from provedor.supervisor import Child
from provisioning.routeros.lines import RouterLines

REGISTRAR_SOCKET = "registrar.sock"
FEEDER_METRICS = 1
#: Two processes decode while PostgreSQL, which sets the pace, has something to do all the time.
SHIPPERS_MAX = 2
SHIPPER_METRICS = (2, 6)
FORWARDER_METRICS = 7
REGISTRAR_METRICS = 8


def radius_children(runtime: Runtime) -> list[Child]:
    """Binds the ports now, in the supervisor, so that a worker that is killed loses no datagram."""
    settings = runtime.settings
    workers = settings.radius_workers
    shippers = min(workers, SHIPPERS_MAX)
    auth = _bind(settings, settings.radius_auth_port)
    acct = _bind(settings, settings.radius_acct_port)
    return [
        Child("feeder", lambda ready: run_feeder(runtime, ready)),
        Child("registrar", lambda ready: run_registrar(runtime, ready)),
        *(Child(f"shipper-{n}", _shipper_main(runtime, Share(n, shippers))) for n in range(shippers)),
        Child("forwarder", lambda ready: run_forwarder(settings, ready)),
        *(Child(f"auth-{n}", _auth_main(settings, f"auth-{n}", auth[n])) for n in range(workers)),
        *(Child(f"acct-{n}", _acct_main(settings, f"acct-{n}", acct[n])) for n in range(workers)),
    ]


def _bind(settings: Settings, port: int) -> list[list[socket.socket]]:
    """For each worker, its socket on each address."""
    groups = [bind_group(address, port, settings.radius_workers) for address in settings.radius_addresses]
    return [[group[worker] for group in groups] for worker in range(settings.radius_workers)]


def _auth_main(settings: Settings, name: str, sockets: list[socket.socket]) -> Callable[[Callable[[], None]], None]:
    def main(ready: Callable[[], None]) -> None:
        options = WorkerOptions(name, sockets, feed_path(settings), _settled(ready))
        registrar = str(settings.run_directory / REGISTRAR_SOCKET)
        AuthenticationWorker(options, reports_path(settings), registrar).run()

    return main


def _acct_main(settings: Settings, name: str, sockets: list[socket.socket]) -> Callable[[Callable[[], None]], None]:
    def main(ready: Callable[[], None]) -> None:
        options = WorkerOptions(name, sockets, feed_path(settings), _settled(ready))
        outbound = Outbound(settings.outbound_directory, name)
        spool = SpoolWriter(settings.spool_directory / name)
        AccountingWorker(options, spool, reports_path(settings), outbound).run()

    return main


def _shipper_main(runtime: Runtime, share: Share) -> Callable[[Callable[[], None]], None]:
    return lambda ready: run_shipper(runtime, share, ready)


def _settled(ready: Callable[[], None]) -> Callable[[], None]:
    """The snapshot is there: keep the collector from walking it again and again. The hot path makes no cycles."""

    def settle() -> None:
        gc.collect()
        gc.freeze()
        gc.disable()
        ready()

    return settle


def _unhurried(ready: Callable[[], None]) -> Callable[[], None]:
    """Batches of thousands of records come and go whole: a collector that looks every 700 objects finds nothing."""

    def settle() -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000)
        ready()

    return settle


def run_feeder(runtime: Runtime, ready: Callable[[], None]) -> None:
    settings = runtime.settings

    def learned(nas_id: int, mode: str) -> None:
        with runtime.database.transaction() as session:
            network.learn_message_authenticator(session, nas_id, mode)

    def wanted(leases_wanted: list[tuple[str, int]]) -> set[int]:
        refused: set[int] = set()
        with runtime.database.transaction() as session:
            for pool, asked in groupby(leases_wanted, key=itemgetter(0)):
                service_ids = [service_id for _, service_id in asked]
                refused.update(set(service_ids) - take(session, pool, service_ids, runtime.clock()).keys())
        return refused

    def position(revision: int) -> bool:
        with runtime.database.transaction() as session:
            return nodes.hear(session, settings.node, revision, runtime.clock())

    def join() -> None:
        with runtime.database.transaction() as session:
            nodes.join(session, settings.node, runtime.clock())

    def learned_locks(locks: list[LearnedLocks]) -> None:
        with runtime.database.transaction() as session:
            services.learn_locks(session, locks)

    feeder = Feeder(
        database_url=runtime.libpq_url,
        keyring=runtime.keyring,
        file=settings.snapshot_file,
        socket_path=settings.run_directory / "feed.sock",
        on_ready=ready,
        on_learned=learned,
        on_wanted=wanted,
        on_position=position,
        on_join=join,
        authenticators=[f"auth-{n}" for n in range(settings.radius_workers)],
        on_locks=learned_locks,
    )
    REGISTRY.register(WorkerMetrics(feeder))
    start_http_server(settings.metrics_port + FEEDER_METRICS, addr="127.0.0.1")
    run_until_term(feeder.run, feeder.stop)


def run_registrar(runtime: Runtime, ready: Callable[[], None]) -> None:
    settings = runtime.settings
    client = CoaClient(source=settings.coa_source or None)
    registrar = Registrar(
        LiveSessions(runtime.database), liveness_probe(client, RouterLines()), runtime.keyring,
        settings.run_directory / REGISTRAR_SOCKET,
        on_gone=lambda session_id: close_gone(runtime.database, session_id, runtime.clock()),
    )  # fmt: skip
    start_http_server(settings.metrics_port + REGISTRAR_METRICS, addr="127.0.0.1")
    ready()
    run_until_term(registrar.run, registrar.stop)


def run_shipper(runtime: Runtime, share: Share, ready: Callable[[], None]) -> None:
    settings = runtime.settings
    settings.spool_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    shipper = Shipper(
        node=settings.node,
        directory=settings.spool_directory,
        share=share,
        reports_socket=Path(reports_path(settings)),
        database_url=runtime.libpq_url,
        on_ready=_unhurried(ready),
        zone=runtime.zone,
    )
    start_http_server(settings.metrics_port + SHIPPER_METRICS[share.ordinal], addr="127.0.0.1")
    run_until_term(shipper.run, shipper.stop)


def run_forwarder(settings: Settings, ready: Callable[[], None]) -> None:
    forwarder = Forwarder(directory=settings.outbound_directory, feed_path=feed_path(settings), on_ready=ready)
    start_http_server(settings.metrics_port + FORWARDER_METRICS, addr="127.0.0.1")
    run_until_term(forwarder.run, forwarder.stop)


class WorkerMetrics:
    """The workers' counters, which the feeder hears every second, as Prometheus metrics."""

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder

    def collect(self) -> Iterator[Metric]:
        packets = CounterMetricFamily("provedor_radius_packets", "Packets", labels=["worker", "nas", "reason"])
        busy = CounterMetricFamily("provedor_radius_busy_seconds", "Time spent working", labels=["worker"])
        revision = GaugeMetricFamily("provedor_radius_revision", "Revision a worker stands at", labels=["worker"])
        subscribers = GaugeMetricFamily("provedor_radius_subscribers", "Logins a worker knows", labels=["worker"])
        for worker, counters in list(self._feeder.counters.items()):
            _add_packets(packets, worker, counters)
            busy.add_metric([worker], counters["busy_s"])
            revision.add_metric([worker], counters["revision"])
            subscribers.add_metric([worker], counters["subscribers"])
        return iter([packets, busy, revision, subscribers])


def _add_packets(family: CounterMetricFamily, worker: str, counters: dict[str, Any]) -> None:
    for nas, counts in [*counters["nas"].items(), ("", counters["unknown"])]:
        for reason, count in counts.items():
            family.add_metric([worker, nas, str(reason)], count)


def feed_path(settings: Settings) -> str:
    return str(settings.run_directory / "feed.sock")


def reports_path(settings: Settings) -> str:
    return str(settings.run_directory / "attempts.sock")
