"""Bank files as they come: stored with their octets, read by a worker, once each.

A file is known by its octets and by how it is to be read; a line by what it says (`BankLine.identity`), in whatever
files it comes. `receive` looks at a file's beginning and stores it. `read` takes it whole or refuses it whole, and
stores its lines, which are then `working`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks.bank_files import mappings, source
from billing_hooks.bank_files.base import BankFileMalformed, BankLine, BankRows, Problem
from billing_hooks.bank_files.spreadsheet import CsvMapping
from billing_hooks.models import BankFile, BankFileLine, BankFileStatus, BankLineStatus
from core import audit, events, outbox, topics
from core.audit import Actor
from core.errors import InvalidInput, NotFound
from core.models.party import Company

NAME_LENGTH_MAX: Final = 255
#: Lines that one statement looks up.
_PAGE: Final = 1000
_LINES = cast("Table", BankFileLine.__table__)
#: What is stored of a line as it was read.
LINE_FIELDS: Final = tuple(one.name for one in fields(BankLine))
#: What a line that waits takes from a better reading of it.
_NAMES: Final = ("document", "reference", "payer_document")


@dataclass(frozen=True, slots=True)
class How:
    """What somebody says of a file that does not say it itself: its CNAB layout, or how a CSV is written.

    `account` is the agreement or account that it has to be of.
    """

    layout: str | None = None
    mapping: CsvMapping | None = None
    account: str | None = None

    @property
    def reader(self) -> str | CsvMapping | None:
        """As `source.read` takes it."""
        return self.mapping or self.layout


AS_IT_SAYS: Final = How()


def receive(
    session: Session, octets: bytes, *, name: str, actor: Actor, now: datetime, how: How = AS_IT_SAYS
) -> BankFile:
    """Store a file, to be read by a worker. The same octets again are the file that there is.

    Raises BankFileMalformed for what is no file of a bank by its beginning, InvalidInput for a layout or mapping.
    """
    if how.layout is not None and how.mapping is not None:
        raise InvalidInput("a file has a layout or is mapped, not both", field="layout")
    source.reader_of(octets, how.reader)
    digest = _digest(octets, how)
    values = {
        "digest": digest, "name": name.replace("\x00", "")[:NAME_LENGTH_MAX], "octets": octets, "how": _to_body(how),
        "status": BankFileStatus.RECEIVED, "imported_by": actor.name, "imported_at": now, "format": "", "layout": "",
        "bank": "", "account": "", "company_document": "",
    }  # fmt: skip
    new_id = session.scalar(insert(BankFile).values(values).on_conflict_do_nothing().returning(BankFile.id))
    file = session.scalars(select(BankFile).where(BankFile.digest == digest).with_for_update()).one()
    if new_id is not None:
        audit.record(session, actor, "import", "bank_file", file.id, {"name": file.name, "digest": digest})
    elif file.status is not BankFileStatus.REFUSED:
        return file
    else:  # what stood against it may be mended: a company that was not ours yet
        file.status, file.how, file.problems, file.finished_at = BankFileStatus.RECEIVED, _to_body(how), {}, None
        session.flush()
    outbox.enqueue(session, topics.BANK_FILE_DUE, {"file_id": file.id})
    return file


def get_file(session: Session, file_id: int) -> BankFile:
    file = session.get(BankFile, file_id)
    if file is None:
        raise NotFound("bank file", file_id)
    return file


def count_lines(session: Session, file_ids: Sequence[int]) -> dict[int, dict[BankLineStatus, int]]:
    """Of each file, how many of the lines that it was the first to hold are how far."""
    query = select(BankFileLine.file_id, BankFileLine.status, func.count()).where(BankFileLine.file_id.in_(file_ids))
    found: dict[int, dict[BankLineStatus, int]] = {file_id: {} for file_id in file_ids}
    for file_id, status, count in session.execute(query.group_by(BankFileLine.file_id, BankFileLine.status)):
        found[file_id][status] = count
    return found


def read(session: Session, file: BankFile, now: datetime) -> None:
    """Store the lines of a file that was received; refuse one that is malformed, or somebody else's."""
    how = _from_body(file.how)
    try:
        rows = source.read(file.octets, how.reader)
        source.refuse_another(rows, documents=list(session.scalars(select(Company.document))), account=how.account)
    except BankFileMalformed as malformed:
        _refuse(session, file, malformed.problem, now)
    except InvalidInput as refused:  # a layout that this release has no more
        _refuse(session, file, Problem(1, refused.field or "file", refused.detail), now)
    else:
        _describe(file, rows)
        _store_lines(session, file, rows.lines)


