"""Where a session's box listens for CoA and Disconnect, and by which keys it knows the session."""

from __future__ import annotations

from typing import NamedTuple

from aaa.authenticator import SharedSecret
from aaa.coa.client import Target
from aaa.packet import Kind, text_attribute
from aaa.vendors import SessionKeys, adapter
from core.keyring import NAS_SECRET, Keyring
from core.models.network import Nas, Session


class Place(NamedTuple):
    target: Target
    keys: bytes
    #: The session's id alone, for when one of the other keys may be stale.
    only_id: bytes


def place_of(live: Session, nas: Nas, keyring: Keyring) -> Place:
    """Raises SealBroken. Where the entry is a network, its box is where it says it is."""
    address = live.nas_address if "/" in nas.address else nas.address
    ipv4 = None if ":" in live.nas_address else live.nas_address
    keys = adapter(nas.vendor).session_keys(
        SessionKeys(live.login, live.acct_session_id, live.framed_ipv4, ipv4, live.nas_port_id)
    )
    secret = SharedSecret(keyring.open(nas.secret_encrypted, NAS_SECRET))
    return Place(
        Target(address, nas.coa_port, secret), keys, text_attribute(Kind.ACCT_SESSION_ID, live.acct_session_id)
    )
