"""A box's configuration kept: sealed, in versions, with what changed from one to the next and who may have changed it.

    texts       a configuration of any kind of box: whether two differ, in what, and what people see; pure

    of RouterOS
    statements  an export's text as commands, each the same however it was folded or written; pure
    difference  what two configurations do not share, as commands by menu, without secrets; pure
    rows        rows as an export would have them; pure
    actions     who a box's log and history say did what; pure
    reading     all of it off a box, over its API
    restoring   a version loaded into a simulated router, and compared with what that has then

    of any other
    lines            what two configurations of lines below lines do not share, without secrets; pure
    device_reading   what runs, by the box's NAPALM driver, and who changed it last
    restoring_lines  as restoring, into a simulated box of its platform

    of all
    models      versions, what boxes' users did, drills, and when each box is to be looked at next
    store       versions kept, listed, opened and forgotten; who may have changed what
    drill       a version restored, each month and when a person asks
    keeper      all of it for one box, as jobs, the clock and people ask for it

A version is kept when it differs from the one before in more than what changes by itself.
"""
