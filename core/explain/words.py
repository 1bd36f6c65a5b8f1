"""Everything an explanation may say, in Portuguese and English. A test holds the two against each other.

A sentence names what is so, its next step what a person can do about it. Secrets have no place here: passwords are
never shown, and device addresses go through `Voice.device`.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Said(NamedTuple):
    pt: str
    pt_step: str
    en: str
    en_step: str


FINDINGS: Final[dict[str, Said]] = {
    "service_cancelled": Said(
        "O serviço está cancelado.", "Reative com um novo serviço, se for o caso.",
        "The service is cancelled.", "Create a new service if it is to be used again.",
    ),
    "service_pending": Said(
        "O serviço ainda não foi ativado.", "Conclua a instalação e ative o serviço.",
        "The service is not active yet.", "Finish the installation and activate it.",
    ),
    "no_login": Said(
        "O serviço não tem login.", "Cadastre login e senha.",
        "The service has no login.", "Set login and password.",
    ),
    "hold": Said(
        "Bloqueio por {reason}, efeito {effect}{note}.", "Resolva o motivo ou remova o bloqueio.",
        "Hold for {reason}, effect {effect}{note}.", "Settle its reason or lift it.",
    ),
    "incident": Said(
        "Há um incidente aberto que atinge este serviço: {title} (desde {opened}, vence em {until}).",
        "Acompanhe o incidente com o NOC; enquanto durar, a cobrança não suspende nem avisa.",
        "An open incident touches this service: {title} (since {opened}, expires at {until}).",
        "Follow it with the NOC; while it lasts, billing neither restricts nor tells anybody.",
    ),
    "refused": Said(
        "Recusado {times}, por último em {at}{where}: {reason}{hint}.", "{advice}",
        "Refused {times}, last at {at}{where}: {reason}{hint}.", "{advice}",
    ),
    "discarded": Said(
        "Pedidos ignorados {times}, por último em {at}{where}: {reason}.", "{advice}",
        "Requests ignored {times}, last at {at}{where}: {reason}.", "{advice}",
    ),
    "other_spelling": Said(
        "Chega com o login “{written}”, mas o cadastro diz “{meant}” ({difference}).",
        "Corrija o login no equipamento, ou use as regras de login do NAS (domínio, maiúsculas).",
        "It comes with the login “{written}”, and here it is “{meant}” ({difference}).",
        "Correct the login in the CPE, or use the NAS's login rules (realm, capitals).",
    ),
    "accepted_never_started": Said(
        "Aceito {times}, por último em {at}{where}, mas nenhuma sessão começou.",
        "O NAS não conseguiu montar a sessão, ou não envia accounting: confira nele o pool, o perfil e os endereços, "
        "e o servidor de accounting.",
        "Accepted {times}, last at {at}{where}, and no session began.",
        "The NAS could not set the session up, or sends no accounting: look there for the pool, the profile and the "
        "addresses, and for its accounting server.",
    ),
    "session_loop": Said(
        "Conecta e cai logo em seguida: {times} sessões curtas, a última de {seconds} s ({cause}).", "{advice}",
        "It connects and drops at once: {times} short sessions, the last one of {seconds} s ({cause}).", "{advice}",
    ),
    "online": Said(
        "Conectado desde {since} em {nas}, endereço {address}.", "",
        "Online since {since} at {nas}, address {address}.", "",
    ),
    "several_sessions": Said(
        "Há {number} sessões abertas ao mesmo tempo.",
        "Se o plano permite uma só, encerre as antigas; veja se o NAS perde os Stops.",
        "There are {number} sessions at the same time.",
        "If the plan allows one, end the older ones; see whether the NAS loses its Stops.",
    ),
    "observed": Said(
        "A sessão não traz a nossa Class (outro servidor a aceitou, ou o NAS não devolve Class): bloqueios e mudanças "
        "de plano só valem na próxima conexão.",
        "Se não puder esperar, desconecte o serviço: a próxima conexão é nossa.",
        "The session has no Class of ours (another server let it in, or the NAS does not send Class back): holds and "
        "changes of plan reach it when it connects next.",
        "Disconnect the service if it cannot wait: its next login is ours.",
    ),
    "out_of_step": Said(
        "A sessão ainda não tem a política pretendida.", "Veja os passos de aplicação; verifique a porta CoA do NAS.",
        "The session does not have the intended policy yet.", "Look at the enforcement steps and the NAS's CoA port.",
    ),
    "enforcement": Said(
        "Último passo de aplicação: {action} em {at}: {outcome}.", "{advice}",
        "Last enforcement step: {action} at {at}: {outcome}.", "{advice}",
    ),
    "offline": Said(
        "Não está conectado; última sessão terminou em {until} ({how}).", "Peça ao cliente para ligar o equipamento.",
        "Not online; the last session ended at {until} ({how}).", "Ask the subscriber to switch the CPE on.",
    ),
    "never_seen": Said(
        "Nunca se conectou.", "Confira login e senha no equipamento e se o NAS aponta para este servidor.",
        "It has never connected.", "Check the CPE's login and password, and that the NAS asks this server.",
    ),
    "policy": Said(
        "Política pretendida{plan}: {rates}; {addresses}{more}.", "",
        "Intended policy{plan}: {rates}; {addresses}{more}.", "",
    ),
    "policy_restricted": Said(
        "A velocidade e o acesso estão restritos por bloqueio: {access}.", "",
        "Rates and access are restricted by a hold: {access}.", "",
    ),
    "locked_to": Said(
        "Preso a {what}.", "Na troca de equipamento ou de lugar, defina de novo como “learn”.",
        "Locked to {what}.", "When the device or the place changes, set it to “learn” again.",
    ),
    "lock_waits": Said(
        "{what}: será aprendido na primeira conexão.", "",
        "{what}: will be learned at the first connection.", "",
    ),
    "nas_frozen": Said(
        "A aplicação está congelada em {nas}.", "Descongele com `provedor enforcement resume {nas}` quando puder.",
        "Enforcement is frozen at {nas}.", "Resume it by `provedor enforcement resume {nas}` when you can.",
    ),
    "nas_emergency": Said(
        "{nas} está em modo de emergência: aceita todos no plano de emergência.",
        "Desligue quando a noite difícil passar: `provedor nas emergency {nas} off`.",
        "{nas} is in emergency mode: it accepts everybody on the emergency plan.",
        "Switch it off when the bad night is over: `provedor nas emergency {nas} off`.",
    ),
    "nas_coa_silent": Said(
        "{nas} não responde a CoA na porta {port}.",
        "No NAS, aceite CoA deste servidor nesta porta, com o mesmo segredo; no MikroTik: /radius incoming set "
        "accept=yes.",
        "{nas} does not answer CoA on port {port}.",
        "At the NAS, accept CoA from this server on this port, with the same secret; on MikroTik: /radius incoming set "
        "accept=yes.",
    ),
    "nas_heard": Said(
        "{nas}: {live} sessões abertas, últimas notícias em {at}.", "",
        "{nas}: {live} live sessions, last heard of at {at}.", "",
    ),
    "nas_not_heard": Said(
        "{nas} não tem nenhuma sessão aberta.",
        "Confira se o NAS aponta para este servidor (autenticação e accounting) e se os pacotes chegam: "
        "`provedor radius trace {nas}`.",
        "{nas} has no live session.",
        "Check that the NAS asks this server (authentication and accounting) and that its packets arrive: "
        "`provedor radius trace {nas}`.",
    ),
    "nas_refuses": Said(
        "{number} tentativas recusadas em {nas} na última hora: {reasons}.", "",
        "{number} refused attempts at {nas} in the last hour: {reasons}.", "",
    ),
    "login_unknown": Said(
        "Não há serviço com o login “{login}”.", "{advice}",
        "There is no service with the login “{login}”.", "{advice}",
    ),
    "holds_address": Said(
        "{address} está com “{login}” desde {since}.", "",
        "{address} is held by “{login}” since {since}.", "",
    ),
    "fixed_address": Said(
        "{address} é o endereço fixo de “{login}”.", "",
        "{address} is the fixed address of “{login}”.", "",
    ),
    "address_free": Said(
        "Ninguém está com {address} agora.", "Para saber de outro momento, consulte o registro de conexões.",
        "Nobody holds {address} now.", "For another time, ask the connection log.",
    ),
    "uses_device": Said(
        "O equipamento {device} é usado por “{login}”.", "",
        "The device {device} is used by “{login}”.", "",
    ),
    "device_unknown": Said(
        "Ninguém usa o equipamento {device} agora, e nenhum serviço está preso a ele.",
        "Procure pelo login do cliente.",
        "Nobody uses the device {device} now, and no service is locked to it.",
        "Look for the subscriber's login.",
    ),
    "stranger": Said(
        "Chegam pedidos de {source}, que não é um NAS cadastrado ({count}, por último em {at}).",
        "Se é um NAS seu, cadastre-o com este endereço e o segredo que está nele; senão, feche a porta no firewall.",
        "Requests come from {source}, which is no NAS here ({count}, last at {at}).",
        "If it is a NAS of yours, add it with this address and the secret that is set there; if not, close the port in "
        "the firewall.",
    ),
    # What is wrong with a NAS: `nas_` and the kind of aaa's finding.
    "nas_wrong_secret": Said(
        "{nas}: segredo compartilhado errado{where} ({count}, por último em {at}).",
        "Ponha o mesmo segredo no NAS e no cadastro dele.",
        "{nas}: wrong shared secret{where} ({count}, last at {at}).",
        "Set the same secret at the NAS and in its entry here.",
    ),
    "nas_message_authenticator_missing": Said(
        "{nas}: pedidos sem Message-Authenticator, que este NAS deve enviar{where} ({count}, por último em {at}).",
        "Ative-o no NAS (MikroTik: require-message-auth), ou, se ele não sabe, ponha message_authenticator em "
        "“ignore”.",
        "{nas}: requests without the Message-Authenticator that it must send{where} ({count}, last at {at}).",
        "Switch it on at the NAS (MikroTik: require-message-auth), or, if it cannot, set message_authenticator to "
        "“ignore”.",
    ),
    "nas_unsigned_proxy_state": Said(
        "{nas}: pedidos com Proxy-State e sem assinatura, como no ataque BlastRADIUS{where} ({count}, por último em "
        "{at}).",
        "Se há um proxy no caminho, faça-o assinar (Message-Authenticator); senão, procure quem altera pacotes.",
        "{nas}: unsigned requests with Proxy-State, as in the BlastRADIUS attack{where} ({count}, last at {at}).",
        "If there is a proxy in between, make it sign (Message-Authenticator); if not, look for who alters packets.",
    ),
    "nas_malformed": Said(
        "{nas}: pacotes que não são RADIUS{where} ({count}, por último em {at}).",
        "Veja o que envia isso: `provedor radius trace {nas} --pcap FILE`.",
        "{nas}: packets that are no RADIUS{where} ({count}, last at {at}).",
        "See what sends them: `provedor radius trace {nas} --pcap FILE`.",
    ),
    "nas_unexpected_code": Said(
        "{nas}: pacotes na porta errada{where} ({count}, por último em {at}).",
        "Confira no NAS as portas: autenticação 1812, accounting 1813.",
        "{nas}: packets on the wrong port{where} ({count}, last at {at}).",
        "Check the ports at the NAS: authentication 1812, accounting 1813.",
    ),
    "nas_incomplete": Said(
        "{nas}: accounting sem status ou sem Acct-Session-Id{where} ({count}, por último em {at}).",
        "Atualize o NAS; sem isso a sessão não pode ser registrada.",
        "{nas}: accounting without status or Acct-Session-Id{where} ({count}, last at {at}).",
        "Update the NAS; without them no session can be recorded.",
    ),
    "nas_clock_skew": Said(
        "{nas}: o relógio está {offset}{where} ({count}, por último em {at}).",
        "Configure NTP no NAS, e o fuso horário como fuso, não como hora local em UTC.",
        "{nas}: the clock is {offset}{where} ({count}, last at {at}).",
        "Set NTP at the NAS, and its zone as a zone, not local time as UTC.",
    ),
    "nas_replies_unheard": Said(
        "{nas}: repete pedidos que já foram respondidos{where} ({count}, por último em {at}).",
        "Nossas respostas não chegam ou são recusadas: veja rota de volta, firewall e NAT; no MikroTik, o timeout "
        "(300 ms é pouco), o segredo e require-message-auth.",
        "{nas}: repeats requests that were answered{where} ({count}, last at {at}).",
        "Our replies do not arrive or are refused: look at the route back, firewall and NAT; on MikroTik at the "
        "timeout (300 ms is little), the secret and require-message-auth.",
    ),
}  # fmt: skip

#: The first words of an answer whose first finding does not give it by itself: (pt_BR, en).
ANSWERS: Final[dict[str, tuple[str, str]]] = {
    "online": ("Está conectado.", "Is online."),
    "restricted": ("Está conectado, com acesso restrito.", "Is online, with restricted access."),
    "refused": ("Não consegue se conectar.", "Cannot connect."),
    "blocked": ("Não pode se conectar.", "May not connect."),
    "offline": ("Pode se conectar, mas não está conectado.", "May connect, and is not online."),
    "not_active": ("Não pode se conectar.", "May not connect."),
    "unknown_login": ("Não pode se conectar.", "May not connect."),
    "nas_sound": ("Nada de errado é conhecido.", "Nothing wrong is known."),
    "nas_troubled": ("Há algo errado.", "Something is wrong."),
}

#: Small words around facts: (pt_BR, en).
PHRASES: Final[dict[str, tuple[str, str]]] = {
    "once": ("uma vez", "once"),
    "times": ("{number} vezes", "{number} times"),
    "at_nas": (" em {nas}", " at {nas}"),
    "near_logins": ("Quis dizer {logins}?", "Did you mean {logins}?"),
    "no_near_login": ("Confira o login; os clientes são listados em /api/v1/services.",
                      "Check the login; services are listed at /api/v1/services."),
    "came_expected": ("veio {came}, esperado {expected}", "{came} came, {expected} was expected"),
    "sessions_live": ("{live} de {limit} em uso, em {where}", "{live} of {limit} in use, at {where}"),
    "nothing_came": ("nada", "nothing"),
    "rates": ("{down} de descida e {up} de subida", "{down} down and {up} up"),
    "rates_of_nas": ("velocidade decidida pelo NAS", "rates left to the NAS"),
    "burst": (", com rajada até {down}/{up}", ", with bursts up to {down}/{up}"),
    "fixed": ("endereço fixo {address}", "fixed address {address}"),
    "pool": ("endereço do pool {pool}", "address from the pool {pool}"),
    "address_of_nas": ("endereço decidido pelo NAS", "address left to the NAS"),
    "prefix": (", IPv6 {prefix}", ", IPv6 {prefix}"),
    "routes": (", rotas {routes}", ", routes {routes}"),
    "list": (", lista {name}", ", address list {name}"),
    "profile": (", perfil {name}", ", profile {name}"),
    "vrf": (", VRF {name}", ", VRF {name}"),
    "filters": (", filtros {names}", ", filters {names}"),
    "no_access": ("nenhum acesso", "no access at all"),
    "plan": (" (plano {plan})", " (plan {plan})"),
    "ahead": ("{amount} adiantado", "{amount} ahead"),
    "behind": ("{amount} atrasado", "{amount} behind"),
    "zone": (" (a hora local está posta como se fosse UTC)", " (its local time is set as if it were UTC)"),
    "unknown_cause": ("causa {number}", "cause {number}"),
    "from": (" ({source})", " ({source})"),
}  # fmt: skip


def choose(language: str, words: tuple[str, str]) -> str:
    return words[0] if language == "pt_BR" else words[1]
