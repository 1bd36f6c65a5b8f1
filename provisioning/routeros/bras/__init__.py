"""What makes a RouterOS box a BRAS of ours: from what a provider says of it to the rows that it should have; pure.

intent         what is said, in a provider's words
checking       what of it cannot be
radius         RADIUS clients, CoA, and that PPP asks them
access         pools, the PPP profile, VLANs and PPPoE servers
dhcp           IPoE: DHCP servers that ask RADIUS, prefixes of the same lines
hotspot        hotspots, and what is reached before the login
queues         queue types and trees
walled_garden  what a debtor reaches: the portal, DNS, and what else is allowed
cgnat          NAT rules of deterministic port blocks, by the rules that the connection log answers from
management     who may manage the box, its clock, its log, SNMP, our own user, no back doors
accepting      what somebody changed at the box, said in the intent
"""

from provisioning.routeros.bras.accepting import Accepted, accept
from provisioning.routeros.bras.checking import intent_of
from provisioning.routeros.bras.desired import Surroundings, desired_of, proof_of
from provisioning.routeros.bras.intent import Intent
from provisioning.routeros.bras.management import SnmpAgent

__all__ = ["Accepted", "Intent", "SnmpAgent", "Surroundings", "accept", "desired_of", "intent_of", "proof_of"]
