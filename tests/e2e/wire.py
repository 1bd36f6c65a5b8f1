"""Accounting packets made by hand."""

from __future__ import annotations

from small_provider import NAS_SECRET

from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Code, Kind, integer_attribute, text_attribute


def accounting(identifier: int, session: str, status: int, stamp: int, seconds: int) -> bytes:
    """An Accounting-Request of a box named `box`; a thousand octets a second came from the subscriber."""
    attributes = (
        text_attribute(Kind.USER_NAME, "somebody")
        + text_attribute(Kind.NAS_IDENTIFIER, "box")
        + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
        + text_attribute(Kind.ACCT_SESSION_ID, session)
        + integer_attribute(Kind.EVENT_TIMESTAMP, stamp)
        + integer_attribute(Kind.ACCT_SESSION_TIME, seconds)
        + integer_attribute(Kind.ACCT_INPUT_OCTETS, 1000 * seconds)
    )
    secret = SharedSecret(NAS_SECRET.encode())
    return sign_request(Code.ACCOUNTING_REQUEST, identifier, attributes, secret, message_authenticator=False)
