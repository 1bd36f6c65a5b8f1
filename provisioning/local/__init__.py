"""Subscribers at the router itself: PPP secrets, profiles and queues, for boxes without RADIUS and for when it is away.

    serve     the router lets its subscribers in by these rows alone
    standby   they lie ready, disabled; the router enables them by itself while no RADIUS server of its answers

    profiles  from a policy to the PPP profile that gives it; pure
    rows      from a service to its secret and its queue, and what watches for RADIUS; pure
    live      what is to be done with a session that is up; pure
    models    which boxes, and how far each has followed
    facts     what the rows are made from, read in one transaction
    at_box    one visit to a box: its rows, and with `at_sessions` whoever is online; what came of it is `done`
    store     switched on and off by a person
    keeper    who brings them in step: for a service that changed within a second, for a whole box by the clock

Nothing here can cut anybody off from managing a box, and each row stands for itself: so they are written as they come,
without the undo of a change that a person approves. That a box is kept at all, a person has approved.
"""
