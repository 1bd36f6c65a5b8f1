"""The Pix BR Code: the text of the QR code and of "copia e cola", written for static codes and read for both kinds.

Banco Central do Brasil, "Manual de Padrões para Iniciação do Pix" and "Manual do BR Code" (EMV QR Code, merchant
presented): fields of a two-digit id, a two-digit length and a value; field 63, last, is a CRC-16 of all before it.

    static     the key, and perhaps an amount and a txid: 26-01; may be paid any number of times
    dynamic    a location where the payer's bank fetches the charge: 26-25; what else it says is for show

A recurrence that stands beside either of them (field 80) is left alone.

The EMV standard wants its common character set (printable ASCII), and more than one bank refuses the rest, also signs
such as & and @ in names (bacen/pix-api, discussions 128, 634 and 635): a name or city is folded to letters, digits,
spaces and .-/, and cut to what the standard allows; the payer's bank shows the name that belongs to the key.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Final

from core.documents import normalise_document
from core.errors import InvalidInput

GUI: Final = "br.gov.bcb.pix"
NO_TXID: Final = "***"
NAME_LENGTH_MAX: Final = 25
CITY_LENGTH_MAX: Final = 15
AMOUNT_CENTS_MAX: Final = 999_999_999_999
CODE_LENGTH_MAX: Final = 512
_FIELD_LENGTH_MAX: Final = 99
#: Of 99, what the account's name leaves: 00 14 br.gov.bcb.pix, and 25 with its length.
LOCATION_LENGTH_MAX: Final = _FIELD_LENGTH_MAX - 18 - 4
_TXID: Final = re.compile(r"[a-zA-Z0-9]{1,25}")
_AMOUNT: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")
_LOCATION: Final = re.compile(r"[A-Za-z0-9.-]+\.[A-Za-z0-9-]+(:[0-9]+)?/[!-~]+")
_KEYS: Final = (
    re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}"),  # CPF or CNPJ
    re.compile(r"\+[1-9][0-9]{1,14}"),
    re.compile(r"(?=.{3,77}$)[a-z0-9.!#$&'*+/=?^_`{|}~-]+@[a-z0-9-]+(\.[a-z0-9-]+)*"),
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),  # a random key
)
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9 ./-]+")
_NOT_PRINTABLE: Final = re.compile(r"[^ -~]+")


class BrCodeMalformed(InvalidInput):
    """A text that is no Pix BR Code, or was altered; `field` is the id of the place ("26-01"), or `code`."""


@dataclass(frozen=True, slots=True)
class StaticCode:
    """`key` as the directory keeps it. Without an amount the payer enters one; without a txid nothing names what he
    pays. `additional` is shown to him."""

    key: str
    name: str
    city: str
    amount_cents: int | None = None
    txid: str | None = None
    additional: str = ""

    def __post_init__(self) -> None:
        check_key(self.key)
        _check_amount(self.amount_cents)
        if self.txid is not None and not _TXID.fullmatch(self.txid):
            raise InvalidInput("a static code's txid is 1 to 25 letters and digits", field="txid")
        room = _FIELD_LENGTH_MAX - len(_field("00", GUI) + _field("01", self.key)) - len("0200")
        if len(fold_text(self.additional)) > room:
            raise InvalidInput(f"beside this key there is room for {room} characters", field="additional")

    def folded(self) -> StaticCode:
        """As it is written into the code. Raises InvalidInput where nothing is left of a name."""
        name, city = _folded_names(self.name, self.city)
        return replace(self, name=name, city=city, additional=fold_text(self.additional))


@dataclass(frozen=True, slots=True)
class DynamicCode:
    """`location` is a URL without its scheme, which is always https. `single`: it may be paid once (field 01)."""

    location: str
    name: str
    city: str
    amount_cents: int | None = None
    txid: str | None = None
    single: bool = False

    def __post_init__(self) -> None:
        _check_amount(self.amount_cents)
        if not _LOCATION.fullmatch(self.location) or len(self.location) > LOCATION_LENGTH_MAX:
            raise InvalidInput("a location is a host and a path, without a scheme", field="location")

    def folded(self) -> DynamicCode:
        name, city = _folded_names(self.name, self.city)
        return replace(self, name=name, city=city)


def encode(code: StaticCode | DynamicCode) -> str:
    """The BR Code, with its names folded. Raises InvalidInput naming what does not fit."""
    code = code.folded()
    parts = [
        _field("00", "01"), *([_field("01", "12")] if isinstance(code, DynamicCode) and code.single else []),
        _field("26", _field("00", GUI) + _account(code)), _field("52", "0000"), _field("53", "986"),
    ]  # fmt: skip
    if code.amount_cents is not None:
        parts.append(_field("54", f"{code.amount_cents // 100}.{code.amount_cents % 100:02d}"))
    parts += [
        _field("58", "BR"), _field("59", code.name), _field("60", code.city),
        _field("62", _field("05", code.txid or NO_TXID)),
    ]  # fmt: skip
    return _sealed("".join(parts))


def parse(code: str) -> StaticCode | DynamicCode:
    """What a BR Code says. An amount of nothing is none. Raises BrCodeMalformed with the place and the reason."""
    if len(code) > CODE_LENGTH_MAX:
        raise BrCodeMalformed(f"has more than {CODE_LENGTH_MAX} characters", field="code")
    if _NOT_PRINTABLE.search(code):
        raise BrCodeMalformed("has a character outside of printable ASCII", field="code")
    if len(code) < 8 or code[-8:-4] != "6304":
        raise BrCodeMalformed("does not end in a CRC", field="63")
    if _sealed(code[:-8]) != code:
        raise BrCodeMalformed("the CRC does not fit: mistyped or altered", field="63")
    fields = _fields(code, "")
    _check_fixed(fields)
    account = _pix_account(fields)
    additional = _fields(_required(fields, "62"), "62-")
    return _code(fields, account, _required(additional, "05", "62-"))


def check_key(key: str) -> None:
    """A key as the directory of Pix keeps it. Raises InvalidInput."""
    if not any(form.fullmatch(key) for form in _KEYS):
        raise InvalidInput(
            "a Pix key is a CPF or CNPJ without punctuation, +55 and a telephone number, an e-mail address in small "
            "letters, or a random key of 36 characters",
            field="key",
        )
    if _KEYS[0].fullmatch(key):
        try:
            normalise_document(key)
        except InvalidInput as wrong:
            raise InvalidInput(wrong.detail, field="key") from None


def crc16(text: str) -> int:
    """CRC-16/CCITT-FALSE: polynomial 1021, beginning with FFFF."""
    crc = 0xFFFF
    for octet in text.encode("ascii"):
        crc ^= octet << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def fold_name(text: str, length_max: int) -> str:
    """São João & Cia. is Sao Joao e Cia."""
    plain = _NOT_IN_NAMES.sub(" ", _without_accents(text.replace("&", " e ")))
    return " ".join(plain.split())[:length_max].rstrip()


def fold_text(text: str) -> str:
    return " ".join(_NOT_PRINTABLE.sub(" ", _without_accents(text)).split())


def _folded_names(name: str, city: str) -> tuple[str, str]:
    folded = fold_name(name, NAME_LENGTH_MAX), fold_name(city, CITY_LENGTH_MAX)
    for text, field in zip(folded, ("name", "city"), strict=True):
        if not text:
            raise InvalidInput(f"{field} needs letters of the Latin alphabet", field=field)
    return folded


def _account(code: StaticCode | DynamicCode) -> str:
    if isinstance(code, DynamicCode):
        return _field("25", code.location)
    return _field("01", code.key) + (_field("02", code.additional) if code.additional else "")


def _without_accents(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def _code(fields: dict[str, str], account: dict[str, str], txid: str) -> StaticCode | DynamicCode:
    amount_cents = _amount(fields.get("54"))
    name, city = _text(fields, "59", NAME_LENGTH_MAX), _text(fields, "60", CITY_LENGTH_MAX)
    known_txid = None if txid == NO_TXID else txid
    if "25" in account:
        if not _LOCATION.fullmatch(account["25"]):
            raise BrCodeMalformed("a location is a host and a path, without a scheme", field="26-25")
        return DynamicCode(account["25"], name, city, amount_cents, known_txid, fields.get("01") == "12")
    if fields.get("01") == "12":
        raise BrCodeMalformed("a static code may be paid more than once", field="01")
    try:
        return StaticCode(account["01"], name, city, amount_cents, known_txid, account.get("02", ""))
    except InvalidInput as wrong:
        places = {"key": "26-01", "txid": "62-05", "amount_cents": "54", "additional": "26-02"}
        raise BrCodeMalformed(wrong.detail, field=places[wrong.field or "key"]) from None


def _check_fixed(fields: dict[str, str]) -> None:
    for id_, value in (("00", "01"), ("53", "986"), ("58", "BR")):
        if _required(fields, id_) != value:
            raise BrCodeMalformed(f"is not {value}", field=id_)
    if fields.get("01", "11") not in {"11", "12"}:
        raise BrCodeMalformed("is neither 11 nor 12", field="01")
    if not re.fullmatch(r"[0-9]{4}", _required(fields, "52")):
        raise BrCodeMalformed("a merchant category has four digits", field="52")


def _pix_account(fields: dict[str, str]) -> dict[str, str]:
    """The account of fields 26 to 51 that is Pix's: other ways to pay may stand beside it."""
    templates = (_fields(value, f"{id_}-") for id_, value in fields.items() if 26 <= int(id_) <= 51)
    accounts = [one for one in templates if one.get("00", "").lower() == GUI]
    if len(accounts) != 1:
        raise BrCodeMalformed("has no account at Pix, or more than one", field="26")
    if ("01" in accounts[0]) == ("25" in accounts[0]):
        raise BrCodeMalformed("has either a key (01) or a location (25)", field="26")
    return accounts[0]


