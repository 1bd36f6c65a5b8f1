"""Intended state to the network.

Live sessions: a service's policy moves (or a session appears on another than is intended) -> outbox -> `enforce` runs
`chain.decide` for each live session: nothing, CoA, its router's API (`routers`), or Disconnect -> the NAS is asked
while nothing waits -> the outcome is kept on the `EnforcementStep`. `reconciler` finds what slipped through, whatever
caused it; `live_rows` takes away what stands at a router for a session that has ended.

Boxes: what a provider says of a BRAS (`routeros.bras`) -> the rows that it should have -> a plan by the rows that it
has (`routeros.planning`) -> a person -> a change that undoes itself until it is proven (`routeros.change`), as a job
(`jobs`) that whoever is left takes over. Subscribers at the box itself, without RADIUS: `local`.
"""