def _refuse(session: Session, file: BankFile, problem: Problem, now: datetime) -> None:
    file.status, file.finished_at = BankFileStatus.REFUSED, now
    file.problems = {"lines": [problem._asdict()]}
    session.flush()
    events.record(session, "bank_file.refused", "bank_file", file.id, name=file.name, **problem._asdict())


def _describe(file: BankFile, rows: BankRows) -> None:
    file.status = BankFileStatus.READ
    file.format, file.layout, file.bank, file.account = rows.format, rows.layout, rows.bank, rows.account
    file.company_document, file.written_on = rows.company_document, rows.written_on
    file.period_from, file.period_until = rows.period
    file.problems = {"lines": [problem._asdict() for problem in rows.problems]}


def _store_lines(session: Session, file: BankFile, lines: Sequence[BankLine]) -> None:
    """Each line once, in the first file that held it."""
    session.flush()
    new = insert(_LINES).on_conflict_do_nothing(index_elements=[_LINES.c.identity]).inline()
    for page in _pages(lines):
        session.execute(new, [_values(file.id, line) for line in page])
    file.lines_new = session.scalar(select(func.count()).where(BankFileLine.file_id == file.id)) or 0
    file.lines_repeated = len(lines) - file.lines_new
    if file.lines_repeated:
        for page in _pages(lines):
            _take_news(session, file, page)
    session.flush()


def _values(file_id: int, line: BankLine) -> dict[str, Any]:
    said = {name: getattr(line, name) for name in LINE_FIELDS}
    return said | {
        "file_id": file_id, "due_file_id": file_id, "identity": line.identity, "status": BankLineStatus.READ,
    }  # fmt: skip


def _take_news(session: Session, file: BankFile, lines: Sequence[BankLine]) -> None:
    """A line that is told again may say what it did not know: the day of the credit, or, by a better mapping, whom it
    names."""
    known = {
        row.identity: row
        for row in session.execute(
            select(
                BankFileLine.id, BankFileLine.identity, BankFileLine.status, BankFileLine.credited_on,
                *(getattr(BankFileLine, name) for name in _NAMES),
            ).where(BankFileLine.identity.in_([line.identity for line in lines]))
        )
    }  # fmt: skip
    credited = [
        {"line_id": known[line.identity].id, "on": line.credited_on, "net": line.net_cents}
        for line in lines
        if line.credited_on is not None and known[line.identity].credited_on is None
    ]
    named = [
        {"line_id": known[line.identity].id} | {f"new_{name}": getattr(line, name) for name in _NAMES}
        for line in lines
        if known[line.identity].status is BankLineStatus.WAITING and _names_more(line, known[line.identity])
    ]
    one = update(_LINES).where(_LINES.c.id == bindparam("line_id")).values(due_file_id=file.id)
    if credited:
        session.execute(one.values(credited_on=bindparam("on"), net_cents=bindparam("net")), credited)
    if named:
        session.execute(one.values({name: bindparam(f"new_{name}") for name in _NAMES}), named)


def _names_more(line: BankLine, known: Any) -> bool:  # noqa: ANN401  (a row of these columns)
    return any(getattr(line, name) not in {"", getattr(known, name)} for name in _NAMES)


def _pages(lines: Sequence[BankLine]) -> Iterator[Sequence[BankLine]]:
    return (lines[start : start + _PAGE] for start in range(0, len(lines), _PAGE))


def _digest(octets: bytes, how: How) -> str:
    """Of a file that does not say itself how it is read, that is a part of what was imported."""
    body = {key: value for key, value in _to_body(how).items() if key != "account"}
    said = b"\0" + json.dumps(body, sort_keys=True).encode() if body else b""
    return hashlib.sha256(octets + said).hexdigest()


def _to_body(how: How) -> dict[str, Any]:
    """What was said, and nothing else."""
    mapping = mappings.to_body(how.mapping) if how.mapping is not None else None
    body = {"layout": how.layout, "mapping": mapping, "account": how.account}
    return {key: value for key, value in body.items() if value is not None}


def _from_body(body: Mapping[str, Any]) -> How:
    mapping = mappings.from_body(body["mapping"]) if "mapping" in body else None
    return How(body.get("layout"), mapping, body.get("account"))
