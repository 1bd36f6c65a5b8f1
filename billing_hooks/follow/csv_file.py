"""A CSV file that the other system writes, here on this machine or at a web server, by a mapping of its columns.

`column_id`, `column_standing` and so on name the file's own columns for the names of `mapped`. A file that is being
written is read by half: a last line without its line end says that, and then nothing of the file is taken.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from billing_hooks.bank_files.base import BankFileMalformed, clean, decode, ended
from billing_hooks.follow.base import MakeClient, Reading, Unreadable, parse_standings
from billing_hooks.follow.mapped import COLUMNS, REQUIRED, STANDINGS, read_rows
from billing_hooks.gateways.base import Access
from billing_hooks.gateways.http import Http
from billing_hooks.invoicing.words import Words
from core.errors import InvalidInput

OCTETS_MAX: Final = 16 * 1024 * 1024
#: What a local file may be called: whoever names one here is to read no other.
SUFFIXES: Final = (".csv", ".txt")
_HALF: Final = Words(
    "a última linha não tem fim de linha: pode ser meio arquivo",
    "the last line has no line end: the file may be half of one",
)
_EMPTY: Final = Words(
    "o arquivo está vazio: não há linha com os nomes das colunas",
    "the file is empty: there is no line with the names of its columns",
)


class CsvFile:
    """`path` is of a local file, absolute, or at `base_url`."""

    settings: Mapping[str, str] = {
        "base_url": "", "path": "", "delimiter": ";", "encoding": "", "standings": STANDINGS,
        **{f"column_{name}": name for name in COLUMNS},
    }  # fmt: skip
    #: Of a web server that asks who reads; not needed.
    credentials: Sequence[str] = ("user", "password")

    def check(self, settings: Mapping[str, str], credentials: Mapping[str, str]) -> None:  # noqa: ARG002
        parse_standings(settings["standings"])
        if len(settings["delimiter"]) != 1 or settings["delimiter"] in '"\r\n\x00':
            raise InvalidInput("is one character", field="settings.delimiter")
        for name in REQUIRED:
            if not settings[f"column_{name}"]:
                raise InvalidInput("is needed", field=f"settings.column_{name}")
        if not settings["path"]:
            raise InvalidInput("name the file", field="settings.path")
        if not settings["base_url"]:
            _check_local(Path(settings["path"]))

    def read(self, access: Access, make_client: MakeClient, known: Collection[str]) -> Reading:  # noqa: ARG002
        settings = access.settings
        octets = _fetch(access, make_client) if settings["base_url"] else _read_local(Path(settings["path"]))
        return read_octets(octets, settings)


def read_octets(octets: bytes, settings: Mapping[str, str]) -> Reading:
    """Pure. Raises Unreadable for what is no such file, and says nothing of what it holds."""
    try:
        text = decode(octets, settings["encoding"] or None)
    except BankFileMalformed as error:
        said = error.detail.rpartition(": ")[2]
        raise Unreadable(Words(f"o arquivo não pode ser lido: {said}", f"the file {said}")) from None
    if not ended(text):
        raise Unreadable(_HALF)
    return read_rows(_rows(text, settings), settings["standings"])


def _rows(text: str, settings: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=settings["delimiter"], strict=True)
    places: Mapping[str, int] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if places is None:
                places = _places(row, settings)
                continue
            yield reader.line_num, {name: row[place] for name, place in places.items() if place < len(row)}
    except csv.Error as error:
        line = reader.line_num
        raise Unreadable(Words(
            f"a linha {line} do arquivo não é CSV: {error}", f"line {line} of the file is no CSV: {error}"
        )) from None  # fmt: skip
    if places is None:
        raise Unreadable(_EMPTY)


def _places(names: Sequence[str], settings: Mapping[str, str]) -> Mapping[str, int]:
    plain = [clean(name).casefold() for name in names]
    places = {}
    for name in COLUMNS:
        column = clean(settings[f"column_{name}"]).casefold()
        if column in plain:
            places[name] = plain.index(column)
        elif name in REQUIRED:
            wanted = settings[f"column_{name}"]
            raise Unreadable(Words(f"o arquivo não tem a coluna {wanted!r}", f"the file has no column {wanted!r}"))
    return places


def _fetch(access: Access, make_client: MakeClient) -> bytes:
    basic = (access.credentials["user"], access.credentials["password"]) if access.credentials else None
    with make_client(access) as client:
        return Http(client, octets_max=OCTETS_MAX).call("GET", access.settings["path"], basic=basic)


def _read_local(path: Path) -> bytes:
    try:
        real = path.resolve(strict=True)
        _check_local(real)
        with real.open("rb") as file:
            return file.read(OCTETS_MAX + 1)
    except OSError as error:
        raise Unreadable(Words(
            f"o arquivo {path} não pode ser lido: {error.strerror}", f"the file {path} cannot be read: {error.strerror}"
        )) from None  # fmt: skip


def _check_local(path: Path) -> None:
    if not path.is_absolute() or path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"is an absolute path ending with {' or '.join(SUFFIXES)}", field="settings.path")
