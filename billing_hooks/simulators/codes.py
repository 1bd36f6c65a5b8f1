"""Codes by which a simulated charge is paid: as valid as a real bank's, with the charge's amount and due date."""

from __future__ import annotations

from datetime import date
from typing import Final

from billing_hooks.invoicing.boleto_line import Boleto, barcode_of, line_of
from billing_hooks.invoicing.br_code import DynamicCode, encode

NAME: Final = "Provedor Simulado"
CITY: Final = "Sao Paulo"


def pix_code(location: str) -> str:
    """Of a charge that the payer's bank fetches from there; who asks for how much stands there, not here."""
    return encode(DynamicCode(location, NAME, CITY))


def boleto_line(bank: str, number: int | str, amount_cents: int, due_date: date) -> str:
    """The 47 digits. `number` is the charge's, which alone stands in the field that is the bank's own."""
    return line_of(barcode_of(Boleto(bank, f"{number:0>25}"[-25:], due_date, amount_cents)))
