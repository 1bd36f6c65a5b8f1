"""SNMP as a witness of sessions: a NAS that does not tell over CoA may have a table that does.

`access` is how an agent is reached, `tables` what is asked of which vendor and what an answer is worth, `agent` asks,
`probe` puts them together as a LivenessProbe.

That a table has a session proves that it lives. That it does not have it proves little: an agent that does not know
the table, may not show it, has just started or is cut short says the same. So absence counts only
  - from an agent that has vouched for a session by that table within the last day,
  - that has been up for a while, and is the same at the end of a reading as at its beginning (sysUpTime),
  - in a reading that came to its end,
  - about a session that was there well before the reading began.
Anything else is UNKNOWN, and keeps nobody out.
"""
