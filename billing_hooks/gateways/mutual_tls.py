"""Mutual TLS towards a gateway's API: the account's own certificate, from PEM text to a context that shows it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime
from tempfile import NamedTemporaryFile
from typing import Final

import httpx
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from core.errors import InvalidInput

#: Names of credentials; an adapter that lists the one lists the other. A chain stands in the first, leaf first.
CERTIFICATE: Final = "certificate"
PRIVATE_KEY: Final = "private_key"


def client_context(credentials: Mapping[str, str]) -> ssl.SSLContext:
    """What an API is called with: it trusts whom httpx trusts, and shows the account's certificate if there is one.

    Raises InvalidInput for a certificate or key that cannot be used, and says neither's content.
    """
    context = httpx.create_ssl_context()
    if CERTIFICATE in credentials:
        _check(credentials[CERTIFICATE], credentials[PRIVATE_KEY])
        _load(context, credentials[CERTIFICATE], credentials[PRIVATE_KEY])
    return context


def authorities_of(pem: str) -> list[bytes]:
    """The certificates (DER) of those whom a bank's own client certificates come from. Raises InvalidInput."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise InvalidInput(
            "is no certificate in PEM: the authorities of its client certificates, as the bank publishes them",
            field="settings.webhook_ca",
        ) from None
    return [one.public_bytes(Encoding.DER) for one in found]


def ends_at(credentials: Mapping[str, str]) -> datetime | None:
    """When the account's certificate is good no longer; None where it has none."""
    if CERTIFICATE not in credentials:
        return None
    return min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(credentials[CERTIFICATE].encode()))


def _check(certificate: str, private_key: str) -> None:
    """The reasons that OpenSSL would not give; and it would ask the terminal for a passphrase."""
    try:
        x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        raise InvalidInput(
            "is no certificate in PEM; from a .p12 file: openssl pkcs12 -in FILE -clcerts -nokeys",
            field=f"credentials.{CERTIFICATE}",
        ) from None
    try:
        load_pem_private_key(private_key.encode(), password=None)
    except TypeError:
        raise InvalidInput(
            "has a passphrase: give it without (openssl pkey -in FILE)", field=f"credentials.{PRIVATE_KEY}"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput(
            "is no private key in PEM; from a .p12 file: openssl pkcs12 -in FILE -nocerts -nodes",
            field=f"credentials.{PRIVATE_KEY}",
        ) from None


def _load(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """OpenSSL reads certificates from files only: one that nobody else can read, gone at once."""
    with NamedTemporaryFile(suffix=".pem") as file:  # made with mode 0600
        file.write(f"{certificate}\n{private_key}\n".encode())
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise InvalidInput(_reason(error), field=f"credentials.{CERTIFICATE}") from None


def _reason(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "is not the certificate of this private key"
    return f"cannot be used: {error.reason}"
