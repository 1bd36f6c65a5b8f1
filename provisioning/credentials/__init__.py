"""Passwords of boxes changed at the boxes, one after the other, so that we can log in at any moment.

    models   one row for each box whose password is, or was, to be changed
    store    begun by a person; what is known of a box before, meanwhile and after
    run      at a RouterOS box: armed, set, proven by a new connection, kept
    device_run, device_passwords   the same at a box that a NAPALM driver manages
    keeper   who does it, and does it again where a box is away

The new password is known to us before any box has it, and the old one until the new one was let in: whatever dies
when, one of the two opens the box, and the client tries both.
"""
