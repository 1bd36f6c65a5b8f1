"""An open connection to a managed box, by its NAPALM driver: what we ask of it, and its errors as ours.

NAPALM is imported where it is used (half a second and seventy megabytes). What a driver reads from files is in a
directory that nobody else may enter, and is gone with the connection: the one host key that it may meet, the candidate.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from core.nas_management import ManagementAccess
from provisioning.napalm import diffs, host_keys
from provisioning.napalm.errors import DeviceError, DriverUnusable, HostKeyRefused, LoginRefused, Refused, Unreachable
from provisioning.napalm.traits import REVERT_IN_S, UNUSED, Traits, traits_of

#: Seconds for one answer.
TIMEOUT_S: Final = 60
_CORE: Final = frozenset({"ios", "iosxr", "eos", "junos", "nxos_ssh"})
#: Of a message that a box gave.
_DETAIL_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Facts:
    vendor: str
    model: str
    release: str
    serial: str
    hostname: str
    uptime_s: int | None


@dataclass(slots=True)
class Device:
    """`secrets`: what of its answers is nobody's business. All raise DeviceError."""

    access: ManagementAccess
    traits: Traits
    driver: Any
    host_key: str
    secrets: Sequence[str]
    workspace: tempfile.TemporaryDirectory[str] = field(repr=False)

    def facts(self) -> Facts:
        with self._told():
            said = self.driver.get_facts()
            uptime = float(said.get("uptime") or -1)
            return Facts(
                vendor=str(said["vendor"]), model=str(said["model"]), release=str(said["os_version"]),
                serial=str(said["serial_number"]), hostname=str(said["hostname"]),
                uptime_s=int(uptime) if uptime >= 0 else None,
            )  # fmt: skip

    def environment(self) -> dict[str, Any]:
        """Empty where the driver cannot tell; nothing hangs on it."""
        try:
            with self._told():
                return dict(self.driver.get_environment())
        except DeviceError:
            return {}

    def running(self) -> str:
        with self._told():
            return str(self.driver.get_config(retrieve="running")["running"])

    def said(self, command: str) -> str:
        with self._told():
            return str(self.driver.cli([command])[command])

    def sessions(self) -> int | None:
        """Subscribers online; None where there is nothing to ask, or the answer is another than we know."""
        if self.traits.sessions is None:
            return None
        command, pattern = self.traits.sessions
        found = pattern.search(self.said(command))
        return int(found[1]) if found else None

    def compare(self, candidate: str) -> list[str]:
        """What it would change; it is loaded afterwards."""
        file = Path(self.workspace.name) / "candidate"
        file.write_text(candidate)
        try:
            with self._told():
                self.driver.load_merge_candidate(filename=str(file))
                return diffs.clean(self.driver.compare_config(), self.secrets)
        finally:
            file.unlink()

    def left(self, candidate: str) -> list[str]:
        """What there would be to do, whether or not secrets are right, which cannot be seen; nothing stays loaded."""
        named_by = self.traits.named_by
        name = getattr(self.driver, named_by) if named_by else None
        try:
            if named_by:
                setattr(self.driver, named_by, f"{name}-look")  # what waits under our name is not to be touched
            lines = diffs.without_secrets(self.compare(candidate))
            self.discard()
        finally:
            if named_by:
                setattr(self.driver, named_by, name)
        return lines if diffs.changes(lines) else []

    def commit(self) -> None:
        """What is loaded takes effect; where the box can, until it is confirmed."""
        with self._told():
            if self.traits.cannot_undo is None:
                self.driver.commit_config(revert_in=REVERT_IN_S)
            else:
                self.driver.commit_config()

    def pending(self) -> bool:
        """A commit waits for its confirmation, perhaps somebody else's."""
        if self.traits.cannot_undo is not None:
            return False
        with self._told():
            return bool(self.driver.has_pending_commit())

    def confirm(self) -> None:
        with self._told():
            self.driver.confirm_commit()

    def roll_back(self) -> None:
        with self._told():
            self.driver.rollback()

    def discard(self) -> None:
        """What is loaded and not committed."""
        if self.traits.discards:
            self.erase()

    def erase(self) -> None:
        """The same, and its file at a box that keeps one."""
        with contextlib.suppress(DeviceError), self._told():
            self.driver.discard_config()

    def close(self) -> None:
        """Whatever state it is in."""
        driver, self.driver = self.driver, None
        if driver is not None:
            with contextlib.suppress(Exception):
                driver.close()
        self.workspace.cleanup()

    @contextmanager
    def _told(self) -> Iterator[None]:
        with errors_of(self.access, self.secrets):
            yield


