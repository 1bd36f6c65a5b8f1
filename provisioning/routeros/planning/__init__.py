"""From what a router should have and what it has to the steps between; pure.

    desired   rows and settings as they should be, each under a mark of ours
    matching  which actual row is which desired one: by our mark or its key, never by likeness
    order     where rows of an ordered menu go, with the fewest moves
    plan      all of it put together, in an order that leaves no gap
    script    steps and their undoing as RouterOS commands
    words     steps in words, for whoever decides about them

Rows of others are never touched, nor are dynamic ones. Applying a plan and planning again gives nothing.
"""

from provisioning.routeros.planning.desired import Desired, Place, Setting, Wanted
from provisioning.routeros.planning.plan import added, make_plan
from provisioning.routeros.planning.steps import Add, Change, Move, Plan, Problem, Remove, Step

__all__ = [
    "Add", "Change", "Desired", "Move", "Place", "Plan", "Problem", "Remove", "Setting", "Step", "Wanted", "added",
    "make_plan",
]  # fmt: skip
