"""Another billing system in charge: it is read, and its word on a contract stands in place of our own steps.

    tasks (clock)  ->  reader: claim (transaction) -> an adapter reads, in a thread -> conclude (transaction)
    ->  words stored by subscriber, matched to our contracts  ->  what became gentler: STANDING_CHANGED, at once
    ->  what became harder: a run over these contracts, through its guard

`ADAPTERS` has a module a system, each giving `base.Word`s; `push` is who tells us over REST. Nothing is ever written
there. `differences` says what following would change before it changes it, `switching` puts contracts under a source
and back under our own policy. A subscriber that vanished from the other system is neither restricted nor given back:
it is a difference that people see.
"""
