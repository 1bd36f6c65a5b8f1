"""The accounting worker: an Accounting-Request is acknowledged when its record is on disk, and not before.

A batch of datagrams costs one write and one fdatasync (RFC 2866 4.1: the answer says that it was recorded). While
the disk is full or failing, nothing is acknowledged and the NAS keeps asking. An own process, so that a slow disk
never delays authentication.
"""

from __future__ import annotations

import time

from aaa.authenticator import (
    message_authenticator_valid,
    request_authenticator_valid,
    sign_accounting_response,
)
from aaa.duplicates import PENDING, Duplicates
from aaa.oddities import clock_skew
from aaa.packet import PACKET_OCTETS_MAX, Code, Kind, MalformedPacket, Packet, parse, proxy_states
from aaa.reasons import Reason
from aaa.reports import FindingKind
from aaa.snapshot import Client
from aaa.spool import SpoolError, SpoolWriter
from aaa.takeover.outbound import Outbound
from aaa.worker import Arrival, Worker, WorkerOptions, log

_ON_OFF = frozenset({b"\0\0\0\x07", b"\0\0\0\x08"})


class AccountingWorker(Worker):
    role = "acct"

    def __init__(self, options: WorkerOptions, spool: SpoolWriter, reports_path: str, outbound: Outbound) -> None:
        super().__init__(options, with_services=False, reports_path=reports_path)
        self._spool = spool
        self._outbound = outbound
        self._duplicates = Duplicates(self.now)
        #: Appended and not yet on disk, with the answers that wait for it.
        self._waiting: list[tuple[Packet, Client, Arrival]] = []

    def handle(self, arrival: Arrival) -> None:
        client = arrival.peer.client
        if client is None:
            return self.count(Reason.UNKNOWN_CLIENT, arrival.peer)
        try:
            packet = parse(arrival.octets)
        except MalformedPacket as error:
            return self.count(Reason.MALFORMED, arrival.peer, detail=error.detail)
        if packet.code != Code.ACCOUNTING_REQUEST:
            return self._handle_other(packet, client, arrival)
        if not request_authenticator_valid(packet, client.secret):
            return self.count(Reason.BAD_AUTHENTICATOR, arrival.peer)
        cached = self._duplicates.find(arrival.name, packet.identifier, packet.authenticator)
        if cached is not None:
            return self._answer_duplicate(cached, arrival)
        if not _complete(packet):
            return self.count(Reason.INCOMPLETE, arrival.peer)
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, PENDING)
        now_ns = time.time_ns()
        skew_s = clock_skew(packet, now_ns / 1e9)
        if skew_s is not None:
            self.find(FindingKind.CLOCK_SKEW, arrival.peer, {"skew_s": skew_s})
        self._spool.append(now_ns, client.nas_id, arrival.peer.address, packet.octets)
        self._waiting.append((packet, client, arrival))
        return None

    def end_batch(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        try:
            self._spool.flush()
        except SpoolError as error:
            for packet, _, arrival in waiting:
                self._duplicates.forget(arrival.name, packet.identifier)
                self.count(Reason.SPOOL_FULL, arrival.peer, detail=str(error))
                if self.trace is not None:
                    self.trace_exchange(arrival, b"", Reason.SPOOL_FULL, str(error))
            return
        for packet, client, arrival in waiting:
            if client.forwards_to is not None:
                home_id = client.forwards_to.row.home_id
                self._outbound.append(home_id, time.time_ns(), client.nas_id, arrival.peer.address, packet.octets)
        self._outbound.flush(self._not_forwarded)
        for packet, client, arrival in waiting:
            self._acknowledge(packet, client, arrival)

    def _not_forwarded(self, count: int, why: str) -> None:
        """It is recorded here and acknowledged all the same."""
        reason = Reason.NOT_FORWARDED
        self.counts[reason] = self.counts.get(reason, 0) + count
        log.error("accounting cannot be kept for the home server", records=count, why=why)

    def tick(self) -> None:
        self._duplicates.expire(self.now)

    def _acknowledge(self, packet: Packet, client: Client, arrival: Arrival) -> None:
        reply = sign_accounting_response(packet, proxy_states(packet), client.secret)
        if len(reply) > PACKET_OCTETS_MAX:
            return self.count(Reason.MALFORMED, arrival.peer, detail="too much Proxy-State")
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, reply)
        arrival.reply(reply)
        client.counts[Reason.RECORDED] = client.counts.get(Reason.RECORDED, 0) + 1
        if self.trace is not None:
            self.trace_exchange(arrival, reply, Reason.RECORDED)
        return None

    def _answer_duplicate(self, cached: bytes, arrival: Arrival) -> None:
        if not cached:  # PENDING: came twice within one batch
            return self.count(Reason.DUPLICATE_PENDING, arrival.peer)
        arrival.reply(cached)
        return self.count(Reason.DUPLICATE_ANSWERED, arrival.peer)

    def _handle_other(self, packet: Packet, client: Client, arrival: Arrival) -> None:
        """Status-Server gets an Accounting-Response on this port (RFC 5997 section 3)."""
        if packet.code != Code.STATUS_SERVER:
            return self.count(Reason.UNEXPECTED_CODE, arrival.peer, code=packet.code)
        if not message_authenticator_valid(packet, client.secret):
            return self.count(Reason.BAD_AUTHENTICATOR, arrival.peer)
        arrival.reply(sign_accounting_response(packet, proxy_states(packet), client.secret))
        return self.count(Reason.STATUS_SERVER, arrival.peer)


def _complete(packet: Packet) -> bool:
    """RFC 2866 5.1 and 5.5: a status, and a session id unless the box itself starts or stops."""
    status = packet.first(Kind.ACCT_STATUS_TYPE)
    if status is None or len(status) != 4:
        return False
    return status in _ON_OFF or bool(packet.first(Kind.ACCT_SESSION_ID))
