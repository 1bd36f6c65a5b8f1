"""Simulated boxes with a command line over SSH, for changes to be tried on: they refuse what real ones refuse.

    configuration  a configuration as its indented lines: entered, taken away, compared
    grammar        which lines a platform takes in which view, as data
    faults         what goes wrong to order: a connection cut at a command, a command that is refused
    box            what boxes of all platforms have in common: who may log in, time, and one command after another
    huawei         VRP8: a candidate for each session, commit, and trial runs that end by themselves
    cisco          IOS: a file system, `copy … running-config`, the archive and its revert timer
    server         real SSH around them, and SCP

What is said comes from public descriptions of real boxes; where these are silent it is our choice.
"""

from provisioning.simulators.ssh.box import Box
from provisioning.simulators.ssh.cisco import CiscoBox, cisco_box
from provisioning.simulators.ssh.faults import Fault, FaultKind
from provisioning.simulators.ssh.huawei import HuaweiBox, huawei_box
from provisioning.simulators.ssh.server import SshServer, new_host_key

__all__ = [
    "Box", "CiscoBox", "Fault", "FaultKind", "HuaweiBox", "SshServer", "cisco_box", "huawei_box", "new_host_key",
]  # fmt: skip
