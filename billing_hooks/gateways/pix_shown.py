"""What a bank's API Pix shows of a Pix and what is true of it; the txid by which a charge of ours names its invoice.

Pure.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Annotated, Final

import msgspec

from billing_hooks.gateways.base import ChargeOrder, Fact, PaymentReceived, PaymentReversed
from billing_hooks.gateways.reading import moment, whole_cents

#: A devolução by the scheme's own mechanism (MED: fraud, or another bank's mistake) is none of ours.
_TAKEN_BACK: Final = "MED_"

#: BCB: `\d{1,10}\.\d{2}`.
Reais = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,10}\.[0-9]{2}$")]
#: BCB has 32 of them; Efí's examples are shorter.
EndToEndId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{1,64}$")]
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Txid = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$")]


class Return(msgspec.Struct):
    """A devolução. In the BCB's example they are an object, in its schema and at the banks an array."""

    id: Word
    status: Word
    valor: Reais = "0.00"
    natureza: str | None = None


class Extras(msgspec.Struct, rename="camel"):
    """Efí's. `id_envio`: a Pix that we sent."""

    id_envio: str | None = None
    tarifa: Reais | None = None


class _Part(msgspec.Struct):
    valor: Reais


class _Parts(msgspec.Struct):
    """valor = original + saque + troco + multa + juros - abatimento - desconto, of those that are there."""

    original: _Part | None = None
    saque: _Part | None = None
    troco: _Part | None = None
    multa: _Part | None = None
    juros: _Part | None = None
    abatimento: _Part | None = None
    desconto: _Part | None = None


class Pix(msgspec.Struct, rename="camel"):
    end_to_end_id: EndToEndId
    valor: Reais
    horario: datetime
    #: None: paid to the key itself, or by a static code that names none.
    txid: Txid | None = None
    componentes_valor: _Parts | None = None
    devolucoes: list[Return] | Return | None = None
    gn_extras: Extras | None = None


# prv | invoice (19 digits) | order (7) | check (6): 35 characters, the most that a txid has. The check tells ours from
# another program's at the same account.
_OURS: Final = re.compile(r"(prv([0-9]{19})[0-9a-f]{7})([0-9a-f]{6})")
_INVOICE_ID_MAX: Final = (1 << 63) - 1


def txid_of(order: ChargeOrder) -> str:
    """The same for the same invoice and key, and another for another (BCB: `[a-zA-Z0-9]{26,35}`)."""
    body = f"prv{order.invoice_id:019}{_digest(order.key, 7)}"
    return body + _digest(body, 6)


def invoice_of_txid(txid: str | None) -> int | None:
    """The invoice of a charge that we made; None for anybody else's."""
    ours = _OURS.fullmatch(txid or "")
    if ours is None or ours[3] != _digest(ours[1], 6) or int(ours[2]) > _INVOICE_ID_MAX:
        return None
    return int(ours[2])


def facts_of(pix: Pix) -> list[Fact]:
    """What is true of a Pix as the API shows it."""
    received = _received(pix)
    return [received, *_given_back(pix)] if received is not None else []


def _received(pix: Pix) -> PaymentReceived | None:
    """None of one that was cash for the payer and no payment."""
    cash_cents, surcharge_cents, discount_cents = _parts(pix)
    amount_cents = whole_cents(cents_of(pix.valor), "valor") - cash_cents
    if amount_cents <= 0:
        return None
    came_at = moment(pix.horario, "horario")
    fee = pix.gn_extras.tarifa if pix.gn_extras is not None else None
    return PaymentReceived(
        invoice_id=invoice_of_txid(pix.txid),
        charge_id=pix.txid or None,
        payment_id=pix.end_to_end_id,
        amount_cents=amount_cents,
        paid_at=came_at,
        method="pix",
        currency="BRL",
        surcharge_cents=surcharge_cents,
        discount_cents=discount_cents,
        settled_at=came_at,
        net_cents=amount_cents - cents_of(fee) if fee is not None else None,
    )


def _parts(pix: Pix) -> tuple[int, int, int]:
    """(cash that was handed out, fine and interest, discount) of its amount; parts that make no sense are none."""
    parts = pix.componentes_valor or _Parts()
    cash_cents = _sum(parts.saque, parts.troco)
    surcharge_cents = _sum(parts.multa, parts.juros)
    discount_cents = _sum(parts.abatimento, parts.desconto)
    original_cents = _sum(parts.original)
    sum_cents = original_cents + cash_cents + surcharge_cents - discount_cents
    if sum_cents != cents_of(pix.valor) or discount_cents > original_cents:
        return 0, 0, 0
    return cash_cents, surcharge_cents, discount_cents


def _given_back(pix: Pix) -> list[Fact]:
    """What we gave back is a refund. What was taken from us as a whole by the scheme is owed again."""
    done = [one for one in returns_of(pix.devolucoes) if one.status == "DEVOLVIDO"]
    cents = sum(cents_of(one.valor) for one in done)
    if not cents:
        return []
    refund = not all((one.natureza or "").startswith(_TAKEN_BACK) for one in done)
    whole = cents >= cents_of(pix.valor)
    return [PaymentReversed(pix.end_to_end_id, refund=refund, amount_cents=None if whole else cents)]


def returns_of(devolucoes: list[Return] | Return | None) -> list[Return]:
    return [devolucoes] if isinstance(devolucoes, Return) else devolucoes or []


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _sum(*parts: _Part | None) -> int:
    return sum(cents_of(part.valor) for part in parts if part is not None)


def cents_of(reais: str) -> int:
    """Of a `Reais`."""
    return int(reais.replace(".", ""))
