"""RouterOS boxes over their API: the client, and what is asked through it."""
