"""Bank files for tests: the vectors, a small writer of CNAB 400 and OFX, and a changed column here and there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.bank_files import source, store
from billing_hooks.bank_files.base import BankFileMalformed, BankRows
from billing_hooks.bank_files.spreadsheet import CsvMapping
from billing_hooks.bank_files.store import AS_IT_SAYS, How
from billing_hooks.bank_files.working import BankFiles
from billing_hooks.models import BankFile
from core import topics
from core.audit import Actor
from core.models import OutboxItem

VECTORS = Path(__file__).parent / "vectors" / "bank_files"


def vector(name: str) -> bytes:
    """A file as a bank would send it: without the comments, in latin-1 and with CRLF."""
    return b"".join(line.encode("latin-1") + b"\r\n" for line in vector_lines(name))


def vector_lines(name: str) -> list[str]:
    text = (VECTORS / name).read_text("utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def bring(
    session: Session, octets: bytes | str, now: datetime, *, how: How = AS_IT_SAYS, name: str = "a.ret"
) -> BankFile:
    """A file that came and was worked to its end."""
    raw = octets.encode() if isinstance(octets, str) else octets
    file = store.receive(session, raw, name=name, actor=Actor("operator:ana", "192.0.2.7"), now=now, how=how)
    work_to_end(session, now)
    return file


def work_to_end(session: Session, now: datetime) -> None:
    """What the workers would do of bank files, until nothing of it is owed."""
    owed = select(OutboxItem).where(OutboxItem.topic == topics.BANK_FILE_DUE.name).order_by(OutboxItem.id).limit(1)
    while (item := session.scalar(owed)) is not None:
        BankFiles(lambda: now).handle_due(session, item.payload)
        session.delete(item)
        session.flush()


def outcome(octets: bytes, how: str | CsvMapping | None = None) -> BankRows | BankFileMalformed:
    """What a reader makes of octets: there is nothing else that it may do."""
    try:
        return source.read(octets, how)
    except BankFileMalformed as malformed:
        return malformed


def is_named(result: BankRows | BankFileMalformed) -> bool:
    """Whether everything that is wrong has its line and field."""
    if isinstance(result, BankFileMalformed):
        return result.line >= 1 and bool(result.field)
    texts = (str(line) for line in result.lines)
    return all(one.line >= 1 and one.field for one in result.problems) and not any("\\x00" in text for text in texts)


def with_columns(line: str, first: int, text: str) -> str:
    """The line with this text from this column on."""
    return line[: first - 1] + text + line[first - 1 + len(text) :]


def as_file(lines: list[str], end: str = "\r\n") -> bytes:
    return "".join(line + end for line in lines).encode("latin-1")


@dataclass(frozen=True)
class Detail:
    """A line of an Itaú return, columns as in its manual. `paid` includes interest and the fee."""

    code: str
    title: int
    on: date
    paid: int = 0
    nominal: int = 9990
    fee: int = 0
    interest: int = 0
    discount: int = 0
    due: date = date(2026, 11, 10)
    reference: str = ""
    document: str = ""
    payer: str = ""
    credited: date | None = None

    def written(self) -> str:
        line = " " * 400
        principal = self.paid - self.fee if self.paid else 0
        for first, text in (
            (1, "1"), (2, "02"), (4, "12345678000195"), (18, "0730"), (22, "00"), (24, "35110"), (29, "4"),
            (38, self.reference.ljust(25)), (63, f"{self.title:08}"), (83, "109"), (86, f"{self.title:08}"), (108, "I"),
            (109, self.code), (111, f"{self.on:%d%m%y}"), (117, self.document.ljust(10)), (147, f"{self.due:%d%m%y}"),
            (153, f"{self.nominal:013}"), (176, f"{self.fee:013}"), (228, "0" * 13), (241, f"{self.discount:013}"),
            (254, f"{principal:013}"), (267, f"{self.interest:013}"), (325, self.payer.ljust(30)[:30]),
            (296, f"{self.credited:%d%m%y}" if self.credited else "000000"),
        ):  # fmt: skip
            line = with_columns(line, first, text)
        return line


def itau_return(*details: Detail, account: str = "351104", number: int = 1) -> bytes:
    """A whole file, with its sequence and trailer."""
    header = with_columns(" " * 400, 1, "02RETORNO01COBRANCA")
    for first, text in ((27, "0730"), (31, "00"), (33, account), (77, "341"), (95, "241126"), (109, f"{number:05}")):
        header = with_columns(header, first, text)
    trailer = with_columns(with_columns(" " * 400, 1, "9201341"), 213, f"{len(details):08}")
    lines = [header, *(detail.written() for detail in details), trailer]
    return as_file([with_columns(line, 395, f"{place:06}") for place, line in enumerate(lines, 1)])


def ofx(
    *entries: str, bank: str = "0341", account: str = "35110-4", head: str = "OFXHEADER:100\nENCODING:USASCII\n"
) -> str:
    body = "".join(f"<STMTTRN>\n{entry}\n</STMTTRN>\n" for entry in entries)
    return (
        f"{head}\n<OFX>\n<BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>BRL\n<BANKACCTFROM>\n<BANKID>{bank}\n<ACCTID>{account}\n"
        f"<ACCTTYPE>CHECKING\n</BANKACCTFROM>\n<BANKTRANLIST>\n<DTSTART>20261101\n<DTEND>20261130\n{body}</BANKTRANLIST>\n"
        "<LEDGERBAL><BALAMT>0\n<DTASOF>20261130\n</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1>\n</OFX>\n"
    )


def entry(fitid: str, amount: str, memo: str = "", on: str = "20261123", kind: str = "OTHER", **more: str) -> str:
    tags = {"TRNTYPE": kind, "DTPOSTED": on, "TRNAMT": amount, "FITID": fitid, **more, "MEMO": memo}
    return "\n".join(f"<{name}>{value}" for name, value in tags.items())
