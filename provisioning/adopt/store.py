"""A look at a router that somebody asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.orm import Session

from core import audit, events, outbox, topics
from core.audit import Actor
from core.errors import Conflict, NotFound
from core.models.network import Nas
from provisioning.adopt.found import is_text
from provisioning.adopt.intent import ProposedIntent
from provisioning.adopt.models import AdoptedLogin, Asked, BoxAdoption, Standing
from provisioning.adopt.naming import ProposedPlan
from provisioning.adopt.owning import Owning
from provisioning.adopt.ppp_secret import ProposedService
from provisioning.adopt.proposal import Choices, Proposal
from provisioning.jobs.intents import check_manageable, get_intent
from provisioning.local import store as local
from provisioning.local.owning import check_kept
from provisioning.routeros.planning.desired import Owned

#: Somebody else is at the box: it is tried again after this.
BUSY_RETRY: Final = timedelta(seconds=1)
_NO_CHOICES: Final[dict[str, Any]] = {"rates": {}, "blocked_plan": None, "due_day": 10}
#: A router with ten thousand secrets is read, and they are taken, within this; afterwards somebody else tries.
CLAIM: Final = timedelta(minutes=10)


def get_adoption(session: Session, nas_id: int, *, lock: bool = False) -> BoxAdoption:
    """Raises NotFound."""
    row = session.get(BoxAdoption, nas_id, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise NotFound("adoption of NAS", nas_id)
    return row


def ask(
    session: Session, nas: Nas, choices: Choices, due_day: int, actor: Actor, *, take: bool
) -> BoxAdoption:  # fmt: skip
    """The router is read, and with `take` what becomes services is made. Raises Conflict while another is at it, or
    before anybody can have seen what would be made."""
    row = _free(session, nas, seen="take" if take else None)
    rates = {profile: list(rate) for profile, rate in choices.rates.items()}
    row.choices = {"rates": rates, "blocked_plan": choices.blocked_plan, "due_day": due_day}
    return _asked(session, row, Asked.TAKE if take else Asked.LOOK, actor, row.choices)


def ask_to_own(
    session: Session, nas: Nas, logins: Sequence[str] | None, actor: Actor, *, differing: bool
) -> BoxAdoption:  # fmt: skip
    """The secrets of these logins, or of all that are services here, become ours. Raises Conflict as `ask` does, and
    where the box is not kept."""
    row = _free(session, nas, seen="logins")
    check_kept(local.get_local(session, nas.id))
    row.to_own = {"logins": None if logins is None else list(logins), "differing": differing}
    return _asked(session, row, Asked.OWN, actor, row.to_own)


def ask_to_own_intent(session: Session, nas: Nas, actor: Actor, *, confirm: bool) -> BoxAdoption:
    """Rows that its intent names are found, and with `confirm` they are ours for the next plan. Raises NotFound where
    there is no intent, and Conflict as `ask` does."""
    get_intent(session, nas.id)
    row = _free(session, nas, seen=None)
    row.to_own = {"confirm": confirm}
    return _asked(session, row, Asked.OWN_INTENT, actor, row.to_own)


def _free(session: Session, nas: Nas, *, seen: str | None) -> BoxAdoption:
    """The row of a router that nobody is at. `seen`: the field that asks for what somebody has to have seen."""
    check_manageable(nas)
    row = session.get(BoxAdoption, nas.id, with_for_update=True, populate_existing=True)
    if row is not None and row.asked_at is not None:
        raise Conflict("the router is being read: look again in a moment", field="nas_id")
    if seen is not None and (row is None or row.looked_at is None or row.error is not None):
        raise Conflict("nobody has seen yet what there is: look at the router first", field=seen)
    if row is None:
        row = BoxAdoption(nas_id=nas.id, choices=_NO_CHOICES)
        session.add(row)
    return row


def _asked(
    session: Session, row: BoxAdoption, asked: Asked, actor: Actor, what: dict[str, Any]
) -> BoxAdoption:  # fmt: skip
    row.asked_at, row.asked_by, row.asked, row.claimed_until = func.now(), actor.name, asked, None
    session.flush()
    session.refresh(row)
    audit.record(session, actor, asked.value, "adoption", row.nas_id, what)
    outbox.enqueue(session, topics.ADOPTION_DUE, {"nas_id": row.nas_id})
    return row


def owe_due(session: Session, now: datetime) -> int:
    """Those whom nobody answered because whoever was at it died; returns how many. Run by the clock."""
    free = or_(BoxAdoption.claimed_until.is_(None), BoxAdoption.claimed_until < now)
    late = (BoxAdoption.asked_at < now - timedelta(minutes=1), free)
    rows = session.scalars(select(BoxAdoption).where(*late).with_for_update(skip_locked=True)).all()
    for row in rows:
        row.claimed_until = now + timedelta(minutes=1)
        outbox.enqueue(session, topics.ADOPTION_DUE, {"nas_id": row.nas_id})
    return len(rows)


def claim(session: Session, nas_id: int, now: datetime) -> BoxAdoption | None:
    """None where nobody asks any more."""
    row = session.get(BoxAdoption, nas_id, with_for_update=True, populate_existing=True)
    if row is None or row.asked_at is None:
        return None
    row.claimed_until = now + CLAIM
    return row


def later(session: Session, nas_id: int, now: datetime) -> None:
    """Somebody is at the box."""
    get_adoption(session, nas_id, lock=True).claimed_until = None
    outbox.enqueue(session, topics.ADOPTION_DUE, {"nas_id": nas_id}, due_at=now + BUSY_RETRY)


def choices_of(row: BoxAdoption) -> Choices:
    rates = {profile: (down, up) for profile, (down, up) in row.choices["rates"].items()}
    return Choices(rates, row.choices["blocked_plan"])


def keep(
    session: Session, nas_id: int, proposal: Proposal, intent: ProposedIntent,
    counts: Mapping[str, Mapping[str, int]] | None, now: datetime,
) -> None:  # fmt: skip
    """`counts`: what was made, where somebody asked for that."""
    row = get_adoption(session, nas_id, lock=True)
    row.intent = {"body": dict(intent.body), "told": list(intent.told)}
    row.looked_at, row.error, row.asked_at, row.claimed_until = now, None, None, None
    row.plans, row.blocks = [plan_told(one, proposal) for one in proposal.plans.values()], list(proposal.blocks)
    if counts is not None:
        row.counts, row.taken_at = {kind: dict(of_kind) for kind, of_kind in counts.items()}, now
        events.record(session, "adoption.taken", "nas", nas_id, counts=row.counts)
    session.execute(delete(AdoptedLogin).where(AdoptedLogin.nas_id == nas_id))
    rows = [{"nas_id": nas_id, **one} for one in logins_told(proposal)]
    if rows:
        session.execute(insert(AdoptedLogin), rows)


def keep_owned(session: Session, nas_id: int, owning: Owning) -> None:
    """Secrets are ours, and those that are not are told."""
    row = _answered(session, nas_id)
    row.owned = {
        "services": len(owning.services), "refused": list(map(list, owning.refused)),
        "told": list(map(list, owning.told)),
    }  # fmt: skip


def keep_owned_intent(session: Session, nas_id: int, rows: Owned, *, kept: bool) -> None:
    row = _answered(session, nas_id)
    row.owned_intent = {"rows": [f"{menu} {' '.join(key)}" for menu, key in rows], "kept": kept}


def _answered(session: Session, nas_id: int) -> BoxAdoption:
    row = get_adoption(session, nas_id, lock=True)
    row.error, row.asked_at, row.claimed_until = None, None, None
    return row


def fail(session: Session, nas_id: int, detail: str) -> None:
    row = get_adoption(session, nas_id, lock=True)
    row.error, row.asked_at, row.claimed_until = detail, None, None


def counted(session: Session, nas_id: int) -> dict[Standing, int]:
    query = select(AdoptedLogin.standing, func.count()).where(AdoptedLogin.nas_id == nas_id)
    found = {standing: count for standing, count in session.execute(query.group_by(AdoptedLogin.standing))}  # noqa: C416
    return {standing: found.get(standing, 0) for standing in Standing}


def plan_told(one: ProposedPlan, proposal: Proposal) -> dict[str, Any]:
    terms = one.terms
    return {
        "name": one.name, "profile": one.profile if is_text(one.profile) else "",
        "down_kbps": terms and terms.down_kbps, "up_kbps": terms and terms.up_kbps,
        "services": sum(service.plan == one.name for service in proposal.services),
        "keeps_profile_for": list(one.beyond), "lost": list(one.lost),
    }  # fmt: skip


def logins_told(proposal: Proposal) -> Iterator[dict[str, Any]]:
    services = {one.login: one for one in proposal.services}
    for login, joined in proposal.joined.items():
        told = [*joined.differences, *joined.lost, *(f"the queue {one} stays" for one in joined.other_queues)]
        yield _login(login, Standing.HERE, services.get(login), joined.here.service_id, joined.here.plan, told)
    for one in proposal.services:
        if one.login not in proposal.joined:
            yield _login(one.login, Standing.NEW, one, None, one.plan, list(one.lost))
    for left in proposal.left_out:
        told = [f"{left.reason}; {left.fix}" if left.fix else left.reason]
        yield _login(left.login, Standing(left.kind.value), left.service, None, None, told)
    for login in proposal.ours:
        yield _login(login, Standing.OURS, None, None, None, [])


def _login(
    login: str, standing: Standing, one: ProposedService | None, service_id: int | None, plan: str | None,
    told: list[str],
) -> dict[str, Any]:  # fmt: skip
    return {
        "login": login, "standing": standing, "service_id": service_id, "plan": plan,
        "customer": one and one.customer, "ipv4_address": one and one.terms.ipv4_address,
        "hold": one.hold.note if one and one.hold else None, "told": told,
    }  # fmt: skip
