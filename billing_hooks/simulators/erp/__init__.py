"""Other billing systems to try following with: each lists its subscribers as its documents have it, and no more.

Each refuses what the real one refuses. `base` has the subscribers and `/_simulate`, by which a person or a test sets a
subscriber's standing and takes the API away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from billing_hooks.simulators.erp import ixc, sgp
from billing_hooks.simulators.erp.base import Erp, Simulation, Subscriber

ERPS: Mapping[str, Callable[[Mapping[str, str], list[Subscriber]], Simulation]] = {
    "ixc": ixc.simulation, "sgp": sgp.simulation,
}  # fmt: skip

__all__ = ["ERPS", "Erp", "Simulation", "Subscriber"]
