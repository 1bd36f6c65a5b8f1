"""The domain that every other room shares: who the customers are, what they bought, what restricts it.

Pure modules (`access`, `policy`, `addresses`, `documents`, `logins`, `topics`, `errors`, `clock`) touch no I/O.
Tables stand in `models/`; each noun's owner functions (`holds`, `services`, `invoices`, …) take a Session,
flush, and leave the commit to the edge that called them. The way through: an owner function changes rows,
`policies.refresh` recomputes the intended policy, `changes` orders it for the RADIUS nodes, `outbox` keeps the
work that follows, `events` tells the world.
"""
