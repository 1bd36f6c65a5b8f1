"""Writing what gateways want of a charge and its payer. Pure; the counterpart of `reading`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is known: gateways take no empty text for a missing one."""
    return {name: value for name, value in values.items() if value}


def digits(text: str | None) -> str:
    return re.sub(r"\D", "", text or "")


def phone_digits(phone: str | None) -> str:
    """Area code and number, without Brazil's 55."""
    number = digits(phone)
    return number.removeprefix("55") if len(number) > 11 else number


def decimals(hundredths: int) -> str:
    """9990 is 99.90: money in cents, or a percentage in hundredths."""
    return f"{hundredths // 100}.{hundredths % 100:02}"
