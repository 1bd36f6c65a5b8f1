"""An invoice as the payer sees it: a PDF in Portuguese or English. The same input gives the same octets.

Codes are drawn as squares and bars, never as pictures, so that they print sharp: the QR code with its quiet zone of
four squares, the barcode 103 mm by 13 mm, as FEBRABAN has it. A Pix code or boleto that asks for another amount than
the invoice says is refused before it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from fpdf import FPDF

from billing_hooks.invoicing import br_code
from billing_hooks.invoicing.bars import interleaved_2_of_5, qr_matrix
from billing_hooks.invoicing.boleto_line import barcode_of_line, read_barcode, written
from billing_hooks.invoicing.late import AmountDue, LateTerms, SecondCopy
from billing_hooks.invoicing.lines import Kind, Line
from billing_hooks.invoicing.period import Span
from billing_hooks.invoicing.words import Words, day, document, money, percent
from core.errors import InvalidInput
from core.language import Language

_LABELS: Final[dict[str, Words]] = {
    "invoice": Words("Fatura", "Invoice"),
    "copy": Words("2ª via", "Second copy"),
    "issued": Words("Emissão", "Issued on"),
    "due": Words("Vencimento", "Due date"),
    "first_due": Words("Vencimento original", "First due date"),
    "period": Words("Período de referência", "Reference period"),
    "to": Words("a", "to"),
    "payer": Words("Pagador", "Payer"),
    "what": Words("Descrição", "Description"),
    "days": Words("Dias", "Days"),
    "amount": Words("Valor", "Amount"),
    "charges": Words("Subtotal", "Subtotal"),
    "discounts": Words("Descontos", "Discounts"),
    "credits": Words("Créditos", "Credits"),
    "principal": Words("Valor original", "Original amount"),
    "discount": Words("Desconto até a data", "Discount until the date"),
    "fine": Words("Multa por atraso", "Fine for late payment"),
    "interest": Words("Juros de mora", "Interest for late payment"),
    "total": Words("Total a pagar", "Total to pay"),
    "terms": Words("Condições de pagamento", "Terms of payment"),
    "early": Words("Pix Copia e Cola com desconto", "Pix with the discount, to copy and paste"),
    "until": Words("Até", "Until"),
    "notice": Words("Aviso", "Notice"),
    "pix": Words("Pague com Pix", "Pay by Pix"),
    "scan": Words(
        "Aponte a câmera do aplicativo do seu banco para o QR Code, ou use o Pix Copia e Cola:",
        "Point the camera of your bank's app at the QR code, or copy and paste this text:",
    ),
    "boleto": Words("Pague com boleto", "Pay by boleto"),
    "page": Words("página", "page"),
}

#: Names are written in more than one alphabet; PDF's own fonts know Latin-1.
_FONT: Final = "Source Sans Pro"
_FONT_FILES: Final = Path(str(files("font_source_sans_pro"))) / "files"
_FACES: Final = {"": "SourceSansPro-Regular.ttf", "B": "SourceSansPro-Bold.ttf"}
_MARGIN_MM: Final = 16.0
_WIDTH_MM: Final = 210 - 2 * _MARGIN_MM
_DAYS_MM: Final = 18.0
_AMOUNT_MM: Final = 32.0
QR_SQUARE_MM: Final = 0.75
_QUIET_SQUARES: Final = 4
BARCODE_WIDTH_MM: Final = 103.0
BARCODE_HEIGHT_MM: Final = 13.0
_GREY: Final = 110
#: A line's height in mm for each point of its letters.
_LINE: Final = 0.45


@dataclass(frozen=True, slots=True)
class Party:
    """Who asks or who pays: `document` without punctuation, `address` and ways to be reached a line each."""

    name: str
    document: str
    address: tuple[str, ...] = ()
    contact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that one invoice shows. `copy`: it is a second copy, and owes that amount by that date. `early_pix_code`: a
    static one, of the amount less the terms' discount.

    `period`: None of an invoice that is for no days. `notice`: what the provider has to tell, of a suspension to come
    for example; paragraphs by line breaks.
    """

    number: str
    issued_on: date
    due_date: date
    period: Span | None
    provider: Party
    payer: Party
    lines: tuple[Line, ...]
    terms: LateTerms | None = None
    copy: SecondCopy | None = None
    pix_code: str | None = None
    boleto_line: str | None = None
    notice: str | None = None
    early_pix_code: str | None = None

    def __post_init__(self) -> None:
        if self.period is not None and self.period.end is None:
            raise InvalidInput("an invoice's period has an end", field="period")
        if self.principal_cents < 0:
            raise InvalidInput("the lines sum to less than nothing", field="lines")
        if self.copy is not None and self.copy.debt.principal_cents != self.principal_cents:
            raise InvalidInput("the copy is of another amount than the lines", field="copy")
        if self.copy is not None and self.copy.debt.due_date != self.due_date:
            raise InvalidInput("the copy is of another due date", field="copy")
        self._check_pix()
        self._check_boleto()

    @property
    def principal_cents(self) -> int:
        return sum(line.amount_cents for line in self.lines)

    @property
    def amount(self) -> AmountDue:
        return self.copy.amount if self.copy is not None else AmountDue(self.principal_cents)

    @property
    def payable_on(self) -> date:
        return self.copy.due_date if self.copy is not None else self.due_date

    def _check_pix(self) -> None:
        """A dynamic code's amount is its location's; what it shows of it is not binding."""
        less_cents = self.terms.discount_cents if self.terms is not None else 0
        codes = {"pix_code": (self.pix_code, 0), "early_pix_code": (self.early_pix_code, less_cents)}
        for field, (code, less) in codes.items():
            said = br_code.parse(code) if code is not None else None
            asked = said.amount_cents if isinstance(said, br_code.StaticCode) else None
            if asked is not None and asked != self.amount.total_cents - less:
                raise InvalidInput(f"the Pix code asks for {money(asked)}", field=field)

    def _check_boleto(self) -> None:
        if self.boleto_line is None:
            return
        asked = read_barcode(barcode_of_line(self.boleto_line), self.payable_on)
        if asked.amount_cents not in {0, self.amount.total_cents}:
            raise InvalidInput(f"the boleto asks for {money(asked.amount_cents)}", field="boleto_line")
        if asked.due_date not in {None, self.payable_on}:
            raise InvalidInput(f"the boleto is due on {asked.due_date}", field="boleto_line")


