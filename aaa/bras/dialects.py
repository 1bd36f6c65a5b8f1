"""The dialect that a simulated box speaks, by its vendor and, where one vendor has two systems, by its options."""

from __future__ import annotations

from typing import Final

from aaa.bras.accel_ppp import AccelPppDialect
from aaa.bras.cisco import IosDialect, IosXrDialect
from aaa.bras.dialect import Dialect, Site
from aaa.bras.generic import GenericDialect
from aaa.bras.huawei import HuaweiDialect
from aaa.bras.juniper import JuniperDialect
from aaa.bras.mikrotik import MikrotikDialect
from aaa.bras.nokia import NokiaDialect
from core.models.network import Vendor
from core.nas_options import check_options

_DIALECTS: Final[dict[str, type[GenericDialect]]] = {
    Vendor.MIKROTIK: MikrotikDialect,
    Vendor.HUAWEI: HuaweiDialect,
    Vendor.CISCO: IosDialect,
    Vendor.JUNIPER: JuniperDialect,
    Vendor.NOKIA: NokiaDialect,
    Vendor.ACCEL_PPP: AccelPppDialect,
    Vendor.GENERIC: GenericDialect,
}


def dialect(vendor: str, site: Site) -> Dialect:
    """Raises InvalidInput for options that this vendor does not have."""
    check_options(Vendor(vendor), site.configured.options)
    if site.configured.options.get("platform") == "ios_xr":
        return IosXrDialect(site)
    return _DIALECTS[vendor](site)
