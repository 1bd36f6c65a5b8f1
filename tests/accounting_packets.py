"""Accounting records as a box sends them, and the database that they go into."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from aaa.accept_class import class_attribute
from aaa.accounting import AccountingRecord, Status, read_record
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Kind, integer_attribute, text_attribute
from aaa.session_store import ensure_partitions

BASE = 1_795_000_000
SECRET = SharedSecret(b"x")
NAS_ID = 1
Connection = psycopg.Connection[Any]


def heard(
    box: str, status: int, at: int, session: str = "", *, seconds: int = 0, octets: int = 0, gigawords: bool = True,
    packets: int = 0, service_id: int = 0, accept: bytes = bytes(8), more: bytes = b"", nas_id: int = NAS_ID,
    received_after: int = 1,
) -> AccountingRecord:  # fmt: skip
    """What a box says at this moment (seconds after BASE)."""
    body = (
        text_attribute(Kind.NAS_IDENTIFIER, box)
        + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
        + integer_attribute(Kind.EVENT_TIMESTAMP, BASE + at)
    )
    if session:
        body += text_attribute(Kind.ACCT_SESSION_ID, session) + text_attribute(Kind.USER_NAME, "ana")
    if status in {Status.INTERIM, Status.STOP}:
        body += integer_attribute(Kind.ACCT_SESSION_TIME, seconds)
        body += integer_attribute(Kind.ACCT_INPUT_OCTETS, octets & 0xFFFFFFFF)
        if gigawords:
            body += integer_attribute(Kind.ACCT_INPUT_GIGAWORDS, octets >> 32)
        body += integer_attribute(Kind.ACCT_INPUT_PACKETS, packets)
    if service_id:
        body += class_attribute(service_id, accept, bytes(8))
    packet = sign_request(4, 1, body + more, SECRET, message_authenticator=False)
    return read_record((BASE + at + received_after) * 10**9, nas_id, "192.0.2.1", packet)


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(BASE + at, UTC)


def make_partitions(connection: Connection, days: range = range(-1, 4)) -> None:
    ensure_partitions(connection, [moment(0).date() + timedelta(days=day) for day in days])
