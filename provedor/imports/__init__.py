"""What other systems have, brought in: a CSV file, or the database of a FreeRADIUS.

For FreeRADIUS: `old_tables` reads, `reply_terms` and `accounts` judge what was read (pure), `follow` writes it so that
a later run can follow the old database without undoing what a person changed here, `freeradius` puts the steps in
order.
"""
