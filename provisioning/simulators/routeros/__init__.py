"""A simulated RouterOS box behind its API, after the manual and what clients of real routers report.

`words` is the wire format, `query` the stack of `?` words, `menus` what there is to print, `dialogue` one connection
(octets in, octets out; no socket), `server` its sockets and threads, `tables` the menus of a small router. Nothing
here is shared with our own client, so that neither can be wrong in the other's way.

Not played: configuration, `listen`, and commands that run for a while (`/cancel` never finds anything to cancel).
"""

from provisioning.simulators.routeros.certificate import SelfSigned, self_signed
from provisioning.simulators.routeros.menus import Listing, Menu, Row, Single
from provisioning.simulators.routeros.router import Router, Version
from provisioning.simulators.routeros.server import ApiServer
from provisioning.simulators.routeros.tables import ActiveSession, Online, router_of

__all__ = [
    "ActiveSession", "ApiServer", "Listing", "Menu", "Online", "Router", "Row", "SelfSigned", "Single", "Version",
    "router_of", "self_signed",
]  # fmt: skip
