"""What things are called in an explanation, and what refusals are and ask for, in Portuguese and English."""

from __future__ import annotations

from typing import Final, NamedTuple

from core.access import HoldEffect, HoldReason
from core.models.network import StopKind

#: What things are called in front of people: (pt_BR, en).
NAMES: Final[dict[str, tuple[str, str]]] = {
    HoldReason.BILLING: ("cobrança", "billing"),
    HoldReason.ADMIN: ("decisão do provedor", "the provider's decision"),
    HoldReason.ABUSE: ("abuso", "abuse"),
    HoldReason.QUOTA: ("franquia esgotada", "used-up quota"),
    HoldReason.REQUEST: ("pedido do cliente", "the customer's request"),
    HoldEffect.THROTTLE: ("velocidade reduzida", "reduced speed"),
    HoldEffect.WALLED_GARDEN: ("só a página de aviso", "walled garden only"),
    HoldEffect.BLOCK: ("sem acesso", "no access"),
    "throttled": ("velocidade reduzida", "reduced speed"),
    "blocked_access": ("sem acesso", "no access"),
    StopKind.STOP: ("encerrada pelo NAS", "ended by the NAS"),
    StopKind.NAS_REBOOT: ("o NAS reiniciou", "the NAS restarted"),
    StopKind.SUPERSEDED: ("outra sessão começou", "another session began"),
    StopKind.STALE: ("sem notícias do NAS", "nothing heard from the NAS"),
    StopKind.NOT_FOUND: ("o NAS não a conhece mais", "the NAS knows it no more"),
    "coa": ("CoA", "CoA"),
    "router": ("API do roteador", "router's API"),
    "disconnect": ("desconexão", "disconnect"),
    "end": ("encerramento pela API do roteador", "end over the router's API"),
    "asking": ("aguardando a resposta do NAS", "waiting for the NAS's answer"),
    "ack": ("o NAS confirmou", "the NAS confirmed"),
    "nak": ("o NAS recusou", "the NAS refused"),
    "timeout": ("o NAS não respondeu", "the NAS did not answer"),
    "unreachable": ("o NAS não pôde ser alcançado", "the NAS could not be reached"),
    "held_back": ("adiado, o NAS tem pedidos demais", "put off, the NAS has too much to answer"),
    "case": ("maiúsculas e minúsculas", "capitals"),
    "blank": ("espaço no começo ou no fim", "a blank before or behind"),
    "realm": ("domínio", "realm"),
    "auth": ("na autenticação", "in authentication"),
    "acct": ("no accounting", "in accounting"),
    "mac_lock": ("equipamento", "device"),
    "circuit_lock": ("circuito", "line"),
    "nas_lock": ("NAS", "NAS"),
}


class Refusal(NamedTuple):
    """A reason of aaa in words, and what to do: (pt_BR, en) each."""

    name: tuple[str, str]
    advice: tuple[str, str]