def _fields(text: str, place: str) -> dict[str, str]:
    """Ids and values, in their order."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        head, id_ = text[at : at + 4], text[at : at + 2]
        if not re.fullmatch(r"[0-9]{4}", head):
            raise BrCodeMalformed("a field begins with four digits, its id and its length", field=place + id_)
        value = text[at + 4 : at + 4 + int(head[2:])]
        if not value or len(value) < int(head[2:]):
            raise BrCodeMalformed("a field is empty, or longer than what is left", field=place + id_)
        if id_ in fields:
            raise BrCodeMalformed("a field stands there twice", field=place + id_)
        fields[id_] = value
        at += 4 + len(value)
    return fields


def _required(fields: dict[str, str], id_: str, place: str = "") -> str:
    if id_ not in fields:
        raise BrCodeMalformed("is missing", field=place + id_)
    return fields[id_]


def _text(fields: dict[str, str], id_: str, length_max: int) -> str:
    value = _required(fields, id_)
    if len(value) > length_max:
        raise BrCodeMalformed(f"has more than {length_max} characters", field=id_)
    return value


def _amount(value: str | None) -> int | None:
    if value is None:
        return None
    if not _AMOUNT.fullmatch(value):
        raise BrCodeMalformed("an amount is written 1234.56", field="54")
    reais, _, centavos = value.partition(".")
    return (int(reais) * 100 + int(centavos.ljust(2, "0"))) or None


def _field(id_: str, value: str) -> str:
    return f"{id_}{len(value):02d}{value}"


def _sealed(text: str) -> str:
    return f"{text}6304{crc16(text + '6304'):04X}"


def _check_amount(amount_cents: int | None) -> None:
    if amount_cents is not None and not 0 < amount_cents <= AMOUNT_CENTS_MAX:
        raise InvalidInput(f"an amount is 1 to {AMOUNT_CENTS_MAX} centavos", field="amount_cents")
