"""The answer to an authority, drawn as a PDF in Portuguese or English, from what its case holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from fpdf import FPDF

from aaa.connection_log.find import How, Note
from aaa.connection_log.models import CaseKind, JudicialRequest
from aaa.connection_log.words import clock_words, end_words, how_words, note_words
from core.language import Language

_LABELS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Resposta a requisição de autoridade", "Answer to an authority's request"),
    "case": ("Caso nº", "Case no."),
    "authority": ("Autoridade", "Authority"),
    "order": ("Ordem judicial", "Court order"),
    "basis": ("Fundamento legal", "Legal basis"),
    "received": ("Recebida em", "Received on"),
    "deadline": ("Prazo", "Deadline"),
    "secret": ("SIGILOSO", "SECRET"),
    "people": ("Pesquisa por / aprovação por", "Searched by / approved by"),
    "question": ("Quesito", "Question"),
    "address": ("Endereço IP", "IP address"),
    "port": ("porta", "port"),
    "no_port": ("porta não informada", "no port given"),
    "period": ("Período", "Period"),
    "result": ("Resultado", "Result"),
    "customer": ("Assinante", "Subscriber"),
    "document": ("CPF/CNPJ", "Tax document"),
    "installed": ("Endereço de instalação", "Installation address"),
    "unknown": ("não identificado", "not identified"),
    "login": ("Usuário de acesso", "Access login"),
    "mac": ("Equipamento (Calling-Station-Id)", "Equipment (Calling-Station-Id)"),
    "connection": ("Conexão", "Connection"),
    "duration": ("Duração", "Duration"),
    "inside": ("Endereço interno", "Inside address"),
    "ports": ("Portas", "Ports"),
    "end": ("Término", "End"),
    "how": ("Como se sabe", "How it is known"),
    "until": ("até", "to"),
    "open": ("em aberto", "open"),
    "legal": (
        ("Registros de conexão guardados sob sigilo conforme o art. 13 da Lei 12.965/2014 (Marco Civil da Internet). "
        "Não são guardados registros de acesso a aplicações (art. 14): os destinos das conexões não constam."),
        ("Connection records kept in secrecy under art. 13 of Lei 12.965/2014 (Marco Civil da Internet). Records of "
        "access to applications are not kept (art. 14): destinations of connections are not known."),
    ),
    "signed": ("Assinado digitalmente (PAdES) por", "Digitally signed (PAdES) by"),
    "own": (
        ("Chave autoassinada desta instalação: atesta que o documento não foi alterado desde a assinatura, mas não a "
        "identidade do provedor."),
        ("This installation's own self-signed key: it shows that the document was not changed since, and not who the "
        "provider is."),
    ),
    "page": ("página", "page"),
}  # fmt: skip

#: Latin, Greek and Cyrillic: names are written in more than one alphabet. (PDF's own fonts know Latin-1.)
_FONT: Final = "Source Sans Pro"
_FONT_FILES: Final = Path(str(files("font_source_sans_pro"))) / "files"
_FACES: Final = {"": "SourceSansPro-Regular.ttf", "B": "SourceSansPro-Bold.ttf", "I": "SourceSansPro-It.ttf"}


class _Sheet(FPDF):
    def __init__(self, foot: str, page: str) -> None:
        super().__init__(format="A4")
        for style, file in _FACES.items():
            self.add_font(_FONT, style, _FONT_FILES / file)
        self._foot, self._page_word = foot, page
        self.set_auto_page_break(auto=True, margin=18)
        self.set_margins(18, 16, 18)

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font(_FONT, size=8)
        self.cell(0, 5, f"{self._foot}   {self._page_word} {self.page_no()}", align="C")

    def heading(self, words: str, size: int) -> None:
        self.ln(2)
        self.set_font(_FONT, style="B", size=size)
        self.multi_cell(0, size * 0.5, words, align="L", new_x="LMARGIN", new_y="NEXT")

    def line_of(self, label: str, value: str) -> None:
        self.set_font(_FONT, style="B", size=9)
        self.cell(58, 5, label)
        self.set_font(_FONT, size=9)
        self.multi_cell(0, 5, value, align="L", new_x="LMARGIN", new_y="NEXT")

    def paragraph(self, words: str) -> None:
        self.set_font(_FONT, style="I", size=9)
        self.multi_cell(0, 4.6, words, align="L", new_x="LMARGIN", new_y="NEXT")


class AnswerDocument:
    """Draws one case. `provider` is who answers; `signed_by` is said at the end."""

    def __init__(self, *, provider: str, language: Language, zone: tzinfo, signed_by: str, own_key: bool) -> None:
        self._provider, self._zone, self._signed_by, self._own_key = provider, zone, signed_by, own_key
        self._language: Language = language

    def draw(self, case: JudicialRequest, now: datetime) -> bytes:
        sheet = _Sheet(f"{self._provider} - {self._say('case')} {case.id} - {self._time(now)}", self._say("page"))
        sheet.set_title(f"{self._say('title')} {case.id}")
        sheet.set_creation_date(now)
        sheet.add_page()
        self._head(sheet, case)
        draw = self._registration if case.kind is CaseKind.REGISTRATION else self._answer
        for number, answer in enumerate((case.findings or {}).get("answers", []), 1):
            draw(sheet, number, answer)
        sheet.ln(4)
        sheet.paragraph(self._say("legal"))
        sheet.paragraph(f"{self._say('signed')}: {self._signed_by}")
        if self._own_key:
            sheet.paragraph(self._say("own"))
        return bytes(sheet.output())

    def _head(self, sheet: _Sheet, case: JudicialRequest) -> None:
        sheet.heading(self._provider, 13)
        sheet.heading(f"{self._say('title')} - {self._say('case')} {case.id}", 12)
        if case.secret:
            sheet.heading(self._say("secret"), 11)
        rows = [
            ("authority", case.authority), ("order", case.order_number), ("basis", case.legal_basis),
            ("received", self._time(case.received_at)), ("deadline", case.deadline and f"{case.deadline:%d/%m/%Y}"),
            ("people", f"{case.searched_by} / {case.approved_by}"),
        ]  # fmt: skip
        for label, value in rows:
            if value:
                sheet.line_of(self._say(label), value)

    def _registration(self, sheet: _Sheet, number: int, answer: Mapping[str, Any]) -> None:
        """Art. 10 §3: who it is, and nothing of connections."""
        sheet.heading(f"{self._say('question')} {number}: {_written(answer['subject'])}", 11)
        for customer in answer["customers"]:
            self._customer(sheet, customer)
        if not answer["customers"]:
            sheet.paragraph(self._say("unknown"))

    def _answer(self, sheet: _Sheet, number: int, answer: Mapping[str, Any]) -> None:
        question = answer["question"]
        port = f"{self._say('port')} {question['port']}" if question["port"] else self._say("no_port")
        sheet.heading(f"{self._say('question')} {number}: {question['address']}, {port}", 11)
        sheet.line_of(self._say("period"), self._period(question["from"], question["until"]))
        words = [note_words(Note(note), self._language) for note in answer["notes"]]
        for sentence in [*words, clock_words(answer["tolerance_seconds"], self._language)]:
            sheet.paragraph(sentence)
        for place, candidate in enumerate(answer["candidates"], 1):
            sheet.heading(f"{self._say('result')} {number}.{place}", 10)
            self._candidate(sheet, candidate)

    def _candidate(self, sheet: _Sheet, one: Mapping[str, Any]) -> None:
        self._customer(sheet, one["customer"] or {})
        for label, value in self._connection(one):
            if value:
                sheet.line_of(self._say(label), value)
        for note in one["notes"]:
            sheet.paragraph(note_words(Note(note), self._language))

    def _customer(self, sheet: _Sheet, customer: Mapping[str, Any]) -> None:
        sheet.line_of(self._say("customer"), customer.get("name") or self._say("unknown"))
        rows = (("document", customer.get("document")), ("installed", _written(customer.get("address") or {})))
        for label, value in rows:
            if value:
                sheet.line_of(self._say(label), value)

    def _connection(self, one: Mapping[str, Any]) -> Sequence[tuple[str, str | None]]:
        ports = f"{one['port_first']}-{one['port_last']}" if one["port_first"] is not None else None
        started, ended = one["started_at"], one["ended_at"]
        lasted = datetime.fromisoformat(ended) - datetime.fromisoformat(started) if ended else None
        return (
            ("login", one["login"]), ("mac", one["calling_station_id"]), ("address", one["address"]), ("ports", ports),
            ("inside", one["inside_address"]), ("connection", self._period(started, ended)),
            ("duration", None if lasted is None else str(lasted).partition(".")[0]),
            ("end", end_words(one["end_kind"], self._language)), ("how", how_words(How(one["how"]), self._language)),
        )  # fmt: skip

    def _period(self, first: str, last: str | None) -> str:
        begin = self._time(datetime.fromisoformat(first))
        if first == last:
            return begin
        return f"{begin} {self._say('until')} {self._time(datetime.fromisoformat(last)) if last else self._say('open')}"

    def _time(self, moment: datetime) -> str:
        local = moment.astimezone(self._zone)
        offset = local.strftime("%z")
        return f"{moment:%Y-%m-%d %H:%M:%S}Z ({local:%d/%m/%Y %H:%M:%S} UTC{offset[:3]}:{offset[3:]})"

    def _say(self, label: str) -> str:
        return _LABELS[label][1 if self._language == "en" else 0]


#: As they are written on an envelope.
_ADDRESS_PARTS = ("street", "number", "district", "city", "state", "postal_code")


def _written(address: Mapping[str, Any]) -> str:
    return ", ".join(str(address[part]) for part in _ADDRESS_PARTS if address.get(part))