NAS_SETTINGS: Final = ("Confira a configuração do NAS.", "Check the NAS's configuration.")
#: Reasons for which a login is refused or discarded, or is odd.
REASONS: Final[dict[str, Refusal]] = {
    "wrong_password": Refusal(
        ("senha errada", "wrong password"),
        ("Corrija a senha no equipamento ou no cadastro.", "Correct the password in the CPE or here."),
    ),
    "unknown_login": Refusal(
        ("login desconhecido", "unknown login"),
        ("O login não estava ativo naquele momento.", "The login was not active at that time."),
    ),
    "blocked": Refusal(
        ("acesso bloqueado", "access is blocked"),
        ("Há um bloqueio total; veja os bloqueios.", "A hold blocks all access; see the holds."),
    ),
    "credentials_missing": Refusal(("pedido sem senha", "no credentials in the request"), NAS_SETTINGS),
    "credentials_contradictory": Refusal(
        ("pedido com duas senhas", "two kinds of credentials in one request"), NAS_SETTINGS
    ),
    "method_unsupported": Refusal(
        ("método de autenticação não suportado", "authentication method not supported"),
        ("Use PAP, CHAP ou MS-CHAP no NAS.", "Use PAP, CHAP or MS-CHAP at the NAS."),
    ),
    "authorize_only": Refusal(("pedido sem autenticação", "a request without authentication"), NAS_SETTINGS),
    "locked_mac": Refusal(
        ("equipamento diferente do que está preso ao serviço", "another device than the service is locked to"),
        ("Se o equipamento foi trocado, defina mac_lock como “learn”.",
         "If the device was changed, set mac_lock to “learn”."),
    ),
    "locked_circuit": Refusal(
        ("circuito diferente do que está preso ao serviço", "another line than the service is locked to"),
        ("Se o cliente mudou de porta, defina circuit_lock como “learn”.",
         "If the subscriber was moved to another port, set circuit_lock to “learn”."),
    ),
    "locked_nas": Refusal(
        ("NAS diferente do que está preso ao serviço", "another NAS than the service is locked to"),
        ("Se o cliente mudou de NAS, mude nas_id, ou defina-o como “learn”.",
         "If the subscriber was moved to another NAS, change nas_id, or set it to “learn”."),
    ),
    "session_limit": Refusal(
        ("já há sessões demais com este login", "too many sessions with this login already"),
        ("Encerre a sessão antiga, ou aumente o limite do plano.", "End the older session, or raise the plan's limit."),
    ),
    "home_rejected": Refusal(
        ("recusado pelo servidor antigo", "refused by the old server"),
        ("O NAS ainda pergunta ao servidor antigo; corrija lá, ou passe o NAS ao modo serve.",
         "The NAS is still answered by the old server: put it right there, or switch the NAS to serve."),
    ),
    "bad_authenticator": Refusal(
        ("segredo compartilhado errado no NAS", "wrong shared secret at the NAS"),
        ("Ponha o mesmo segredo no NAS e no cadastro dele.", "Set the same secret at the NAS and in its entry here."),
    ),
    "message_authenticator_missing": Refusal(
        ("falta o Message-Authenticator que o NAS deve enviar", "the NAS's Message-Authenticator is missing"),
        ("Ative-o no NAS (MikroTik: require-message-auth), ou ponha message_authenticator em “ignore”.",
         "Switch it on at the NAS (MikroTik: require-message-auth), or set message_authenticator to “ignore”."),
    ),
    "unsigned_proxy_state": Refusal(
        ("pedido com Proxy-State e sem assinatura", "an unsigned request with Proxy-State"),
        ("Faça o proxy assinar seus pedidos (Message-Authenticator).",
         "Make the proxy sign its requests (Message-Authenticator)."),
    ),
    "lease_awaited": Refusal(
        ("o endereço do pool ainda está sendo reservado", "its address is still being reserved in the pool"),
        ("O NAS pergunta de novo em segundos; se continua, veja se o pool está cheio.",
         "The NAS asks again in seconds; if it goes on, see whether the pool is full."),
    ),
    "pool_exhausted": Refusal(
        ("nenhum endereço está livre no pool", "no address is free in the pool"),
        ("Em minutos voltam endereços de quem está desligado; se não, amplie o pool ou veja `provedor doctor`.",
         "Within minutes, those of subscribers offline come back; if not, enlarge the pool, or see `provedor doctor`."),
    ),
    "leases_stale": Refusal(
        ("este servidor está sem o banco de dados há tempo demais para dar endereços",
         "this server has been without the database for too long to give addresses"),
        ("Veja `provedor doctor`; o NAS pode perguntar a outro servidor.",
         "See `provedor doctor`; the NAS may ask another server."),
    ),
    "accepted_again": Refusal(
        ("aceito e pedido de novo logo depois", "accepted, and asked again soon after"),
        ("Veja se a sessão começa e por que termina.", "See whether the session begins, and why it ends."),
    ),
}  # fmt: skip
#: What is behind a wrong password: name, and advice where it is another than the reason's.
HINTS: Final[dict[str, Refusal]] = {
    "wrong_shared_secret_likely": Refusal(
        ("parece ruído: o segredo compartilhado deve estar errado",
         "it looks like noise: the shared secret is likely to be wrong"),
        ("Ponha o mesmo segredo no NAS e no cadastro dele.", "Set the same secret at the NAS and in its entry here."),
    ),
    "password_empty": Refusal(
        ("senha vazia", "an empty password"), ("Preencha a senha no equipamento.", "Fill the password in at the CPE.")
    ),
    "password_blank": Refusal(
        ("certa, exceto por um espaço no começo ou no fim", "right but for a blank before or behind it"),
        ("Digite a senha de novo no equipamento, sem espaços.", "Type the password again at the CPE, without blanks."),
    ),
    "password_case": Refusal(
        ("certa, exceto por maiúsculas e minúsculas", "right but for its capitals"),
        ("Digite a senha no equipamento com as maiúsculas certas.", "Type the password at the CPE in the right case."),
    ),
}  # fmt: skip
