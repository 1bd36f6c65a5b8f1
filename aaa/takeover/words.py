"""A difference in words, for who decides whether a NAS may be switched."""

from __future__ import annotations

from typing import Final

from aaa.takeover.compare import Kind

#: kind -> (pt_BR, en)
_WORDS: Final = {
    Kind.WE_REFUSE: (
        "O servidor antigo aceita; nós recusaríamos: {ours}.",
        "The old server accepts; we would refuse: {ours}.",
    ),
    Kind.WE_ACCEPT: ("O servidor antigo recusa; nós aceitaríamos.", "The old server refuses; we would accept."),
    Kind.NO_ANSWER: (
        "O servidor antigo não respondeu a tempo; nossa resposta: {ours}.",
        "The old server did not answer in time; our answer: {ours}.",
    ),
    Kind.NO_LEASE: (
        "{attribute}: o servidor antigo envia {theirs}; nós daríamos um endereço livre do pool {ours}.",
        "{attribute}: the old server sends {theirs}; we would give one that is free in the pool {ours}.",
    ),
    Kind.MISSING: (
        "O servidor antigo envia {attribute} = {theirs}; nós não.",
        "The old server sends {attribute} = {theirs}; we do not.",
    ),
    Kind.EXTRA: (
        "Nós enviamos {attribute} = {ours}; o servidor antigo não.",
        "We send {attribute} = {ours}; the old server does not.",
    ),
    Kind.DIFFERENT: (
        "{attribute}: o servidor antigo envia {theirs}, nós {ours}.",
        "{attribute}: the old server sends {theirs}, we send {ours}.",
    ),
}
#: Our reasons, in words.
_REASONS: Final = {
    "accepted": ("aceito", "accepted"),
    "accepted_emergency": ("aceito (emergência)", "accepted (emergency)"),
    "unknown_login": ("login desconhecido", "unknown login"),
    "wrong_password": ("senha errada", "wrong password"),
    "blocked": ("acesso bloqueado", "access is blocked"),
    "credentials_missing": ("pedido sem senha", "no credentials in the request"),
    "credentials_contradictory": ("pedido com duas senhas", "two kinds of credentials in one request"),
    "method_unsupported": ("método de autenticação não suportado", "authentication method not supported"),
    "authorize_only": ("pedido sem autenticação", "a request without authentication"),
}


def say(kind: str, attribute: str, ours: str, theirs: str, language: str) -> str:
    place = 0 if language == "pt_BR" else 1
    reason = _REASONS.get(ours, (ours, ours))[place]
    return _WORDS[Kind(kind)][place].format(attribute=attribute, ours=reason if not attribute else ours, theirs=theirs)
