"""A router that is there already: what of it becomes plans, services and holds, and how its rows become ours.

    found       what of the router is read, and in which words people wrote
    effect      what a PPP secret gives whoever logs in, by its profile and its queues
    terms       from a profile to the plan that gives the same
    ppp_secret  what of one secret a service can have, and why it cannot be one
    naming      what plans are called here
    proposal    all secrets: services and holds, and what cannot be
    joining     services that are here already: in what they differ
    owning      which rows at the router become ours when a person asks
    intent      what the router is, as an intent would say it

All of it is pure, but that `found` asks the router, and only asks: nothing here changes anything there.
"""
