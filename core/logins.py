"""What may be a login, a subscriber's password, or the name of something at a NAS, on the wire.

RFC 2865 sections 5.1 and 5.2: User-Name is UTF-8 of at most 253 octets, User-Password at most 128 octets.
"""

from __future__ import annotations

import unicodedata

from core.errors import InvalidInput

LOGIN_OCTETS_MAX = 253
PASSWORD_OCTETS_MAX = 128
#: A vendor's attribute holds fewer than a standard one (RFC 2865 5.26), and the name may go into either.
NAME_OCTETS_MAX = 247


def check_login(login: str) -> str:
    """The login in Unicode NFC; raises InvalidInput naming `login`."""
    normal = unicodedata.normalize("NFC", login)
    if not normal or normal != normal.strip():
        raise InvalidInput("a login is not empty and does not begin or end with a blank", field="login")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in normal):
        raise InvalidInput("a login has no control characters", field="login")
    if len(normal.encode()) > LOGIN_OCTETS_MAX:
        raise InvalidInput(f"a login is at most {LOGIN_OCTETS_MAX} octets in UTF-8", field="login")
    return normal


def check_password(password: str) -> str:
    """The password as given; raises InvalidInput naming `password` (never its value)."""
    if not password or "\0" in password:
        # RFC 2865 5.2 pads with NUL: a password that contains one cannot be told from its padding.
        raise InvalidInput("a password is not empty and has no NUL", field="password")
    try:
        octets = len(password.encode())
    except UnicodeEncodeError:
        raise InvalidInput("a password is text that UTF-8 can write", field="password") from None
    if octets > PASSWORD_OCTETS_MAX:
        raise InvalidInput(f"a password is at most {PASSWORD_OCTETS_MAX} octets in UTF-8", field="password")
    return password


def check_name(name: str, *, field: str) -> str:
    """The name of a pool or address list as a NAS is to be told it; raises InvalidInput naming `field`."""
    if not name or any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InvalidInput("a name at a NAS is not empty and has no control characters", field=field)
    if len(name.encode()) > NAME_OCTETS_MAX:
        raise InvalidInput(f"a name at a NAS is at most {NAME_OCTETS_MAX} octets in UTF-8", field=field)
    return name
