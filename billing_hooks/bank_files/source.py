"""Which reader a file is for. Pure."""

from __future__ import annotations

from billing_hooks.bank_files import cnab, ofx, spreadsheet
from billing_hooks.bank_files.base import BankFileMalformed, BankFileOfAnother, BankRows, same_document
from billing_hooks.bank_files.layouts import get_layout
from billing_hooks.bank_files.spreadsheet import CsvMapping


def read(octets: bytes, source: str | CsvMapping | None = None) -> BankRows:
    """`source` names a CNAB layout, or says how a CSV is written; None: the file says what it is.

    Raises BankFileMalformed, and InvalidInput for a layout that there is not.
    """
    if isinstance(source, CsvMapping):
        return spreadsheet.read(octets, source)
    if source is not None:
        return cnab.read(octets, get_layout(source))
    if ofx.is_ofx(octets):
        return ofx.read(octets)
    layout = cnab.layout_of(octets)
    if layout is None:
        detail = "is neither OFX nor a return file of a bank that we have; name a layout, or map a CSV"
        raise BankFileMalformed(detail, line=1, field="file")
    return cnab.read(octets, layout)


def refuse_another(rows: BankRows, *, documents: list[str], account: str | None = None) -> None:
    """Refuse a file of another company than these, or of another account or agreement. Raises BankFileOfAnother.

    A file that names no company passes, and so does any where no company of ours is known.
    """
    document = rows.company_document
    if document and documents and not any(same_document(document, own) for own in documents):
        detail = f"is of the company {document}; ours are {', '.join(documents)}"
        raise BankFileOfAnother(detail, line=1, field="company_document")
    if account is not None and _plain(account) != _plain(rows.account):
        detail = f"is of the account or agreement {rows.account}, not {account}"
        raise BankFileOfAnother(detail, line=1, field="account")


def _plain(account: str) -> list[str]:
    """Agency and account without dots, dashes and the zeros in front."""
    parts = ("".join(filter(str.isalnum, part)).lstrip("0") for part in account.upper().split("/"))
    return [part for part in parts if part]
