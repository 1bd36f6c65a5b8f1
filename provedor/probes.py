"""How this node asks NASes whether a session lives."""

from __future__ import annotations

from aaa.coa import CoaClient
from aaa.liveness import CoaProbe, LivenessProbe, Probes
from aaa.snmp.probe import SnmpProbe
from provisioning.routeros.lines import RouterLines
from provisioning.routeros.liveness import RouterOsProbe


def liveness_probe(client: CoaClient, lines: RouterLines) -> LivenessProbe:
    """Every way in which this node asks NASes whether a session lives."""
    return Probes(CoaProbe(client), SnmpProbe(), RouterOsProbe(lines))
