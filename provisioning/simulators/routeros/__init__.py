"""A simulated RouterOS box behind its API, after the manual and what clients of real routers report.

    words, query, dialogue, server   the API: wire format, the stack of `?` words, one connection (octets in, octets
                                     out; no socket), and its sockets and threads
    router, actions, configured      who may do what; commands that are no menu's; commands of menus
    configuration, table, checking,  what is configured: tables of rows by the schema of `provisioning.routeros.schema`,
    edit, shown, factory             what is a value, one command's changes, rows as printed, and a new router
    history                          what undoes what, and safe mode
    scripting, scripts, scheduler    the script language, and who runs it when
    export, storage, files           `/export`, backups, files
    reach                            whether a client still reaches the API, and the router whom it asks
    tools                            what the router asks of others: pings, and RADIUS with its counters
    faults                           what goes wrong to order
    tables, subscribers              who is online, and whom the router lets in by its own secrets

Played: configuration in the menus of the schema, with types, defaults, keys, references, order, dynamic and builtin
rows; users and what their groups let them do; 6.42, 6.49, 7.12, 7.18, 7.22 and 7.23, each with the fields and commands
that it has; device mode; safe mode, undo and history; scheduler and scripts; exports, imports, files, backups; reboots.

After documents: the API (MikroTik's manual), the fields and defaults (Ansible's community.routeros 3.21), safe mode
(the manual's console page and tik4net's tests on real routers; that it misses a connection which was cut off only after
TCP's nine minutes is the manual's), device mode, scheduler and scripts (the manual), and the words of `!trap`s and what
`move` does as users of real routers report them: "input does not match any value of", "already have such entry",
"secret with the same name already exists", "group has some users", "no such item", "unknown parameter", "missing
value(s) of argument(s)", "value of … out of range", "not enough permissions (9)", "not allowed by device-mode"; `move`
before an id that there is not is a move to the end.

Stricter than real ones: a row which others name is not removed ("in use by"). A real 7.23 lets a pool go that a DHCP
server names, and shows its id (`*1`) where its name was; a plan that does this is wrong in any case.
Our choice, where no document says: the words for that, for builtin and for dynamic rows, and for safe mode that another
session holds; that a command about several rows is done for all or none; that an export without `file` returns its
text on a console (over the API it comes to nothing); the words for a full disk, and that what fits of a file is there
then; that what a user may not read is not there; that a reboot cuts the connection before it answers; which interface a
client comes in on. And all releases are taken to be strict about keys: a real 7.23 takes an address list's entry twice
where one of the two is disabled. Who changed what is logged as the manual shows it ("… changed by admin").

Not played: `listen` (so `/cancel` finds nothing to cancel), other counters than RADIUS's, routing, and what happens to
packets, but for those of the API's own clients and the router's own questions, and those only where the router is made
with `firewall`.
Nothing of the protocol is shared with our own client, so that neither can be wrong in the other's way; the schema is.
"""

from provisioning.simulators.routeros.certificate import SelfSigned, self_signed
from provisioning.simulators.routeros.faults import Fault, FaultKind, When
from provisioning.simulators.routeros.menus import Listing, Menu, Row, Single
from provisioning.simulators.routeros.router import DEVICE_MODES, SYSTEM, Router
from provisioning.simulators.routeros.scripts import load
from provisioning.simulators.routeros.server import ApiServer, Fleet, ticking
from provisioning.simulators.routeros.subscribers import Subscribers
from provisioning.simulators.routeros.tables import ActiveSession, Online, router_of
from provisioning.simulators.routeros.versions import Version

__all__ = [
    "DEVICE_MODES", "SYSTEM", "ActiveSession", "ApiServer", "Fault", "FaultKind", "Fleet", "Listing", "Menu", "Online",
    "Router", "Row", "SelfSigned", "Single", "Subscribers", "Version", "When", "load", "router_of", "self_signed",
    "ticking",
]  # fmt: skip
