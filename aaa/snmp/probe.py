"""The probe: asks agents in a thread of its own, few at a time, and each no more than it can bear.

A column is read once for all who ask within FRESH_S. What it cost the agent, it is left in peace for PEACE times as
long; who asks meanwhile hears UNKNOWN. So does who asks an agent that failed within SILENT_S.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import structlog

from aaa.liveness import Addressee, Liveness, Told
from aaa.snmp import agent, tables
from aaa.snmp.access import SnmpAccess
from aaa.snmp.tables import SYS_UP_TIME, TABLES, Column, Reading, Row, Table
from core.clock import Clock, utc_now

#: How long a reading is believed.
FRESH_S: Final = 5.0
PEACE: Final = 5.0
#: An agent that failed is not asked again in this time.
SILENT_S: Final = 10.0
#: How long it is believed that an agent's table has our sessions, once it had one.
VOUCHED_S: Final = 86_400.0
#: Agents asked at a time; the next ones wait.
AGENTS_MAX: Final = 16
#: Questions under way; more are UNKNOWN at once.
QUESTIONS_MAX: Final = 1000

log = structlog.get_logger()

_Place = tuple[str, int]


@dataclass(slots=True)
class _Kept:
    """A column of an agent, and who reads it just now."""

    reading: Reading | None = None
    stale_at: float = 0.0
    peace_until: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class SnmpProbe:
    """Asks by SNMP."""

    def __init__(self, clock: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = 0
        # What follows belongs to the loop's thread.
        self._agents = asyncio.Semaphore(AGENTS_MAX)
        self._columns: dict[tuple[_Place, str], _Kept] = {}
        self._vouched_until: dict[tuple[_Place, str], float] = {}
        self._silent_until: dict[_Place, float] = {}

    def ask(self, addressee: Addressee, told: Told) -> None:
        access = addressee.snmp
        if access is None or access.vendor not in TABLES or not self._begin():
            return told(Liveness.UNKNOWN)
        answer = asyncio.run_coroutine_threadsafe(self._answer(addressee, access), self._running_loop())
        answer.add_done_callback(lambda done: self._tell(done, told))
        return None

    def close(self) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _begin(self) -> bool:
        with self._lock:
            if self._under_way >= QUESTIONS_MAX:
                return False
            self._under_way += 1
            return True

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="snmp", daemon=True).start()
            return self._loop

    def _tell(self, done: Future[Liveness], told: Told) -> None:
        with self._lock:
            self._under_way -= 1
        told(Liveness.UNKNOWN if done.cancelled() or done.exception() else done.result())

    async def _answer(self, addressee: Addressee, access: SnmpAccess) -> Liveness:
        try:
            return await self._examine(addressee, access)
        except agent.AgentFailed as error:
            self._silent_until[access.place] = self._monotonic() + SILENT_S
            log.info("an SNMP agent did not answer", address=access.address, error=str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001  (whoever waits is told in any case)
            log.error("a question over SNMP failed", address=access.address, error=type(error).__name__)
        return Liveness.UNKNOWN

    async def _examine(self, addressee: Addressee, access: SnmpAccess) -> Liveness:
        for table in TABLES[access.vendor]:
            if self._silent(access):
                break
            liveness = await self._ask(table, addressee, access)
            if liveness is Liveness.ALIVE:
                self._vouched_until[access.place, table.oid] = self._monotonic() + VOUCHED_S
            if liveness is not Liveness.UNKNOWN:
                return liveness
        return Liveness.UNKNOWN

    async def _ask(self, table: Table, addressee: Addressee, access: SnmpAccess) -> Liveness:
        vouched = self._vouched_until.get((access.place, table.oid), 0.0) > self._monotonic()
        if isinstance(table, Row):
            return await self._ask_row(table, addressee, access, vouched=vouched)
        reading = None if table.key(addressee) is None else await self._read(table, access)
        if reading is None:
            return Liveness.UNKNOWN
        return reading.says(addressee, vouched=vouched, ppp_only=access.ppp_only)

    async def _ask_row(self, table: Row, addressee: Addressee, access: SnmpAccess, *, vouched: bool) -> Liveness:
        index = table.index(addressee)
        if index is None:
            return Liveness.UNKNOWN
        oid, asked_at = f"{table.oid}.{index}", self._clock()
        async with self._agents:
            answer = await agent.get(access, [SYS_UP_TIME, oid])
        return tables.row_says(table, addressee, answer, oid, asked_at, vouched=vouched)

    async def _read(self, table: Column, access: SnmpAccess) -> Reading | None:
        """None while the agent is left in peace."""
        kept = self._columns.setdefault((access.place, table.oid), _Kept())
        async with kept.turn:
            if kept.reading is not None and self._monotonic() < kept.stale_at:
                return kept.reading
            kept.reading = None
            if self._monotonic() < kept.peace_until or self._silent(access):
                return None
            began_at = self._clock()
            try:
                async with self._agents:
                    began = self._monotonic()
                    values, uptimes = await agent.get_column(access, table.oid, SYS_UP_TIME)
            finally:
                ended = self._monotonic()
                kept.peace_until = ended + PEACE * (ended - began)
            kept.reading, kept.stale_at = tables.read(table, began_at, values, uptimes), ended + FRESH_S
        self._forget_stale()
        return kept.reading

    def _silent(self, access: SnmpAccess) -> bool:
        return self._silent_until.get(access.place, 0.0) > self._monotonic()

    def _forget_stale(self) -> None:
        """The names of a large box are megabytes."""
        now = self._monotonic()
        for kept in self._columns.values():
            if kept.stale_at <= now:
                kept.reading = None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