def draw(sheet: Sheet, language: Language, created_at: datetime) -> bytes:
    """The PDF. `created_at`, with a zone, is all that it knows of the time."""
    if created_at.tzinfo is None:
        raise InvalidInput("created_at needs a time zone", field="created_at")
    page = _Page(sheet, language)
    page.set_creation_date(created_at)
    page.add_page()
    page.head()
    page.parties()
    page.charges()
    page.sums()
    page.terms()
    page.notice()
    page.pix()
    page.early()
    page.boleto()
    return bytes(page.output())


class _Page(FPDF):
    """Parts of an invoice, each drawn below the one before."""

    def __init__(self, sheet: Sheet, language: Language) -> None:
        super().__init__(format="A4")
        for style, file in _FACES.items():
            self.add_font(_FONT, style, _FONT_FILES / file)
        self._sheet, self._language = sheet, language
        self.set_auto_page_break(auto=True, margin=16)
        self.set_margins(_MARGIN_MM, 14, _MARGIN_MM)
        self.set_title(f"{self._say('invoice')} {sheet.number}")
        self.set_author(sheet.provider.name)
        self.set_lang("en" if language == "en" else "pt-BR")

    def footer(self) -> None:
        self.set_y(-12)
        self._text(f"{self._say('invoice')} {self._sheet.number} - {self._say('page')} {self.page_no()}", 8, align="C")

    def head(self) -> None:
        sheet, provider = self._sheet, self._sheet.provider
        self._text(provider.name, 15, bold=True)
        self._text(" - ".join([_identity(provider), *provider.address]), 9)
        self._text(" - ".join(provider.contact), 9)
        self._rule()
        kind = f" ({self._say('copy')})" if sheet.copy is not None else ""
        self._text(f"{self._say('invoice')} {sheet.number}{kind}", 13, bold=True)

    def parties(self) -> None:
        sheet, payer = self._sheet, self._sheet.payer
        facts = [("due", self._day(sheet.payable_on)), ("total", money(sheet.amount.total_cents))]
        if sheet.period is not None:
            facts.append(("period", self._span(sheet.period)))
        facts.append(("issued", self._day(sheet.issued_on)))
        if sheet.copy is not None:
            facts.append(("first_due", self._day(sheet.due_date)))
        for label, value in facts:
            self._fact(self._say(label), value, strong=label in {"due", "total"})
        self._fact(self._say("payer"), " - ".join(filter(None, [payer.name, _identity(payer)])))
        for line in (*payer.address, *payer.contact):
            self._fact("", line)
        self.ln(2)

    def charges(self) -> None:
        self._row(self._say("what"), self._say("days"), self._say("amount"), bold=True)
        for line in self._sheet.lines:
            self._row(line.words.of(self._language), str(line.days or ""), money(line.amount_cents))

    def sums(self) -> None:
        sheet, amount = self._sheet, self._sheet.amount
        sums = [("charges", _sum_of(sheet.lines, Kind.ITEM, Kind.EXTRA))]
        sums += [("discounts", _sum_of(sheet.lines, Kind.DISCOUNT)), ("credits", _sum_of(sheet.lines, Kind.CREDIT))]
        if sheet.copy is not None:
            sums += [
                ("principal", amount.principal_cents), ("discount", -amount.discount_cents),
                ("fine", amount.fine_cents), ("interest", amount.interest_cents),
            ]  # fmt: skip
        self.ln(1)
        for label, cents in sums:
            if cents:
                self._row(self._say(label), "", money(cents))
        self._row(self._say("total"), "", money(amount.total_cents), bold=True)

    def terms(self) -> None:
        if self._sheet.terms is not None:
            self._block("terms", terms_words(self._sheet.terms).of(self._language))

    def notice(self) -> None:
        if self._sheet.notice:
            self._block("notice", self._sheet.notice)

    def pix(self) -> None:
        if self._sheet.pix_code is None:
            return
        matrix = qr_matrix(self._sheet.pix_code)
        side = (len(matrix) + 2 * _QUIET_SQUARES) * QR_SQUARE_MM
        self._keep_together(side + 14)
        self._heading("pix")
        left, top = _MARGIN_MM, self.get_y()
        self._squares(matrix, left + _QUIET_SQUARES * QR_SQUARE_MM, top + _QUIET_SQUARES * QR_SQUARE_MM)
        self.set_xy(left + side + 2, top + 3)
        self._text(self._say("scan"), 9, left=left + side + 2)
        self.ln(1)
        self._text(self._sheet.pix_code, 8, left=left + side + 2)
        self.set_xy(left, max(self.get_y(), top + side))

    def early(self) -> None:
        """To be copied: there is one QR code on a sheet, so that nobody takes the wrong one."""
        sheet, terms = self._sheet, self._sheet.terms
        if sheet.early_pix_code is None or terms is None or terms.discount_until is None:
            return
        less = money(sheet.amount.total_cents - terms.discount_cents)
        self._block("early", f"{self._say('until')} {self._day(terms.discount_until)}: {less}\n{sheet.early_pix_code}")

    def boleto(self) -> None:
        if self._sheet.boleto_line is None:
            return
        barcode = barcode_of_line(self._sheet.boleto_line)
        self._keep_together(BARCODE_HEIGHT_MM + 24)
        self._heading("boleto")
        self._text(written("".join(filter(str.isdigit, self._sheet.boleto_line))), 12, bold=True)
        self.ln(2)
        self._bars(interleaved_2_of_5(barcode), _MARGIN_MM + 5, self.get_y())
        self.set_xy(_MARGIN_MM, self.get_y() + BARCODE_HEIGHT_MM + 2)

    def _squares(self, matrix: tuple[tuple[bool, ...], ...], left: float, top: float) -> None:
        """A rectangle for every run of dark squares in a row."""
        self.set_fill_color(0)
        for row, squares in enumerate(matrix):
            column = 0
            while column < len(squares):
                length = next((at for at, dark in enumerate(squares[column:]) if not dark), len(squares) - column)
                if length:
                    place = left + column * QR_SQUARE_MM, top + row * QR_SQUARE_MM
                    self.rect(*place, length * QR_SQUARE_MM, QR_SQUARE_MM, style="F")
                column += length + 1

    def _bars(self, widths: tuple[int, ...], left: float, top: float) -> None:
        narrow = BARCODE_WIDTH_MM / sum(widths)
        self.set_fill_color(0)
        for place, width in enumerate(widths):
            if place % 2 == 0:
                self.rect(left, top, width * narrow, BARCODE_HEIGHT_MM, style="F")
            left += width * narrow

    def _block(self, label: str, words: str) -> None:
        self._heading(label)
        self._text(words, 9)

    def _heading(self, label: str) -> None:
        self.ln(2)
        self._text(self._say(label), 11, bold=True)

    def _fact(self, label: str, value: str, *, strong: bool = False) -> None:
        size = 12 if strong else 9
        self._face(9)
        self.set_text_color(_GREY)
        self.cell(40, size * _LINE, label)
        self.set_text_color(0)
        self._text(value, size, bold=strong, left=_MARGIN_MM + 40)

    def _row(self, words: str, days: str, amount: str, *, bold: bool = False) -> None:
        self._face(9, bold=bold)
        width = _WIDTH_MM - _DAYS_MM - _AMOUNT_MM
        lines = cast("list[str]", self.multi_cell(width, 4.8, words, align="L", dry_run=True, output="LINES"))
        self._keep_together(4.8 * len(lines))
        top = self.get_y()
        self.multi_cell(width, 4.8, words, align="L", new_x="LMARGIN", new_y="NEXT")
        bottom = self.get_y()
        self.set_xy(_MARGIN_MM + width, top)
        self.cell(_DAYS_MM, 4.8, days, align="R")
        self.cell(_AMOUNT_MM, 4.8, amount, align="R")
        self.set_xy(_MARGIN_MM, bottom)
        self._rule(0.3)

    def _text(
        self, words: str, size: float, *, bold: bool = False, left: float | None = None, align: str = "L"
    ) -> None:
        if not words:
            return
        self._face(size, bold=bold)
        if left is not None:
            self.set_x(left)
        self.multi_cell(0, size * _LINE, words, align=align, new_x="LMARGIN", new_y="NEXT")

    def _rule(self, room: float = 1.5) -> None:
        self.ln(room)
        self.set_draw_color(200)
        self.line(_MARGIN_MM, self.get_y(), _MARGIN_MM + _WIDTH_MM, self.get_y())
        self.ln(room)

    def _keep_together(self, height: float) -> None:
        if self.will_page_break(height):
            self.add_page()

    def _face(self, size: float, *, bold: bool = False) -> None:
        self.set_font(_FONT, style="B" if bold else "", size=size)

    def _span(self, span: Span) -> str:
        assert span.end is not None  # noqa: S101  (a sheet's period has one)
        return f"{self._day(span.start)} {self._say('to')} {self._day(span.end - date.resolution)}"

    def _day(self, on: date) -> str:
        return day(on, self._language)

    def _say(self, label: str) -> str:
        return _LABELS[label].of(self._language)


