"""A box's SNMP agent: a real snmpd on a port of its own, with a table that a test may change."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from free_ports import free_port
from whole_node import wait_for

from aaa.snmp import agent
from aaa.snmp.access import SnmpAccess
from aaa.snmp.tables import SYS_UP_TIME
from core.models.network import Vendor

ROWS = Path(__file__).with_name("snmp_rows.py")
COMMUNITY, USER, AUTH, PRIV = "leitura", "provedor", "autenticar-1", "particular-1"


@dataclass
class Snmpd:
    port: int
    rows: Path
    process: subprocess.Popen[bytes]

    def access(self, vendor: Vendor, **more: object) -> SnmpAccess:
        return SnmpAccess("127.0.0.1", self.port, vendor, community=COMMUNITY, **more)  # type: ignore[arg-type]

    def show(self, names: Sequence[str]) -> None:
        """The table has these rows from now on."""
        written = self.rows.with_suffix(".new")
        written.write_text("\n".join(names))
        written.replace(self.rows)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def answers(self) -> bool:
        try:
            return SYS_UP_TIME in asyncio.run(agent.get(self.access(Vendor.GENERIC), [SYS_UP_TIME]))
        except agent.AgentFailed:
            return False


@contextmanager
def snmpd(directory: Path, *directives: str, column: str = "", up_time: int = 8_640_000) -> Iterator[Snmpd]:
    """`column` is served out of `rows`, by `snmp_rows`."""
    port, rows = free_port(socket.SOCK_DGRAM), directory / "rows"
    rows.touch()
    configuration = directory / "snmpd.conf"
    configuration.write_text(
        "\n".join([
            f"rocommunity {COMMUNITY} 127.0.0.1",
            f'createUser {USER} SHA-256 "{AUTH}" AES "{PRIV}"',
            f"rouser {USER} priv",
            f"override {SYS_UP_TIME} timeticks {up_time}",
            *([f"pass_persist .{column} {sys.executable} {ROWS} {column} {rows}"] if column else []),
            *directives,
        ]) + "\n"
    )  # fmt: skip
    command = ["snmpd", "-f", "-C", "-c", str(configuration), "-Lf", str(directory / "log"), f"udp:127.0.0.1:{port}"]
    process = subprocess.Popen(command, env=os.environ | {"SNMP_PERSISTENT_DIR": str(directory / "persistent")})
    box = Snmpd(port, rows, process)
    try:
        wait_for(box.answers, every_s=0.05)
        yield box
    finally:
        box.kill()
