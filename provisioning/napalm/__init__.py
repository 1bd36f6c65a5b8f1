"""Boxes of any vendor that a NAPALM driver manages, the way of every change: plan, approve, apply, prove, confirm.

    bng           what a provider says of a BNG, and the lines for its platform
    traits        what differs from driver to driver: what each can undo, and how a change is seen
    host_keys     the SSH host key that was approved, and no other
    devices       an open connection: what we ask of a driver, and its errors as ours
    opening       the way to a box as the database has it
    drivers       our own driver, for Huawei's VRP8
    diffs         what a box says that a candidate changes, without secrets; pure
    change        one change, from the first look to the last
    names         what RADIUS replies name, against what is there; pure
    engine        jobs of these boxes, with what is kept of them (models)

NAPALM itself is imported where a connection is opened: it is slow and big.
"""
