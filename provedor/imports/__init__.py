"""What other systems have, brought in: a CSV file, the database of a FreeRADIUS, or a RouterOS box itself.

For FreeRADIUS: `old_tables` reads, `reply_terms` and `accounts` judge what was read (pure), `follow` writes it so that
a later run can follow the old database without undoing what a person changed here, `freeradius` puts the steps in
order.

For a RouterOS box: `routeros` brings who is online; `adoption` takes its secrets, profiles and queues over, as
`provisioning.adopt` proposes, by the same `follow`; `adopting` does so in a worker, for who asks over REST.
"""
