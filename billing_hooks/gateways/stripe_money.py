"""Stripe's amounts: in a currency's smallest unit there, in hundredths of the currency here."""

from __future__ import annotations

from typing import Final

from core.errors import InvalidInput

#: docs.stripe.com/currencies, "Zero-decimal currencies" and "Three-decimal currencies". UGX stands in the first list,
#: and by the page's special cases it is written with two decimals all the same, like ISK.
_WHOLE: Final = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip
_THOUSANDTHS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def hundredths(amount: int, currency: str) -> int:
    """Of Stripe's smallest units. It charges thousandths in tens only, so nothing is lost but of its fee."""
    code = currency.upper()
    return amount * 100 if code in _WHOLE else amount // 10 if code in _THOUSANDTHS else amount


def smallest_units(amount_cents: int, currency: str) -> int:
    code = currency.upper()
    if code in _WHOLE and amount_cents % 100:
        raise InvalidInput(f"{code} has no hundredths", field="amount_cents")
    return amount_cents // 100 if code in _WHOLE else amount_cents * 10 if code in _THOUSANDTHS else amount_cents
