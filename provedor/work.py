"""What workers do: every room's handlers and periodic jobs, put together."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy.orm import Session

from aaa.attempts import forget_attempts, forget_findings
from aaa.coa import CoaClient
from aaa.connection_log import store as connection_log
from aaa.connection_log.cases import expire_preservations
from aaa.liveness import Verifier
from aaa.pools import adoption, leases
from aaa.staleness import close_stale
from aaa.takeover.sink import forget_comparisons
from billing_hooks import tasks as billing_tasks
from billing_hooks.errands import Connections, Errands, make_client
from billing_hooks.follow import tasks as follow_tasks
from billing_hooks.follow.reader import Reader
from billing_hooks.runs import Billing
from core import changes, incidents, plans, policies, prepaid, quota, replies, topics, usage
from core.work import Handler, Periodic
from provedor.imports.adopting import Adopter
from provedor.probes import liveness_probe
from provedor.runtime import Runtime
from provisioning import tasks as provisioning_tasks
from provisioning.enforce import Enforcer
from provisioning.jobs.runner import Provisioner
from provisioning.live_rows import Cleaner
from provisioning.local.keeper import Keeper
from provisioning.napalm.engine import NapalmEngine
from provisioning.routeros.client import RouterOs, patient_client
from provisioning.routeros.lines import RouterLines
from provisioning.routers import Routers

#: What NASes answered is written by so many at a time; with the `enforce` threads they share one database pool.
CONCLUSION_THREADS = 4
#: Gateways are asked by so many at a time.
GATEWAY_THREADS = 8
#: Boxes are planned for and changed so many at a time; each holds a connection to the database for its lock.
PROVISIONING_THREADS = 4
ADOPTION_THREADS = 2
#: Boxes that keep subscribers by themselves are brought in step so many at a time; each holds such a connection, too.
KEEPER_THREADS = 4
#: Other billing systems are read by so many at a time; a provider has one or two.
FOLLOW_THREADS = 2


class Work(Runtime):
    """A process that works, or a command that does a worker's work itself."""

    @cached_property
    def billing(self) -> Billing:
        return Billing(self.zone, self.clock, self.settings.country)

    @cached_property
    def errands(self) -> Errands:
        threads = ThreadPoolExecutor(GATEWAY_THREADS, "gateways")
        return Errands(self.database, Connections(self.keyring, make_client), threads, self.clock)

    @cached_property
    def reader(self) -> Reader:
        threads = ThreadPoolExecutor(FOLLOW_THREADS, "follow")
        return Reader(self.database, self.keyring, self.billing, make_client, threads, self.clock)

    @cached_property
    def enforcer(self) -> Enforcer:
        client = CoaClient(source=self.settings.coa_source or None)
        conclusions = ThreadPoolExecutor(CONCLUSION_THREADS, "conclusions")
        return Enforcer(
            self.database,
            client,
            Routers(self.lines, self.clock),
            conclusions,
            self.keyring,
            self.clock,
            self.window_open,
        )

    @cached_property
    def lines(self) -> RouterLines:
        return RouterLines()

    @cached_property
    def cleaner(self) -> Cleaner:
        enforcer = self.enforcer
        return Cleaner(self.database, self.keyring, enforcer.routers, enforcer.conclusions)

    @cached_property
    def provisioner(self) -> Provisioner:
        threads = ThreadPoolExecutor(PROVISIONING_THREADS, "provisioning")
        napalm = NapalmEngine(self.database, self.keyring, self.clock, time.sleep, self.settings.templates)
        return Provisioner(self.database, self.keyring, RouterOs, threads, self.clock, time.sleep, self.zone, napalm)

    @cached_property
    def adopter(self) -> Adopter:
        threads = ThreadPoolExecutor(ADOPTION_THREADS, "adoption")
        return Adopter(self.database, self.keyring, patient_client, threads, self.clock, self.provisioner.backups)

    @cached_property
    def keeper(self) -> Keeper:
        threads = ThreadPoolExecutor(KEEPER_THREADS, "keeper")
        return Keeper(self.database, self.keyring, RouterOs, threads, self.clock, self.window_open)

    @cached_property
    def verifier(self) -> Verifier:
        enforcer = self.enforcer
        probe = liveness_probe(enforcer.client, self.lines)
        return Verifier(self.database, probe, enforcer.conclusions, self.keyring, self.clock)

    def _local_now(self) -> datetime:
        return self.clock().astimezone(self.zone)

    def keep_connection_log(self, session: Session) -> list[str]:
        return connection_log.keep_partitions(session, now=self.clock(), months=self.settings.connection_log_months)

    def keep_leases(self, session: Session) -> None:
        leases.keep(session, self.clock(), grace=timedelta(seconds=self.settings.lease_grace_s))

    def handlers(self) -> dict[str, Handler]:
        return {
            topics.PLAN_CHANGED.name: lambda session, payload: policies.refresh_plan_chunk(
                session, payload["plan_id"], payload["after_service_id"]
            ),
            topics.PREPAID_DUE.name: lambda session, payload: prepaid.count(
                session, payload["service_id"], self.clock(), self.zone
            ),
            **billing_tasks.handlers(self.billing, self.errands, self.clock, self.settings.public_url),
            **follow_tasks.handlers(self.reader),
            **provisioning_tasks.handlers(self.enforcer, self.provisioner, self.keeper, self.cleaner),
            topics.ADOPTION_DUE.name: self.adopter.handle_due,
            topics.SESSION_VERIFY.name: self.verifier.session_verify,
        }

    def periodic(self) -> list[Periodic]:
        return [
            Periodic("aaa.close_stale", 60.0, lambda session: close_stale(session, now=self.clock())),
            Periodic("core.forget_changes", 3600.0, changes.forget_before),
            Periodic("core.check_quotas", 60.0, lambda session: quota.check(session, self.clock(), self.zone)),
            Periodic(
                "core.check_prepaid",
                30.0,
                lambda session: prepaid.check(session, self.clock(), self.zone),
            ),
            Periodic("core.follow_windows", 15.0, lambda session: plans.follow_windows(session, self._local_now())),
            Periodic("core.remind_incidents", 60.0, lambda session: incidents.remind(session, self.clock())),
            Periodic("core.forget_usage", 86400.0, usage.forget_usage),
            Periodic("aaa.keep_leases", 5.0, self.keep_leases),
            Periodic("aaa.adopt_leases", 60.0, adoption.adopt),
            Periodic("aaa.note_lease_use", 60.0, lambda session: leases.note_use(session, self.clock())),
            Periodic("aaa.forget_attempts", 600.0, forget_attempts),
            Periodic("aaa.forget_findings", 600.0, forget_findings),
            Periodic("aaa.forget_comparisons", 3600.0, forget_comparisons),
            Periodic("aaa.keep_connection_log", 3600.0, self.keep_connection_log),
            Periodic(
                "aaa.expire_preservations",
                3600.0,
                lambda session: expire_preservations(session, now=self.clock()),
            ),
            Periodic("core.forget_replies", 3600.0, replies.forget_replies),
            *billing_tasks.periodic(self.billing, self.keyring, self.clock),
            *follow_tasks.periodic(self.clock, self.zone),
            *provisioning_tasks.periodic(self.clock, self.zone, backup_days=self.settings.backup_days),
        ]


def work_of(runtime: Runtime) -> Work:
    return Work(runtime.settings, runtime.database_url, runtime.broker_url, runtime.clock)
