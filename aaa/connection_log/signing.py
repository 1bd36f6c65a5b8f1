"""The key that signs answers: from the provider's PKCS#12 file (an ICP-Brasil A1 certificate), or one of our own.

One of our own shows that the document was not changed since this installation signed it, and by which installation; it
says nothing of who the provider is. The document itself tells which of the two it was signed with.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter

from core.errors import ConfigurationError

_VALID: Final = timedelta(days=3650)
_FIELD: Final = "Assinatura"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`own` is a key that this installation made for itself. `subject` is who the certificate names."""

    signer: signers.SimpleSigner
    subject: str
    fingerprint: str
    own: bool

    def sign(self, pdf: bytes, reason: str) -> bytes:
        """PAdES B-B: a CMS signature with signing-certificate attribute, over all of the document."""
        metadata = signers.PdfSignatureMetadata(
            field_name=_FIELD, reason=reason, md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
        )
        signed = BytesIO()
        signers.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), metadata, self.signer, output=signed)
        return signed.getvalue()


def load_pkcs12(path: Path, password: str) -> SigningKey:
    """Raises ConfigurationError without the password in it."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"PROVEDOR_SIGNATURE_FILE {path}: {error.strerror}") from None
    return _signing_key(octets, password.encode(), path, own=False)


def load_own(path: Path, *, name: str, now: datetime) -> SigningKey:
    """Made where there is none, and kept as the key file is: mode 0600, readable by its owner only."""
    if not path.exists():
        _create(path, name, now)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"the signature key {path} must be readable by its owner only (chmod 600)")
    return _signing_key(path.read_bytes(), None, path, own=True)


def _signing_key(octets: bytes, password: bytes | None, path: Path, *, own: bool) -> SigningKey:
    try:
        signer = signers.SimpleSigner.load_pkcs12_data(octets, other_certs=[], passphrase=password)
    except ValueError:
        signer = None
    if signer is None or signer.signing_cert is None:
        raise ConfigurationError(
            f"PROVEDOR_SIGNATURE_FILE {path} is no PKCS#12 file, or PROVEDOR_SIGNATURE_PASSWORD does not open it"
        )
    certificate = signer.signing_cert
    return SigningKey(signer, certificate.subject.human_friendly, certificate.sha256_fingerprint.replace(" ", ""), own)


def _create(path: Path, name: str, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Provedor {name}"[:64])])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    octets = serialization.pkcs12.serialize_key_and_certificates(
        b"provedor", key, certificate, None, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
