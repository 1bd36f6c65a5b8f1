"""What may stand in a gateway account. Each check raises InvalidInput with the place and what is to be done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from core.errors import InvalidInput

#: Of a header or of Basic's name and password; a certificate's text is longer, and checked by `mutual_tls`.
_PLAIN: Final = re.compile(r"[!-~]{1,4096}")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def check_plain_secret(secret: str, what: str, length_min: int, length_max: int = 255, *, prefix: str = "") -> None:
    """A webhook's secret that a header bears: `what` it is in the gateway's words."""
    well = secret.isascii() and secret.isprintable() and secret == secret.strip()
    if not (well and length_min <= len(secret) <= length_max and secret.startswith(prefix)):
        begins = f", and begins with {prefix}" if prefix else ""
        raise InvalidInput(f"{what} has {length_min} to {length_max} plain characters{begins}", field="secret")


def check_names(given: Mapping[str, str], known: Mapping[str, str] | Sequence[str], kind: str, gateway: str) -> None:
    """`kind` is settings or credentials."""
    for name in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidInput(f"{gateway} has no such {kind}; it has {names}", field=f"{kind}.{name}")


def check_credential(name: str, value: str) -> None:
    if not _PLAIN.fullmatch(value):
        raise InvalidInput(
            "has a space, a line break or a letter that no header takes: copy it again", field=f"credentials.{name}"
        )


def check_base_url(settings: Mapping[str, str]) -> None:
    """https, because our credentials go there; http for a simulator on this machine alone."""
    url = settings.get("base_url")
    if url is None:
        return
    field, no_url = "settings.base_url", "is no URL such as https://api.example.com"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidInput(no_url, field=field) from None
    if parts.scheme not in {"http", "https"} or not host or not _PLAIN.fullmatch(url):
        raise InvalidInput(no_url, field=field)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInput("ends with its path: no name, password, ? or #", field=field)
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidInput("must be https://: our credentials are sent there", field=field)


def check_choice(settings: Mapping[str, str], name: str, choices: Sequence[str]) -> None:
    if name in settings and settings[name] not in choices:
        listed = ", ".join(choice or "nothing" for choice in choices)
        raise InvalidInput(f"is one of {listed}", field=f"settings.{name}")


def check_form(settings: Mapping[str, str], name: str, form: str, what: str) -> None:
    """`what` completes "is …"."""
    if name in settings and not re.fullmatch(form, settings[name]):
        raise InvalidInput(f"is {what}", field=f"settings.{name}")


def check_days(settings: Mapping[str, str], name: str, least: int) -> None:
    value = settings.get(name, str(least))
    if not re.fullmatch("[0-9]{1,4}", value) or int(value) < least:
        raise InvalidInput(f"is a number of days, {least} to 9999", field=f"settings.{name}")


def check_path(settings: Mapping[str, str], name: str) -> None:
    if name in settings and not _PATH.fullmatch(settings[name]):
        raise InvalidInput("is a path such as /oauth/token, without the host", field=f"settings.{name}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
