"""A plan carried out so that the router can always be reached afterwards.

applying   one step, over the API
undo       what brings everything back without us: safe mode, or a scheduler that runs the inverse commands
verify     through a second, new connection: it lets us in, has what is wanted, its sessions are still there, and it
           reaches whom it reached before (provisioning.routeros.probing)
run        all of it in order; any doubt, and the router returns to what it was
"""

from provisioning.outcome import Outcome, Result
from provisioning.routeros.change.run import ChangeRun
from provisioning.routeros.change.undo import UndoBy

__all__ = ["ChangeRun", "Outcome", "Result", "UndoBy"]
