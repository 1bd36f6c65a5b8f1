"""RADIUS: wire format, policy on the wire, servers, accounting, and the client for CoA and Disconnect.

The way of an Access-Request: `server` receives a datagram, `clients` finds the NAS by source address, `packet`
parses, `authenticator` verifies, `duplicates` answers what was answered before, `snapshot` holds the subscriber,
`decision` decides (a pure function), the `vendors` adapter has encoded the policy once, `authenticator` signs.
An Accounting-Request goes to the `spool` on disk, is acknowledged, and the `shipper` moves it to PostgreSQL.
"""
