"""Pools of our own: which addresses and prefixes subscribers are given by us, not by the NAS.

A lease is a row in the database, told to every node like the policy, so that an Access-Request is answered from memory
and a service has the same address wherever it connects. It stays with its service while it is offline; only when a pool
runs low is the lease of whoever was offline the longest given up. An address changes hands in steps (`leases`), never
before every node has confirmed that it forgot the old lease and no session is left that has it.

`ranges` counts addresses and prefixes, `taking` gives them, `leases` takes them back, `nodes` is who must know, `pools`
is what operators edit and look at.
"""
