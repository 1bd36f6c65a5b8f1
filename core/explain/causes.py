"""Numbers that RADIUS gives for reasons, in words and with what to do: Acct-Terminate-Cause and Error-Cause."""

from __future__ import annotations

from typing import Final

from core.explain.names import NAS_SETTINGS, Refusal

#: Acct-Terminate-Cause (RFC 2866 5.10): in words, and what a session that ends so again and again asks for.
_LINE: Final = (
    "Verifique o enlace: sinal óptico ou de rádio, cabo e fonte do equipamento.",
    "Look at the link: optical or radio signal, cable and power of the CPE.",
)
_AT_NAS: Final = ("Veja o log do NAS deste momento.", "Look at the NAS's log of that time.")
_AT_CPE: Final = ("Veja o equipamento do cliente.", "Look at the subscriber's CPE.")
TERMINATE_CAUSES: Final[dict[int, Refusal]] = {
    1: Refusal(("o equipamento desconectou", "the CPE ended it"), _AT_CPE),
    2: Refusal(("o enlace caiu", "the carrier was lost"), _LINE),
    3: Refusal(("o serviço ficou indisponível", "the service was lost"), _AT_NAS),
    4: Refusal(("tempo ocioso esgotado", "idle timeout"), ("Confira o Idle-Timeout.", "Check the Idle-Timeout.")),
    5: Refusal(("tempo de sessão esgotado", "session timeout"),
               ("Confira o tempo de sessão do plano.", "Check the plan's session time.")),
    6: Refusal(("encerrada por um administrador", "reset by an administrator"), _AT_NAS),
    7: Refusal(("o NAS foi reiniciado por um administrador", "the NAS was rebooted by an administrator"), _AT_NAS),
    8: Refusal(("erro na porta", "port error"), _LINE),
    9: Refusal(("erro no NAS", "NAS error"),
               ("O NAS não conseguiu montar a sessão: confira pool, perfil e endereços nele.",
                "The NAS could not set the session up: look there for pool, profile and addresses.")),
    10: Refusal(("o NAS encerrou", "ended at the NAS's request"),
                ("Veja o log do NAS: limite de sessões, endereço em uso, perfil.",
                 "Look at the NAS's log: session limits, an address in use, the profile.")),
    11: Refusal(("o NAS reiniciou", "the NAS restarted"), _AT_NAS),
    12: Refusal(("a porta não era mais necessária", "the port was needed no more"), _AT_NAS),
    13: Refusal(("a porta foi dada a outro", "the port was given to another"), _AT_NAS),
    14: Refusal(("a porta foi suspensa", "the port was suspended"), _AT_NAS),
    15: Refusal(("o NAS não pôde prestar o serviço", "the NAS could not provide the service"), _AT_NAS),
    16: Refusal(("retorno de chamada", "callback"), _AT_NAS),
    17: Refusal(("erro do equipamento do cliente", "an error of the CPE"), _AT_CPE),
    18: Refusal(("encerrada a pedido do servidor", "ended at the server's request"), ("", "")),
}  # fmt: skip
_KEYS: Final = (
    "O NAS não encontrou a sessão pelas chaves enviadas.",
    "The NAS did not find the session by the keys it was sent.",
)
#: Error-Cause (RFC 5176 3.5): in words, and what to do.
ERROR_CAUSES: Final[dict[int, Refusal]] = {
    201: Refusal(("o resto da sessão foi removido", "residual session context removed"), ("", "")),
    202: Refusal(("pacote EAP inválido", "invalid EAP packet"), NAS_SETTINGS),
    401: Refusal(("atributo não suportado", "unsupported attribute"),
                 ("Confira o fabricante no cadastro do NAS.", "Check the vendor in the NAS's entry.")),
    402: Refusal(("falta um atributo", "missing attribute"),
                 ("Confira o fabricante no cadastro do NAS.", "Check the vendor in the NAS's entry.")),
    403: Refusal(("o pedido não é para este NAS", "NAS identification mismatch"),
                 ("Confira o NAS-Identifier e o endereço do NAS.", "Check the NAS's NAS-Identifier and address.")),
    404: Refusal(("pedido inválido", "invalid request"), NAS_SETTINGS),
    405: Refusal(("serviço não suportado", "unsupported service"), NAS_SETTINGS),
    406: Refusal(("CoA não suportado", "unsupported extension"),
                 ("Ative CoA e Disconnect no NAS.", "Switch CoA and Disconnect on at the NAS.")),
    407: Refusal(("valor de atributo inválido", "invalid attribute value"),
                 ("Confira os nomes de pool, perfil e filtro no NAS.",
                  "Check the names of pool, profile and filter at the NAS.")),
    501: Refusal(("proibido pela configuração do NAS", "administratively prohibited"),
                 ("Permita CoA deste servidor no NAS.", "Allow CoA from this server at the NAS.")),
    502: Refusal(("o proxy não sabe para onde enviar", "request not routable"), NAS_SETTINGS),
    503: Refusal(("o NAS não conhece a sessão", "session context not found"), _KEYS),
    504: Refusal(("a sessão não pode ser removida", "session context not removable"), _AT_NAS),
    505: Refusal(("erro em um proxy", "other proxy processing error"), _AT_NAS),
    506: Refusal(("o NAS está sem recursos", "resources unavailable"), _AT_NAS),
    507: Refusal(("o NAS fará um pedido de autorização", "request initiated"), ("", "")),
    508: Refusal(("as chaves servem a várias sessões", "multiple session selection unsupported"), _KEYS),
}  # fmt: skip
