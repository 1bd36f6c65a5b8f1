"""The RADIUS node: feeder, workers, spool, snapshot copy, and the NAS it talks to."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import httpx

from aaa import testclient
from aaa.authenticator import SharedSecret, sign_access_request
from aaa.feed import FeedPosition
from aaa.packet import Code
from aaa.pools import nodes
from aaa.snapshot_file import SnapshotFile
from aaa.spool import SPOOL_OCTETS_MAX, list_segments, segment_path
from core import network, switches
from core.errors import NotFound
from core.keyring import NAS_SECRET
from provedor.doctor.check import NotAsked, Wrong, connect, keyring, runs_here
from provedor.node import resolve_runtime
from provedor.observe import read_counters
from provedor.radius import feed_path
from provedor.settings import Settings

#: Of a worker's spool: above it accounting will soon not be acknowledged.
SPOOL_SHARE_MAX = 0.8
#: An accounting record older than this and not yet stored: the shipper or the database is in trouble.
LAG_MAX_S = 120
NAS_CLOCK_SKEW_MAX_S = 30
#: Revisions that a node may be behind for a moment.
REVISIONS_BEHIND_MAX = 1000

_NAS_CLOCKS = """
SELECT n.name,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM a.event_at - a.received_at)::float8) AS skew
FROM accounting_record a JOIN nas n ON n.id = a.nas_id
WHERE a.received_on >= (now() - interval '15 minutes')::date AND a.received_at > now() - interval '15 minutes'
GROUP BY n.name
"""

#: Strangers by their number, and what is wrong with each NAS.
_NAS_FINDINGS = """
SELECT coalesce(n.name, count(*) || ' senders'), f.kind, sum(f.count)
FROM nas_finding f LEFT JOIN nas n ON n.id = f.nas_id
WHERE f.last_at > now() - interval '15 minutes'
GROUP BY n.name, f.kind ORDER BY n.name NULLS LAST, f.kind
"""


def check_feed(settings: Settings) -> str | None:
    if not runs_here(settings, "radius"):
        raise NotAsked("the radius role does not run on this node")
    path = feed_path(settings)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        try:
            one.connect(path)
        except OSError as error:
            taken = _taken_ports(settings)
            because = f"; UDP port {', '.join(map(str, taken))} is taken by another program" if taken else ""
            advice = f"the feeder does not answer ({error.strerror}): is `provedor up` running?{because}"
            raise Wrong(advice) from None
    return None


def _taken_ports(settings: Settings) -> list[int]:
    """RADIUS ports that cannot be bound, asked only while RADIUS does not run here."""
    taken = []
    for port in (settings.radius_auth_port, settings.radius_acct_port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind((_own_address(settings), port))
            except OSError:
                taken.append(port)
    return taken


def check_authentication(settings: Settings) -> str:
    return _ask_workers(settings, settings.radius_auth_port, Code.ACCESS_ACCEPT)


def check_accounting(settings: Settings) -> str:
    return _ask_workers(settings, settings.radius_acct_port, Code.ACCOUNTING_RESPONSE)


def _ask_workers(settings: Settings, port: int, wanted: Code) -> str:
    """Status-Server to each worker (RFC 5997): the Identifier picks who answers."""
    if not runs_here(settings, "radius"):
        raise NotAsked("the radius role does not run on this node")
    address = _own_address(settings)
    secret = _own_secret(settings, address)
    if secret is None:
        raise NotAsked(f"make a NAS entry for {address}, and every worker will be asked by Status-Server")
    silent = []
    for worker in range(settings.radius_workers):
        octets = sign_access_request(worker, os.urandom(16), b"", secret, code=Code.STATUS_SERVER)
        reply = testclient.exchange(address, port, octets, tries=2, timeout_s=1.0)
        if reply is None or reply.code != wanted:
            silent.append(str(worker))
    if silent:
        raise Wrong(f"worker {', '.join(silent)} on {address} port {port} does not answer Status-Server: see the log")
    return f"{settings.radius_workers} workers answer"


def _own_address(settings: Settings) -> str:
    return next((one for one in settings.radius_addresses if one not in {"0.0.0.0", "::"}), "127.0.0.1")  # noqa: S104


def _own_secret(settings: Settings, address: str) -> SharedSecret | None:
    with resolve_runtime(settings).database.transaction() as session:
        try:
            sealed = network.find_by_address(session, address).secret_encrypted
        except NotFound:
            return None
    return SharedSecret(keyring(settings).open(sealed, NAS_SECRET))


def check_spool(settings: Settings) -> str:
    if not settings.spool_directory.is_dir():
        return "no accounting yet"
    total = 0
    for spool in sorted(path for path in settings.spool_directory.iterdir() if path.is_dir()):
        kept = sum(segment_path(spool, number).stat().st_size for number in list_segments(spool))
        total += kept
        if kept > SPOOL_OCTETS_MAX * SPOOL_SHARE_MAX:
            raise Wrong(
                f"{spool} holds {kept // 1024**2} MiB, near its bound: bring the database back, it drains itself"
            )
    refused = settings.spool_directory / "refused.hex"
    if refused.exists():
        raise Wrong(f"{refused} holds records that the database refused: report them, then remove the file")
    lag_s = _lag_s(settings)
    if lag_s is not None and lag_s > LAG_MAX_S:
        raise Wrong(f"the oldest record that is not stored is {lag_s:.0f} s old: is the database away or too slow?")
    return f"{total // 1024**2} MiB, {'shipper not running here' if lag_s is None else f'{lag_s:.0f} s behind'}"


def _lag_s(settings: Settings) -> float | None:
    """As the shippers say it; None where none runs here."""
    with httpx.Client(timeout=1.0) as client:
        counters = read_counters(settings, client)
    return counters.lag_s if counters.shippers else None


def check_snapshot(settings: Settings) -> str | None:
    """A node starts from it when the database is away; with one that is old, subscribers of today are refused."""
    path = settings.snapshot_file
    if not path.exists():
        return "none yet: the radius role makes it"
    copied = _copied_revision(path, settings)
    with connect(settings) as connection:
        row: Any = connection.execute("SELECT coalesce(max(revision), 0) FROM change").fetchone()
    behind = row[0] - copied
    if behind > REVISIONS_BEHIND_MAX:
        raise Wrong(f"{path} is {behind} changes behind the database: does the radius role run here?")
    return f"revision {copied}, {max(behind, 0)} behind"


def _copied_revision(path: Path, settings: Settings) -> int:
    position = FeedPosition()
    for octets in SnapshotFile(path, keyring(settings)).read():
        position.see(octets)
    if position.revision is None:
        raise Wrong(f"{path} holds no whole snapshot: remove it and restart the radius role with the database there")
    return position.revision


def check_enforcement(settings: Settings) -> str | None:
    runtime = resolve_runtime(settings)
    with runtime.database.transaction() as session:
        frozen = switches.enforcement_frozen(session)
    with connect(settings) as connection:
        silent = connection.execute(
            "SELECT n.name, n.coa_port FROM nas_pace p JOIN nas n ON n.id = p.nas_id WHERE p.closed_until IS NOT NULL"
        ).fetchall()
    if silent:
        names = ", ".join(f"{name} (port {port})" for name, port in silent)
        raise Wrong(f"{names} does not answer CoA: check its CoA port, secret and firewall")
    return "frozen: `provedor enforcement resume` ends that" if frozen else None


def check_nodes(settings: Settings) -> str | None:
    runtime = resolve_runtime(settings)
    with runtime.database.transaction() as session:
        missed = nodes.missed(session, runtime.clock())
    if missed:
        raise Wrong(
            f"{', '.join(missed)} is silent or ships no accounting: no address of our pools changes hands until "
            "it is back, or, where its machine is off for good, until `provedor node forget NAME`"
        )
    return None


def check_nas_clocks(settings: Settings) -> str | None:
    """As far as accounting tells: a NAS without Event-Timestamp has no clock here."""
    with connect(settings) as connection:
        off = [(name, skew) for name, skew in connection.execute(_NAS_CLOCKS) if abs(skew) > NAS_CLOCK_SKEW_MAX_S]
    if off:
        named = ", ".join(f"{name} by {skew:+.0f} s" for name, skew in off)
        raise Wrong(f"clocks are off at {named}: set NTP there, or its sessions look stale and CoA may be refused")
    return None


def check_nas_findings(settings: Settings) -> str | None:
    """A note: what a NAS does wrong is no fault of this node's, and a stranger may be anybody."""
    with connect(settings) as connection:
        rows = connection.execute(_NAS_FINDINGS).fetchall()
    if not rows:
        return None
    named = ", ".join(f"{name} {kind.replace('_', ' ')} ({count})" for name, kind, count in rows)
    return f"in the last 15 minutes: {named}; `provedor explain NAS` says what to do"
