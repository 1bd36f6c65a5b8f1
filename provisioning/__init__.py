"""Intended state to the network. Here: the enforcement chain for live sessions and its reconciler.

A service's policy moves (or a session appears on another than is intended) -> outbox -> `enforce` runs `chain.decide`
for each live session: nothing, CoA, or Disconnect -> the outcome is kept as an `EnforcementStep`. `reconciler` finds
what slipped through, whatever caused it.
"""
