"""Provisioning as work: what a box should be, and each plan for it from the first look to the last.

    intents   what a provider says of a BRAS, kept by its NAS entry
    models    intents, rows of ours that bear no mark, jobs with all that was planned, rollouts
    store     a job's states: planned, approved, cancelled, done, and what follows from each
    rollouts  the same for many boxes: a canary, then waves, and a stop at the first harm
    accepting what somebody changed at a box, said in its intent instead of put back
    drift     whether each box still is what it should be
    engines   what a job of any kind of box is done by: a Protocol
    routeros_engine, provisioning.napalm.engine
              the two kinds of boxes
    facts     all that a RouterOS box's plan is made from, read in one transaction
    alone     the lock of a box
    runner    who does it: one at a time for each box, in a thread, and whoever takes over from a process that died

Nothing is changed at a box that no person approved.
"""
