"""Plans against the boxes that serve them: what a plan names is there, or the plan is refused before it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from aaa.vendors import Local
from core.errors import InvalidInput
from core.models.network import Nas
from core.models.service import Plan
from core.policy import WALLED_GARDEN_LIST
from provisioning.jobs.models import BrasIntent
from provisioning.napalm import names
from provisioning.napalm.models import ManagedDevice
from provisioning.napalm.names import Missing, Needed
from provisioning.napalm.traits import traits_of

_FIELDS: Final = (
    "profile", "throttle_profile", "address_pool", "ipv6_pool", "delegated_ipv6_pool", "address_list",
    "ingress_filter", "egress_filter", "vrf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownBox:
    """A box whose names were read. `serves`: names of plans; None: all."""

    nas: Nas
    names: Mapping[str, list[str]]
    serves: list[str] | None

    def missing(self, plan: Plan) -> list[Missing]:
        if self.serves is not None and plan.name not in self.serves:
            return []
        fields = {field: getattr(plan, field) for field in _FIELDS}
        return self._missing(names.needed(self.nas.vendor, fields, self._local))

    def missing_walled_garden(self) -> list[Missing]:
        """Where debtors are sent, whatever their plan."""
        return self._missing(names.needed_list(self.nas.vendor, WALLED_GARDEN_LIST, self._local))

    @property
    def _local(self) -> Local:
        return Local(self.nas.names, self.nas.options)

    def _missing(self, wanted: Iterable[Needed]) -> list[Missing]:
        assert self.nas.management is not None  # noqa: S101  (that is how its names were read)
        return names.missing(traits_of(self.nas.management["driver"]).platform, self.names, wanted)


class DevicePlanNames:
    """As core.plan_names wants it, by the last look at each box."""

    def check(self, session: Session, plan: Plan) -> None:
        for box in known_boxes(session):
            for one in box.missing(plan):
                raise InvalidInput(
                    f"NAS {box.nas.name} has {one}: make it there first, write how it is called there into the NAS "
                    "entry's `names`, or leave this plan out of what the box `serves`", field=one.needed.field,
                )  # fmt: skip


def known_boxes(session: Session) -> Iterator[KnownBox]:
    query = (
        select(Nas, ManagedDevice.names, BrasIntent.body)
        .join(ManagedDevice, ManagedDevice.nas_id == Nas.id)
        .outerjoin(BrasIntent, BrasIntent.nas_id == Nas.id)
        .where(Nas.management.is_not(None), ManagedDevice.names.is_not(None))
        .order_by(Nas.name)
    )
    for nas, there, body in session.execute(query).all():
        yield KnownBox(nas, there, (body or {}).get("serves"))


def lacking(session: Session, nas_id: int | None = None) -> list[str]:
    """What plans name and boxes that serve them do not have, in words."""
    plans = session.scalars(select(Plan).order_by(Plan.name)).all()
    found: list[str] = []
    for box in known_boxes(session):
        if nas_id is not None and box.nas.id != nas_id:
            continue
        found += [f"plan {plan.name}, {one.needed.field}: NAS {box.nas.name} has {one}"
                  for plan in plans for one in box.missing(plan)]  # fmt: skip
        found += [f"walled garden: NAS {box.nas.name} has {one}" for one in box.missing_walled_garden()]
    return found
