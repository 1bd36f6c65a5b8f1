"""Taking over from another RADIUS server, NAS by NAS.

`home` is that server as the feed tells of it, `forwarding` turns a NAS's packet into one of ours to it and back,
`relay` asks it without waiting, `compare` says in what its answer and ours differ, `shadow` does all that for the
authentication worker; `forwarder` brings it the accounting that we have recorded.
"""
