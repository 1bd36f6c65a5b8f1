"""A boleto's "linha digitável" (47 digits, to be typed) and its barcode (44 digits): the same in another order.

FEBRABAN's layout, as Banco Central's Carta-Circular 2.926/2000 ordered it and every bank's "Especificações técnicas
para confecção de boleto" repeats it:

    barcode   bank 3, currency 1 (9: real), check digit 1 (modulus 11), due-date factor 4, amount 10, free field 25
    line      bank, currency, free 1-5, modulus 10; free 6-15, modulus 10; free 16-25, modulus 10; the barcode's check
              digit; factor and amount

The factor is the number of days since 1997-10-07. It reached 9999 on 2025-02-21 and began again with 1000 on the day
after (FEBRABAN, "Manual Operacional do Fator de Vencimento da Cobrança Bancária", 2012): a factor means one day in
every 9000, and the nearest to a given day is taken. Where the first digit of factor and amount is 0, there is no due
date, and all of it is the amount (same manual).

Bills of utilities and taxes have 48 digits and begin with 8 (FEBRABAN, "Layout padrão de arrecadação/recebimento com
utilização do código de barras"): they are told from a mistake, and refused, because none of ours is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from core.errors import InvalidInput

BASE: Final = date(1997, 10, 7)
FACTOR_MIN: Final = 1000
FACTOR_MAX: Final = 9999
CYCLE_DAYS: Final = FACTOR_MAX - FACTOR_MIN + 1
FIRST_DUE_DATE: Final = BASE + timedelta(days=FACTOR_MIN)
REAL: Final = "9"
_SEPARATORS: Final = re.compile(r"[ .\-]")


class BoletoLineMalformed(InvalidInput):
    """No line or barcode of a boleto, or one with a wrong digit; `field` is the place."""


class UtilityLine(InvalidInput):
    """A line or barcode of a utility or a tax (48 or 44 digits that begin with 8), and so not one of ours."""


@dataclass(frozen=True, slots=True)
class Boleto:
    """What a line says. `free_field` is the bank's own: account, number and the like. Amount 0: the payer enters it."""

    bank: str
    free_field: str
    due_date: date | None = None
    amount_cents: int = 0

    def __post_init__(self) -> None:
        _check_digits(self.bank, 3, "bank")
        _check_digits(self.free_field, 25, "free_field")
        if self.bank.startswith("8"):
            raise InvalidInput("a barcode that begins with 8 is a utility's", field="bank")
        amount_max = 10**10 if self.due_date else 10**13
        if not 0 <= self.amount_cents < amount_max:
            raise InvalidInput(f"an amount is 0 to {amount_max - 1} centavos", field="amount_cents")
        if self.due_date is not None and self.due_date < FIRST_DUE_DATE:
            raise InvalidInput(f"a due date is {FIRST_DUE_DATE} or later", field="due_date")


def barcode_of(boleto: Boleto) -> str:
    value = (
        f"{factor_of(boleto.due_date)}{boleto.amount_cents:010d}" if boleto.due_date else f"{boleto.amount_cents:014d}"
    )
    head, rest = f"{boleto.bank}{REAL}", f"{value}{boleto.free_field}"
    return f"{head}{_modulus_11(head + rest)}{rest}"


def line_of(barcode: str) -> str:
    """The 47 digits of a barcode. Raises BoletoLineMalformed or UtilityLine."""
    _check_barcode(barcode)
    head, free = barcode[:4], barcode[19:]
    blocks = (head + free[:5], free[5:15], free[15:])
    return "".join(block + _modulus_10(block) for block in blocks) + barcode[4] + barcode[5:19]


def barcode_of_line(line: str) -> str:
    """The barcode of a line, with or without its dots and spaces. Raises BoletoLineMalformed or UtilityLine."""
    digits = _SEPARATORS.sub("", line)
    _refuse_utility(digits, 48)
    _check_digits(digits, 47, "line", BoletoLineMalformed)
    blocks = (digits[:10], digits[10:21], digits[21:32])
    for number, block in enumerate(blocks, 1):
        if _modulus_10(block[:-1]) != block[-1]:
            raise BoletoLineMalformed("its check digit does not fit; look for a typing error", field=f"block {number}")
    barcode = digits[:4] + digits[32:] + digits[4:9] + digits[10:20] + digits[21:31]
    _check_barcode(barcode)
    return barcode


def read_barcode(barcode: str, near: date) -> Boleto:
    """What a barcode says; `near` decides which of the days that share a factor it means."""
    _check_barcode(barcode)
    bank, value, free_field = barcode[:3], barcode[5:19], barcode[19:]
    if value.startswith("0"):
        return Boleto(bank, free_field, None, int(value))
    return Boleto(bank, free_field, date_of(int(value[:4]), near), int(value[4:]))


def read_line(line: str, near: date) -> Boleto:
    return read_barcode(barcode_of_line(line), near)


def written(line: str) -> str:
    """As it is printed: 00190.50095 40144.816069 06809.350314 3 37370000000100."""
    one, two, three, digit, value = line[:10], line[10:21], line[21:32], line[32], line[33:]
    return f"{one[:5]}.{one[5:]} {two[:5]}.{two[5:]} {three[:5]}.{three[5:]} {digit} {value}"


def factor_of(due_date: date) -> int:
    """Of a day from 3 July 2000 on."""
    return FACTOR_MIN + (due_date - FIRST_DUE_DATE).days % CYCLE_DAYS


def date_of(factor: int, near: date) -> date:
    """The day with this factor that is nearest to `near`; of two, the later."""
    if not FACTOR_MIN <= factor <= FACTOR_MAX:
        raise BoletoLineMalformed(f"a factor is {FACTOR_MIN} to {FACTOR_MAX}", field="factor")
    first = BASE + timedelta(days=factor)
    cycles = max(0, ((near - first).days + CYCLE_DAYS // 2) // CYCLE_DAYS)
    return first + timedelta(days=cycles * CYCLE_DAYS)


def _check_barcode(barcode: str) -> None:
    _refuse_utility(barcode, 44)
    _check_digits(barcode, 44, "barcode", BoletoLineMalformed)
    if barcode[3] != REAL:
        raise BoletoLineMalformed("is not in reais", field="currency")
    if _modulus_11(barcode[:4] + barcode[5:]) != barcode[4]:
        raise BoletoLineMalformed("its check digit does not fit; look for a typing error", field="check digit")


def _refuse_utility(digits: str, length: int) -> None:
    if len(digits) == length and digits.isascii() and digits.isdigit() and digits.startswith("8"):
        raise UtilityLine("this is the bill of a utility or a tax, not a boleto of ours", field="line")


def _check_digits(text: str, length: int, field: str, error: type[InvalidInput] = InvalidInput) -> None:
    if not (text.isascii() and text.isdigit() and len(text) == length):
        raise error(f"{field} has {length} digits", field=field)


def _modulus_10(digits: str) -> str:
    """Weights 2 and 1 from the right; of a product of two digits their sum."""
    products = (int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits)))
    return str(-sum(product // 10 + product % 10 for product in products) % 10)


def _modulus_11(digits: str) -> str:
    """Weights 2 to 9 from the right, again and again; 0, 10 and 11 are 1."""
    total = sum(int(digit) * (2 + place % 8) for place, digit in enumerate(reversed(digits)))
    digit = 11 - total % 11
    return str(digit) if digit < 10 else "1"