def open_device(access: ManagementAccess, secrets: Sequence[str] = (), name: str | None = None) -> Device:
    """`name`: of the change that is made, or was. Where the password is being changed, by the one that it has.

    Raises DeviceError.
    """
    try:
        return _open(access, secrets, name)
    except LoginRefused:
        if access.next_password is None:
            raise
    return _open(replace(access, password=access.next_password, next_password=None), secrets, name)


def _open(access: ManagementAccess, secrets: Sequence[str], name: str | None) -> Device:
    make = load_driver(access)
    host_key = host_keys.check(access)
    workspace = tempfile.TemporaryDirectory(prefix="provedor-")  # mkdtemp: nobody else may enter
    known_hosts = Path(workspace.name) / "known_hosts"
    host_keys.write_known_hosts(known_hosts, access, host_key)
    hidden = [*filter(None, (access.password, access.next_password, access.enable)), *secrets]
    device = Device(access, traits_of(access.driver), None, host_key, hidden, workspace)
    try:
        with errors_of(access, hidden):
            device.driver = make(known_hosts)
            device.driver.open()
            if name is not None and device.traits.named_by:
                setattr(device.driver, device.traits.named_by, name)
    except DeviceError:
        device.close()
        raise
    return device


def load_driver(access: ManagementAccess) -> Callable[[Path], Any]:
    """What makes the driver, held to the host keys of a file. Raises DriverUnusable."""
    name = access.driver
    if name in UNUSED:
        raise DriverUnusable(access.nas_id, f"driver {name}: {UNUSED[name]}")
    if name == "huawei_vrp8":
        from provisioning.napalm.drivers.huawei_vrp8 import HuaweiVrp8Driver  # noqa: PLC0415

        return lambda known_hosts: _make(HuaweiVrp8Driver, access, known_hosts)
    if name not in _CORE and not importlib.util.find_spec(f"napalm_{name}"):
        raise DriverUnusable(
            access.nas_id, f"driver {name} is not installed here: it is a package of its own, mostly napalm-{name}"
        )
    from napalm import get_network_driver  # noqa: PLC0415

    return lambda known_hosts: _make(get_network_driver(name), access, known_hosts)


def _make(driver: Any, access: ManagementAccess, known_hosts: Path) -> Any:  # noqa: ANN401
    arguments = {**access.arguments, "port": access.port}
    if access.driver == "junos":
        config = known_hosts.with_name("ssh_config")
        config.write_text(f"Host *\n  UserKnownHostsFile {known_hosts}\n")
        made = driver(
            access.address, access.user, access.password, TIMEOUT_S, {**arguments, "ssh_config_file": str(config)}
        )
        # PyEZ verifies host keys where its Device is told to, which NAPALM's driver has no argument for.
        made.device._hostkey_verify = True  # noqa: SLF001
        return made
    arguments |= {
        "ssh_strict": True, "system_host_keys": False, "alt_host_keys": True, "alt_key_file": str(known_hosts),
        "secret": access.enable or "",
    }  # fmt: skip
    if access.driver == "eos":
        arguments |= {"transport": "ssh", "enable_password": access.enable or ""}
    return driver(access.address, access.user, access.password, TIMEOUT_S, arguments)


@contextmanager
def errors_of(access: ManagementAccess, secrets: Sequence[str]) -> Iterator[None]:
    """A driver's errors, and those of the libraries below it, as ours; without secrets."""
    import napalm.base.exceptions as said  # noqa: PLC0415
    import paramiko  # noqa: PLC0415
    from netmiko.exceptions import NetmikoAuthenticationException, NetmikoBaseException  # noqa: PLC0415

    def detail(error: BaseException) -> str:
        text = re.sub(r"\s+", " ", diffs.mask(str(error), secrets)).strip()
        return text[:_DETAIL_MAX] or type(error).__name__

    nas_id, where = access.nas_id, access.address
    try:
        yield
    except paramiko.BadHostKeyException as error:
        seen = f"{error.key.get_name()} {error.key.get_base64()}"
        raise HostKeyRefused(nas_id, f"{where} shows another host key than before", seen) from None
    except (NetmikoAuthenticationException, said.ConnectAuthError, paramiko.AuthenticationException):
        raise LoginRefused(nas_id, f"{where} refuses the login of {access.user}") from None
    except (said.ConnectionException, NetmikoBaseException, paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(nas_id, f"{where}: {detail(error)}") from None
    except said.CommandTimeoutException as error:
        raise Unreachable(nas_id, f"{where}: {detail(error)}") from None
    except said.NapalmException as error:
        raise Refused(nas_id, detail(error)) from None
    except DeviceError:
        raise
    except Exception as error:  # noqa: BLE001  (drivers let out whatever the libraries below them raise)
        raise Unreachable(nas_id, f"{where}: {type(error).__name__}: {detail(error)}") from None
