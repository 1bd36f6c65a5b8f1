"""simulate ssh: a box with a command line, for changes to be tried on before a real one sees them."""

from __future__ import annotations

import signal
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from core.errors import ProvedorError

if TYPE_CHECKING:
    import paramiko

    from provisioning.simulators.ssh import Box, Fault

#: What ends by itself (a trial, a revert timer) does so within this.
TICK_S: Final = 0.5


class Platform(StrEnum):
    HUAWEI_VRP8 = "huawei_vrp8"
    CISCO_IOS = "cisco_ios"


def ssh(
    platform: Annotated[Platform, typer.Option(help="whose command line")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any")] = 2222,
    address: Annotated[str, typer.Option(help="where it listens")] = "127.0.0.1",
    user: Annotated[str, typer.Option(help="who may log in")] = "provedor",
    password: Annotated[str, typer.Option(envvar="DEVICE_PASSWORD")] = "testing123",  # noqa: S107
    users: Annotated[int, typer.Option(min=0, help="subscribers online")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="what it begins with: a box's configuration"),
    ] = None,
    host_key: Annotated[
        Path | None, typer.Option(dir_okay=False, help="file of its private host key, made where it is not there")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND:COMMAND, once: cut_before, cut_after, refuse or slow at the first command that begins so"
        ),
    ] = None,
) -> None:
    """A Huawei in two-phase mode (commit, trial runs), or a Cisco IOS with its archive, over SSH. Ctrl-C ends it."""
    from provisioning.simulators.ssh import SshServer, cisco_box, huawei_box  # noqa: PLC0415  (paramiko is slow)

    given = {} if config is None else {"configuration": config.read_text(errors="replace")}
    make = huawei_box if platform is Platform.HUAWEI_VRP8 else cisco_box
    box: Box = make({user: password}, time.time, sessions=users, **given)
    for one in fault or ():
        box.faults.order(_fault(one))
    try:
        server = SshServer(box, address, port, _host_key(host_key))
    except OSError as error:
        raise ProvedorError(f"cannot use {address} port {port}: {error.strerror}") from None
    typer.echo(f"{platform} on {address} port {server.port}, host key {server.public_key}")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(TICK_S):
        with box.lock:
            box.tick()
    server.close()


def _fault(text: str) -> Fault:
    from provisioning.simulators.ssh import Fault, FaultKind  # noqa: PLC0415

    kind, _, command = text.partition(":")
    if kind not in set(FaultKind) or not command:
        raise typer.BadParameter("takes KIND:COMMAND, as cut_after:commit", param_hint="--fault")
    return Fault(FaultKind(kind), command, message="Error: refused to order.\n% Invalid input detected at '^' marker.")


def _host_key(file: Path | None) -> paramiko.PKey | None:
    import paramiko  # noqa: PLC0415

    if file is None:
        return None
    if not file.exists():
        paramiko.ECDSAKey.generate().write_private_key_file(str(file))
    return paramiko.ECDSAKey.from_private_key_file(str(file))
