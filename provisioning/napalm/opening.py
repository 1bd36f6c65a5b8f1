"""The way to a managed box, as the database has it; another host key than the approved one is told of, once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.dialects.postgresql import insert

from core import events
from core.database import Database
from core.errors import Conflict
from core.keyring import Keyring
from core.models.network import Nas
from core.nas_management import ManagementAccess, management_of
from provisioning.napalm import host_keys
from provisioning.napalm.devices import Device, open_device
from provisioning.napalm.errors import HostKeyRefused
from provisioning.napalm.models import ManagedDevice


def access_of(nas: Nas, keyring: Keyring) -> ManagementAccess:
    """Raises Conflict or SealBroken."""
    access = management_of(nas, keyring)
    if access is None:
        raise Conflict(f"NAS {nas.name} is not managed: set `management`", field="management")
    return access


def check_approved(access: ManagementAccess) -> None:
    """For whoever acts by the clock, which trusts no box that nobody approved. Raises Conflict."""
    if access.host_key is None:
        raise Conflict("its SSH host key was not approved yet: plan a change, look at the key, and approve")


def open_watched(
    database: Database, access: ManagementAccess, secrets: Sequence[str] = (), name: str | None = None
) -> Device:
    """As `open_device`."""
    try:
        return open_device(access, secrets, name)
    except HostKeyRefused as refused:
        _keep_refused(database, access.nas_id, refused.seen)
        raise


def _keep_refused(database: Database, nas_id: int, seen: str) -> None:
    with database.transaction() as session:
        session.execute(insert(ManagedDevice).values(nas_id=nas_id).on_conflict_do_nothing())
        row = session.get_one(ManagedDevice, nas_id, with_for_update=True)
        if row.refused_host_key == seen:
            return
        row.refused_host_key = seen
        events.record(session, "nas.host_key_refused", "nas", nas_id, host_key=seen,
                      fingerprint=host_keys.fingerprint(seen))  # fmt: skip
