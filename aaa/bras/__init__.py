"""A simulated BRAS, part of the product: subscribers who log in, are online with moving counters, and redial.

`subscriber` is one subscriber's line, `mikrotik` how RouterOS builds requests and answers CoA, `box` the BRAS as a
machine that takes octets and time and gives octets (no socket, no clock), `runner` its sockets.
"""

from aaa.bras.box import Box, BoxOptions, Credential
from aaa.bras.runner import Runner

__all__ = ["Box", "BoxOptions", "Credential", "Runner"]
