"""Steps in words, for whoever decides about them: of what, what becomes of it, from what to what. Without secrets.

Names of fields and their values stay RouterOS's own: an engineer knows them by these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from core.language import Language
from provisioning.routeros.planning.desired import mark_in
from provisioning.routeros.planning.steps import Add, Change, Move, Step
from provisioning.routeros.schema import MASK, MENUS, Field, Kind, canonical
from provisioning.routeros.values import text_of

#: Of a value, such as a script.
_CHARACTERS_MAX: Final = 60
#: What nobody needs to be told of: it is said already, or only we read it.
_SAID: Final = frozenset({"name", "comment"})
_TRUTH: Final = {"true": "yes", "false": "no"}


class Does(StrEnum):
    ADD = "add"
    CHANGE = "change"
    MOVE = "move"
    REMOVE = "remove"


class FieldTold(msgspec.Struct, frozen=True):
    """`was` and `becomes`: None where nothing is set; both masked of a secret."""

    name: str
    was: str | None
    becomes: str | None


class Told(msgspec.Struct, frozen=True):
    """One step. `what`: the row, empty where the menu has a single one. `before`: in front of what it goes; None: to
    the end, or it does not matter."""

    menu: str
    what: str
    does: Does
    fields: tuple[FieldTold, ...] = ()
    before: str | None = None


def told(steps: Iterable[Step]) -> list[Told]:
    return [_told(step) for step in steps]


def sentences(changes: Iterable[Mapping[str, Any]], language: Language) -> list[str]:
    """Of steps that were kept, as `to_builtins` has them."""
    return [sentence(msgspec.convert(one, Told), language) for one in changes]


def sentence(one: Told, language: Language) -> str:
    place = 0 if language == "pt_BR" else 1
    called = _MENUS[one.menu][place] if one.menu in _MENUS else one.menu
    subject = f"{called} {one.what}".rstrip()
    fields = ", ".join(_field_words(one.does, field, place) for field in one.fields)
    if one.does is Does.ADD:
        return f"{subject} {_NEW[place]}" + (f": {fields}" if fields else "")
    if one.does is Does.CHANGE:
        return f"{subject}: {fields}"
    if one.does is Does.MOVE:
        return f"{subject} {_LAST[place] if one.before is None else _BEFORE[place].format(one.before)}"
    return f"{subject} {_GONE[place]}"


def _told(step: Step) -> Told:
    if isinstance(step, Add):
        return Told(step.menu, _called(step.menu, step.values), Does.ADD, tuple(_new(step)), _place(step))
    if isinstance(step, Change):
        what = "" if step.row_id is None else _called(step.menu, step.row)
        return Told(step.menu, what, Does.CHANGE, tuple(_changed(step)))
    if isinstance(step, Move):
        return Told(step.menu, _called(step.menu, step.row), Does.MOVE, before=_place(step))
    return Told(step.menu, _called(step.menu, step.row), Does.REMOVE)


def _place(step: Add | Move) -> str | None:
    return None if step.before is None else _called(step.menu, step.before)


def _called(menu: str, row: Mapping[str, str | None]) -> str:
    """By its name, what our mark calls it, what somebody wrote about it, or its key."""
    fields, comment = MENUS[menu].fields, row.get("comment") or ""
    if "name" in fields and not fields["name"].is_told:
        return MASK
    mark = mark_in(comment)
    key = " ".join(filter(None, (row.get(name) for name in MENUS[menu].key)))
    return _shown(row.get("name") or (mark or comment) or key or row.get(".id") or "")


def _new(step: Add) -> Iterator[FieldTold]:
    for name, value in step.values.items():
        field = MENUS[step.menu].fields[name]
        if name not in _SAID and value and canonical(field.kind, value) != field.default:
            yield FieldTold(name, None, _value(field, value))


def _changed(step: Change) -> Iterator[FieldTold]:
    for name, value in step.values.items():
        field = MENUS[step.menu].fields[name]
        yield FieldTold(name, _value(field, step.was.get(name)), _value(field, value))


def _value(field: Field, value: str | None) -> str | None:
    if not field.is_told:
        return MASK
    if not value:
        return None
    return _shown(_TRUTH.get(value, value) if field.kind is Kind.BOOLEAN else value)


def _shown(value: str) -> str:
    """What a router has is perhaps no text."""
    text = text_of(value)
    return text if len(text) <= _CHARACTERS_MAX else f"{text[: _CHARACTERS_MAX - 1]}…"


def _field_words(does: Does, field: FieldTold, place: int) -> str:
    if MASK in {field.was, field.becomes}:
        return f"{field.name} {_SECRET[place]}"
    if does is Does.ADD:
        return f"{field.name} {field.becomes}"
    return _FROM_TO[place].format(field.name, field.was or _NOTHING[place], field.becomes or _NOTHING[place])


#: (pt_BR, en)
_NEW: Final = ("passa a existir", "is new")
_GONE: Final = ("deixa de existir", "is removed")
_BEFORE: Final = ("vai para antes de {}", "goes before {}")
_LAST: Final = ("vai para o fim", "goes to the end")
_FROM_TO: Final = ("{} de {} para {}", "{} from {} to {}")
_NOTHING: Final = ("nada", "nothing")
_SECRET: Final = ("(segredo)", "(secret)")
_MENUS: Final[Mapping[str, tuple[str, str]]] = {
    "/interface/pppoe-server/server": ("Servidor PPPoE", "PPPoE server"),
    "/interface/vlan": ("VLAN", "VLAN"),
    "/ip/address": ("Endereço IPv4", "IPv4 address"),
    "/ip/dhcp-server": ("Servidor DHCP", "DHCP server"),
    "/ip/dhcp-server/config": ("Servidores DHCP", "DHCP servers"),
    "/ip/dhcp-server/network": ("Rede DHCP", "DHCP network"),
    "/ip/firewall/address-list": ("Lista de endereços IPv4", "IPv4 address list"),
    "/ip/firewall/filter": ("Regra de firewall IPv4", "IPv4 firewall rule"),
    "/ip/firewall/nat": ("Regra de NAT", "NAT rule"),
    "/ip/hotspot": ("Hotspot", "Hotspot"),
    "/ip/hotspot/profile": ("Perfil de hotspot", "Hotspot profile"),
    "/ip/hotspot/walled-garden": ("Exceção do hotspot por nome", "Hotspot exception by name"),
    "/ip/hotspot/walled-garden/ip": ("Exceção do hotspot por endereço", "Hotspot exception by address"),
    "/ip/neighbor/discovery-settings": ("Descoberta de vizinhos", "Neighbour discovery"),
    "/ip/pool": ("Pool de endereços IPv4", "IPv4 pool"),
    "/ip/service": ("Serviço do roteador", "Service of the router"),
    "/ipv6/dhcp-server": ("Servidor DHCPv6", "DHCPv6 server"),
    "/ipv6/firewall/address-list": ("Lista de endereços IPv6", "IPv6 address list"),
    "/ipv6/firewall/filter": ("Regra de firewall IPv6", "IPv6 firewall rule"),
    "/ipv6/pool": ("Pool de prefixos IPv6", "IPv6 pool"),
    "/ppp/aaa": ("Autenticação PPP", "PPP authentication"),
    "/ppp/profile": ("Perfil PPP", "PPP profile"),
    "/ppp/secret": ("Usuário PPP", "PPP secret"),
    "/queue/simple": ("Fila simples", "Simple queue"),
    "/queue/tree": ("Árvore de filas", "Queue tree"),
    "/queue/type": ("Tipo de fila", "Queue type"),
    "/radius": ("Servidor RADIUS", "RADIUS server"),
    "/radius/incoming": ("CoA e desconexão por RADIUS", "CoA and Disconnect by RADIUS"),
    "/snmp": ("SNMP", "SNMP"),
    "/snmp/community": ("Comunidade SNMP", "SNMP community"),
    "/system/logging": ("Regra de log", "Log rule"),
    "/system/logging/action": ("Destino de log", "Log destination"),
    "/system/ntp/client": ("Cliente NTP", "NTP client"),
    "/tool/bandwidth-server": ("Servidor de teste de banda", "Bandwidth test server"),
    "/tool/mac-server": ("Telnet por MAC", "MAC telnet"),
    "/tool/mac-server/mac-winbox": ("WinBox por MAC", "MAC WinBox"),
    "/tool/mac-server/ping": ("Ping por MAC", "MAC ping"),
    "/user": ("Usuário do roteador", "User of the router"),
    "/user/group": ("Grupo de usuários", "User group"),
}  # fmt: skip
