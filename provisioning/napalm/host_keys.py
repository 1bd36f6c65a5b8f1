"""SSH host keys: seen before anything is said, and the only ones that a connection may meet afterwards."""

from __future__ import annotations

import base64
import hashlib
import socket
from pathlib import Path
from typing import Final

from core.nas_management import ManagementAccess
from provisioning.napalm.errors import HostKeyRefused, Unreachable

TIMEOUT_S: Final = 10.0
_STANDARD_PORT: Final = 22


def check(access: ManagementAccess) -> str:
    """The box's key: the approved one, where there is one. Raises HostKeyRefused or Unreachable."""
    seen = see(access)
    if access.host_key is not None and seen != access.host_key:
        raise HostKeyRefused(
            access.nas_id,
            f"{access.address} shows the host key {fingerprint(seen)}, not the approved "
            f"{fingerprint(access.host_key)}: if the box was exchanged, set `management.host_key` to the new one; "
            "else somebody is in between",
            seen,
        )
    return seen


def see(access: ManagementAccess) -> str:
    """The key that is shown, of the approved one's kind where the box has several; no login is tried.

    Raises Unreachable.
    """
    import paramiko  # noqa: PLC0415  (it is slow to import, and not everybody manages boxes)

    try:
        connection = socket.create_connection((access.address, access.port), TIMEOUT_S)
    except OSError as error:
        raise Unreachable(access.nas_id, f"{access.address} port {access.port}: {error.strerror or error}") from None
    transport = paramiko.Transport(connection)
    try:
        kind = access.host_key.partition(" ")[0] if access.host_key else None
        options = transport.get_security_options()
        # A key of kind ssh-rsa signs by other names, too.
        wanted = [one for one in options.key_types if kind in {None, one} or (kind == "ssh-rsa" and "rsa" in one)]
        others = [one for one in options.key_types if one not in wanted]
        options.key_types = (*wanted, *others)
        transport.start_client(timeout=TIMEOUT_S)
        key = transport.get_remote_server_key()
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise Unreachable(access.nas_id, f"{access.address} port {access.port} speaks no SSH: {error}") from None
    finally:
        transport.close()
    return f"{key.get_name()} {key.get_base64()}"


def fingerprint(host_key: str) -> str:
    """As `ssh-keygen -l` has it."""
    octets = base64.b64decode(host_key.partition(" ")[2])
    return "SHA256:" + base64.b64encode(hashlib.sha256(octets).digest()).decode().rstrip("=")


def write_known_hosts(file: Path, access: ManagementAccess, host_key: str) -> None:
    """A file of OpenSSH's form with this one key."""
    name = access.address if access.port == _STANDARD_PORT else f"[{access.address}]:{access.port}"
    file.write_text(f"{name} {host_key}\n")