def terms_words(terms: LateTerms) -> Words:
    """What a contract says of paying early and late, as sentences."""
    pt, en = [], []
    if terms.discount_until is not None:
        amount = money(terms.discount_cents)
        pt.append(f"Desconto de {amount} para pagamento até {day(terms.discount_until, 'pt_BR')}.")
        en.append(f"A discount of {amount} if paid by {day(terms.discount_until, 'en')}.")
    charges_pt, charges_en = [], []
    if terms.fine_bp:
        charges_pt.append(f"multa de {percent(terms.fine_bp)}")
        charges_en.append(f"a fine of {percent(terms.fine_bp)}")
    if terms.interest_bp_month:
        charges_pt.append(f"juros de {percent(terms.interest_bp_month)} ao mês, por dia de atraso (pro rata die)")
        charges_en.append(f"interest of {percent(terms.interest_bp_month)} a month for each day late (pro rata die)")
    if charges_pt:
        pt.append(f"Após o vencimento: {' e '.join(charges_pt)}.")
        en.append(f"After the due date: {' and '.join(charges_en)}.")
    pt.append("Vencimento em sábado, domingo ou feriado: pagável sem acréscimo no dia útil seguinte.")
    en.append("Due on a Saturday, Sunday or bank holiday: payable on the next business day without charges.")
    return Words(" ".join(pt), " ".join(en))


def _sum_of(lines: tuple[Line, ...], *kinds: Kind) -> int:
    return sum(line.amount_cents for line in lines if line.kind in kinds)


def _identity(party: Party) -> str:
    known = {11: "CPF ", 14: "CNPJ "}
    return known.get(len(party.document), "") + document(party.document)
