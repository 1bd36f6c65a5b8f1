"""Who knows whether the boxes have what a plan names: asked before a plan is kept, so that no subscriber finds out."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.orm import Session

from core.models.service import Plan


class PlanNames(Protocol):
    """Wired by `provedor`: what is known of boxes is known in rooms above this one."""

    def check(self, session: Session, plan: Plan) -> None:
        """Raises InvalidInput naming the plan's field, the NAS, what it lacks, and what is nearly the same there."""
