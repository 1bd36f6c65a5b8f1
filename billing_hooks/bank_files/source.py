"""Which reader a file is for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from billing_hooks.bank_files import cnab, ofx, spreadsheet
from billing_hooks.bank_files.base import (
    OCTETS_MAX,
    BankFileMalformed,
    BankFileOfAnother,
    BankRows,
    same_account,
    same_document,
)
from billing_hooks.bank_files.layouts import get_layout
from billing_hooks.bank_files.spreadsheet import CsvMapping

#: Of a file, as much as says what it is.
_HEAD_OCTETS: Final = 4096


def read(octets: bytes, source: str | CsvMapping | None = None) -> BankRows:
    """`source` names a CNAB layout, or says how a CSV is written; None: the file says what it is.

    Raises BankFileMalformed, and InvalidInput for a layout or mapping that there is not.
    """
    return reader_of(octets, source)(octets)


def reader_of(octets: bytes, source: str | CsvMapping | None = None) -> Callable[[bytes], BankRows]:
    """By the file's beginning; nothing else of it is looked at. Raises as `read` does."""
    if len(octets) > OCTETS_MAX:
        raise BankFileMalformed(f"has {len(octets)} octets; the most is {OCTETS_MAX}", line=1, field="file")
    if isinstance(source, CsvMapping):
        source.check()
        return partial(spreadsheet.read, mapping=source)
    if source is not None:
        return partial(cnab.read, layout=get_layout(source))
    head = octets[:_HEAD_OCTETS]
    if ofx.is_ofx(head):
        return ofx.read
    layout = cnab.layout_of(head)
    if layout is None:
        detail = "is neither OFX nor a return file of a bank that we have; name a layout, or map a CSV"
        raise BankFileMalformed(detail, line=1, field="file")
    return partial(cnab.read, layout=layout)


def refuse_another(rows: BankRows, *, documents: list[str], account: str | None = None) -> None:
    """Refuse a file of another company than these, or of another account or agreement. Raises BankFileOfAnother.

    A file that names no company passes, and so does any where no company of ours is known.
    """
    document = rows.company_document
    if document and documents and not any(same_document(document, own) for own in documents):
        detail = f"is of the company {document}; ours are {', '.join(documents)}"
        raise BankFileOfAnother(detail, line=1, field="company_document")
    if account is not None and not same_account(account, rows.account):
        detail = f"is of the account or agreement {rows.account}, not {account}"
        raise BankFileOfAnother(detail, line=1, field="account")
