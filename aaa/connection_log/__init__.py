"""Who held this address at that time? The connection log of Marco Civil (Lei 12.965/2014), art. 5 VI and art. 13.

`nat`, `syslog`, `moments`, `blocks` and `case_states` are pure. `store` writes and `find` reads the log; `lookups` is
the log of those reads; `cases` are requests of authorities, `document` and `signing` their answers on paper.
Destinations are never stored (art. 14): no column has room for one.

That a session's addresses are in the log is the database's work: a trigger on `session` (migration 0010) writes them in
the transaction that opened, changed or closed the session, whoever did.
"""
