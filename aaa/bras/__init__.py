"""A simulated BRAS, part of the product: subscribers who log in, are online with moving counters, and redial.

`subscriber` is one subscriber's line and what it was granted, `box` the BRAS as a machine that takes octets and time
and gives octets (no socket, no clock), `runner` its sockets. `dialect` is what vendors do differently, after their
documents: one module a vendor, `generic` by the RFCs alone, chosen in `dialects`.
"""

from aaa.bras.box import Box, BoxOptions, Credential
from aaa.bras.dialect import Configured
from aaa.bras.runner import Runner

__all__ = ["Box", "BoxOptions", "Configured", "Credential", "Runner"]
