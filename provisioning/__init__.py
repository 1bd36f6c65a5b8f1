"""Intended state to the network. Here: the enforcement chain for live sessions and its reconciler.

A service's policy moves (or a session appears on another than is intended) -> outbox -> `enforce` runs `chain.decide`
for each live session: nothing, CoA, or Disconnect -> the NAS is asked while nothing waits -> the outcome is kept on the
`EnforcementStep`. `reconciler` finds what slipped through, whatever caused it.
"""
