"""What an answer means, in the words of who has to read it: Portuguese and English. Pure."""

from __future__ import annotations

from typing import Final

from aaa.connection_log.find import Answer, How, Note
from core.language import Language

_PT: Final = 0
_EN: Final = 1

_NOTES: Final[dict[Note, tuple[str, str]]] = {
    Note.PORT_MISSING: (
        (
            "O endereço era compartilhado (CGNAT) e a porta lógica de origem não foi informada: todos os que o usavam "
            "constam como candidatos. Com a porta, a resposta indica um só."
        ),
        (
            "The address was shared (CGNAT) and the source port was not given: all who used it are candidates. With "
            "the port the answer names one."
        ),
    ),
    Note.PORT_NOT_NEEDED: (
        "O endereço era de um só assinante por vez: a porta informada não altera a resposta.",
        "The address was one subscriber's at a time: the port given does not change the answer.",
    ),
    Note.SEVERAL: (
        "Há mais de um candidato. Os registros, por si sós, não permitem apontar um único.",
        "There is more than one candidate. The records alone do not single one out.",
    ),
    Note.NOBODY: (
        "Nenhum registro encontrado para o endereço no período.",
        "No record was found for the address in the period.",
    ),
    Note.TOO_MANY: (
        "Há mais candidatos do que cabem numa resposta: reduza o período ou informe a porta.",
        "There are more candidates than an answer holds: narrow the period or give the port.",
    ),
    Note.EDGE: (
        "Fora do momento pedido por menos do que a tolerância dos relógios.",
        "Outside the moment asked for by less than the clocks' tolerance.",
    ),
    Note.START_UNKNOWN: (
        "O início não foi informado pelo equipamento: vale o término do uso anterior ou um dia antes do término.",
        "The equipment did not tell the start: the previous use's end, or a day before the end, stands in.",
    ),
    Note.MOVED: (
        "A sessão teve mais de um endereço; o momento da troca é o do registro que informou o novo.",
        "The session had more than one address; it changed when a record told the new one.",
    ),
    Note.NOT_TOLD: (
        (
            "O endereço está numa rede ou num prefixo que este provedor atribuiu à sessão; o equipamento não informa "
            "seu uso."
        ),
        "The address is in a network or prefix that we gave to the session; the equipment does not tell its use.",
    ),
    Note.STALE_END: (
        "O equipamento não informou o término; ele foi deduzido.",
        "The equipment did not tell the end; it was inferred.",
    ),
    Note.STILL_OPEN: (
        "A conexão ainda não terminou, ou seu término ainda não foi informado.",
        "The connection has not ended yet, or its end was not told yet.",
    ),
    Note.INSIDE_UNKNOWN: (
        "O endereço interno que usava a porta não era de nenhuma sessão conhecida.",
        "The inside address that had the port was of no session that is known.",
    ),
}
_ENDS: Final[dict[str | None, tuple[str, str]]] = {
    None: ("em aberto", "still open"),
    "stop": ("informado pelo equipamento", "told by the equipment"),
    "changed": ("outro endereço ou regra passou a valer", "another address or rule took its place"),
    "nas_reboot": ("o equipamento reiniciou", "the equipment restarted"),
    "superseded": ("o assinante conectou-se de novo", "the subscriber connected again"),
    "stale": ("sem notícias além do intervalo habitual; encerrada por inatividade", "silent for longer than usual"),
    "not_found": ("o equipamento não conhecia mais a sessão", "the equipment did not know the session any more"),
}
_HOWS: Final[dict[How, tuple[str, str]]] = {
    How.SESSION: ("endereço da própria conexão", "the connection's own address"),
    How.PORT_BLOCK: ("bloco de portas atribuído pelo CGNAT", "a block of ports that the CGNAT gave"),
    How.NAT_RULE: ("regra de CGNAT determinístico", "a deterministic CGNAT rule"),
}


def note_words(note: Note, language: Language) -> str:
    return _NOTES[note][_index(language)]


def end_words(end_kind: str | None, language: Language) -> str:
    return _ENDS.get(end_kind, (str(end_kind), str(end_kind)))[_index(language)]


def how_words(how: How, language: Language) -> str:
    return _HOWS[how][_index(language)]


def clock_words(tolerance_s: int, language: Language) -> str:
    return (
        f"Horários em UTC. Relógios de equipamentos são aceitos com diferença de até {tolerance_s} segundos.",
        f"Times in UTC. Clocks of equipment are believed when they differ by no more than {tolerance_s} seconds.",
    )[_index(language)]


def answer_words(answer: Answer, language: Language) -> list[str]:
    """What holds for the whole answer."""
    said = [note_words(note, language) for note in Note if note in answer.notes]
    return [*said, clock_words(int(answer.question.tolerance.total_seconds()), language)]


def _index(language: Language) -> int:
    return _EN if language == "en" else _PT
