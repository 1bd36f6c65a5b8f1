"""How each vendor's BRAS is told a policy: reply attributes, live changes, session keys. One module a vendor.

`base` has the Protocol and the encoding that they share; `table` writes down for people what each of them does.
"""

from __future__ import annotations

from aaa.vendors.accel_ppp import AccelPppAdapter
from aaa.vendors.base import LiveChange, Local, RedialNeeded, SessionKeys, VendorAdapter
from aaa.vendors.cisco import CiscoAdapter
from aaa.vendors.generic import GenericAdapter
from aaa.vendors.huawei import HuaweiAdapter
from aaa.vendors.juniper import JuniperAdapter
from aaa.vendors.mikrotik import MikrotikAdapter
from aaa.vendors.nokia import NokiaAdapter
from core.models.network import Vendor

_ADAPTERS: dict[str, VendorAdapter] = {
    Vendor.MIKROTIK: MikrotikAdapter(),
    Vendor.HUAWEI: HuaweiAdapter(),
    Vendor.CISCO: CiscoAdapter(),
    Vendor.JUNIPER: JuniperAdapter(),
    Vendor.NOKIA: NokiaAdapter(),
    Vendor.ACCEL_PPP: AccelPppAdapter(),
    Vendor.GENERIC: GenericAdapter(),
}


def adapter(vendor: str) -> VendorAdapter:
    """The adapter of a vendor named in core.models.network.Vendor."""
    return _ADAPTERS[vendor]


__all__ = ["LiveChange", "Local", "RedialNeeded", "SessionKeys", "VendorAdapter", "adapter"]
