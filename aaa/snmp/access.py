"""How a NAS's SNMP agent is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from core.keyring import Keyring
from core.models.network import Nas, Vendor
from core.nas_snmp import kept_secrets


@dataclass(frozen=True, slots=True)
class SnmpAccess:
    """`community` for v2c; `user` and, where it has them, the passphrases for v3 (see core.nas_snmp)."""

    address: str
    port: int
    vendor: Vendor
    ppp_only: bool = False
    community: str = field(default="", repr=False)
    user: str = ""
    auth: str | None = None
    auth_passphrase: str = field(default="", repr=False)
    priv: str | None = None
    priv_passphrase: str = field(default="", repr=False)

    @property
    def place(self) -> tuple[str, int]:
        return self.address, self.port


def snmp_access(nas: Nas, address: str, keyring: Keyring) -> SnmpAccess | None:
    """Of the box at this address; None where the NAS entry has none. Raises SealBroken.

    A box of a network says itself where it is (NAS-IP-Address): a community goes to no address outside of that.
    """
    if not nas.snmp or ip_address(address) not in ip_network(nas.address, strict=False):
        return None
    secrets = kept_secrets(nas, keyring)
    return SnmpAccess(
        address, nas.snmp["port"], nas.vendor, ppp_only=nas.snmp["ppp_only"],
        community=secrets.get("community", ""), user=nas.snmp.get("user", ""),
        auth=nas.snmp.get("auth"), auth_passphrase=secrets.get("auth", ""),
        priv=nas.snmp.get("priv"), priv_passphrase=secrets.get("priv", ""),
    )  # fmt: skip
