"""A box's configuration as text, over its API, and who its log and history name.

`/export` prints nothing over the API, so it goes into a file of the box, which is read and removed:

    from 7.13   `/file/read`, in pieces, whatever its size
    before      `/file/print` shows contents up to 4095 octets, and nothing of a longer file. Then every menu of our
                schema is read by its rows and written down as the export would, and of other menus each small file
                that can be read. What cannot be is named: `left_out`

Rows are what is left, too, where the box refuses the file: a full disk, a user without the policy `ftp`. A file that
an earlier reading left behind, because the box went away, is removed by the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from provisioning.backups.statements import Statement, prompt_of
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import RouterOsError, Trap
from provisioning.routeros.planning.matching import is_fixed
from provisioning.routeros.planning.plan import MENU_ORDER
from provisioning.routeros.planning.script import quote
from provisioning.routeros.reading import read_rows, release_of
from provisioning.routeros.schema import MENUS, Field, Kind, MenuSchema, Release, canonical
from provisioning.routeros.values import text_of

#: Of our file at the box, without its ending.
FILE: Final = "provedor-backup"
READS_FILES_SINCE: Final = Release(7, 13)
#: Before, exports show secrets unless they are told not to.
HIDES_SECRETS_SINCE: Final = Release(7, 0)
CHUNK_OCTETS: Final = 32768
#: A router with thousands of rows takes its time.
EXPORT_TIMEOUT_S: Final = 120.0
#: A file that was just written cannot always be read at once (librouteros' authors saw it).
TRIES: Final = 6
PAUSE_S: Final = 0.2
#: Menus that the schema does not have, each of which fits into a small file on most boxes.
OTHER_MENUS: Final = (
    "/interface/bonding", "/interface/eoip", "/interface/gre", "/interface/ipip", "/interface/l2tp-server",
    "/interface/l2tp-client", "/interface/pppoe-client", "/interface/wireless", "/ip/cloud", "/ip/dhcp-client",
    "/ip/dhcp-relay", "/ip/dns", "/ip/firewall/connection", "/ip/firewall/layer7-protocol", "/ip/firewall/mangle",
    "/ip/firewall/raw", "/ip/firewall/service-port", "/ip/ipsec", "/ip/neighbor", "/ip/proxy", "/ip/route",
    "/ip/settings", "/ip/ssh", "/ip/traffic-flow", "/ipv6/address", "/ipv6/dhcp-client", "/ipv6/firewall/mangle",
    "/ipv6/firewall/raw", "/ipv6/nd", "/ipv6/route", "/ipv6/settings", "/mpls", "/port", "/routing",
    "/system/clock", "/system/note", "/system/ntp/server", "/tool",
)  # fmt: skip
#: Never exported by a router, so not by rows either: who may log in is not copied to another box.
_NOT_EXPORTED: Final = frozenset({"/interface", "/user"})
#: The box's own, where it is not said that somebody said otherwise.
_OF_THE_BOX: Final = frozenset({("/interface/ethernet", "mac-address")})
#: Those that can be read by rows, each behind those that it names.
ROW_MENUS: Final = tuple(menu for menu in MENU_ORDER if menu not in _NOT_EXPORTED)
#: `filter rule changed by admin`; from 7.x on in more words: `… by winbox-3.41/tcp-msg(winbox):admin@192.0.2.7 (…)`.
_LOGGED: Final = re.compile(r"(?P<action>.+?) (?:by|via) (?P<who>\S+)(?: \((?P<more>.*)\))?", re.DOTALL)
_WHO: Final = re.compile(r"(?:.*:)?(?P<name>[^:@/]+)(?:@.*)?")
_CHANGES: Final = re.compile(r"\b(?:added|changed|removed|moved|enabled|disabled|undone|set|reset|unset)\b")
_ACTIONS_MAX: Final = 1000


class ReadBy(StrEnum):
    EXPORT = "export"
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Action:
    """What the box says somebody did there, and its own word for when: before 7.10 that is the time of day alone while
    it is today, so `row` has no more than that."""

    source: str
    row: str
    by: str
    action: str
    at: str


@dataclass(frozen=True, slots=True)
class Reading:
    """`left_out`: what of the configuration is not in the text, for people."""

    text: str
    release: Release
    read_by: ReadBy
    left_out: tuple[str, ...]
    actions: tuple[Action, ...]


#: Said of a reading without them.
NO_SECRETS: Final = "secrets: the API's user has no policy `sensitive`"


class _Unreadable(Exception):
    """The file cannot be had whole; the message says why."""


def read_configuration(
    client: RouterOs, user: str, wait: Callable[[float], None], others: Sequence[str] = OTHER_MENUS
) -> Reading:  # fmt: skip
    """`user`: by whom we are known at the box. Raises RouterOsError."""
    reading = _read(client, wait, others)
    return reading if _sees_secrets(client, user) else replace(reading, left_out=(*reading.left_out, NO_SECRETS))


def _read(client: RouterOs, wait: Callable[[float], None], others: Sequence[str]) -> Reading:
    release = release_of(client)
    _remove_files(client)
    actions = tuple(_actions(client))
    try:
        text = _exported(client, "", release, wait)
    except _Unreadable as why:
        return _by_rows(client, release, wait, str(why), others, actions)
    return Reading(text, release, ReadBy.EXPORT, (), actions)


def _sees_secrets(client: RouterOs, user: str) -> bool:
    """As far as the box says: of a user whom RADIUS lets in there is no row."""
    users = _shown(client, "/user", ("name", "group"), f"name={user}")
    groups = _shown(client, "/user/group", ("name", "policy"), f"name={users[0].get('group', '')}") if users else []
    return not groups or "sensitive" in groups[0].get("policy", "").split(",")


# By a file


def _exported(client: RouterOs, menu: str, release: Release, wait: Callable[[float], None]) -> str:
    """Raises _Unreadable, or RouterOsError for a box that is away."""
    try:
        given = {"file": FILE, **({"show-sensitive": ""} if release >= HIDES_SECRETS_SINCE else {})}
        client.call(f"{menu}/export", given, timeout_s=EXPORT_TIMEOUT_S)
        return _contents(client, release, wait)
    except Trap as trap:
        if menu and trap.no_such_command:
            return ""
        raise _Unreadable(trap.message) from None
    finally:
        _forget_files(client)


def _contents(client: RouterOs, release: Release, wait: Callable[[float], None]) -> str:
    for attempt in range(TRIES):
        if attempt:
            wait(PAUSE_S)
        file = next(iter(_files(client)), None)
        text = None if file is None else _content(client, file, release)
        if text:
            return text
    raise _Unreadable("its export is too long for the API of this release")


def _content(client: RouterOs, file: Row, release: Release) -> str | None:
    """None where it cannot be read (yet)."""
    if release >= READS_FILES_SINCE:
        text = "".join(_chunks(client, file["name"]))
    else:
        shown = client.rows("/file", (".id", "name", "contents"), f"name={file['name']}")
        text = shown[0].get("contents", "") if shown else ""
    octets = len(text.encode("utf-8", "surrogateescape"))
    if not text or (file.get("size", "").isdecimal() and int(file["size"]) != octets):
        return None
    if not text.endswith("\n"):
        raise _Unreadable("the file with its export is not whole")
    return text


def _chunks(client: RouterOs, name: str) -> Iterator[str]:
    """A piece may end within a character: octets that are none are kept as they came, and put together again."""
    octets = b""
    while True:
        given = {"file": name, "offset": str(len(octets)), "chunk-size": str(CHUNK_OCTETS)}
        rows = client.call("/file/read", given)
        data = rows[0].get("data", "") if rows else ""
        if not data:
            break
        octets += data.encode("utf-8", "surrogateescape")
    yield octets.decode("utf-8", "surrogateescape")


def _files(client: RouterOs) -> list[Row]:
    """Ours; where the box has flash, below it."""
    rows = client.rows("/file", (".id", "name", "size"))
    return [row for row in rows if row.get("name", "").rpartition("/")[2].startswith(FILE)]


def _remove_files(client: RouterOs) -> None:
    for row in _files(client):
        try:
            client.call("/file/remove", {".id": row[".id"]})
        except Trap:
            continue  # whose user may not write files has none


def _forget_files(client: RouterOs) -> None:
    """A box that is away keeps it until the next reading."""
    try:
        _remove_files(client)
    except RouterOsError:
        return


# By rows


def _by_rows(
    client: RouterOs, release: Release, wait: Callable[[float], None], why: str, others: Sequence[str],
    actions: tuple[Action, ...],
) -> Reading:  # fmt: skip
    parts = [f"# read by rows: {why}\n", _rows_text(read_rows(client, ROW_MENUS, release), release)]
    left_out = []
    for menu in others:
        try:
            parts.append(_exported(client, menu, release, wait) if release < READS_FILES_SINCE else "")
        except _Unreadable:
            left_out.append(menu)
    said = f"read by rows, since {why}: menus that Provedor knows"
    return Reading("".join(parts), release, ReadBy.ROWS, (said, *left_out), actions)


def _rows_text(actual: Mapping[str, Sequence[Row]], release: Release) -> str:
    """These menus' rows as an export has them, but for rows that every box has, of which it says more."""
    return "".join(_written(menu, actual[menu], release) for menu in ROW_MENUS)


def _written(menu: str, rows: Sequence[Row], release: Release) -> str:
    schema = MENUS[menu]
    fields = {
        name: field for name, field in schema.known_to(release).items()
        if not field.read_only and (menu, name) not in _OF_THE_BOX
    }  # fmt: skip
    said = (_statement(schema, fields, row) for row in _named_first(schema, rows) if not is_fixed(row))
    lines = "".join(f"{one.text}\n" for one in said if one.verb == "add" or one.values)
    return f"{prompt_of(menu)}\n{lines}" if lines else ""


def _statement(schema: MenuSchema, fields: Mapping[str, Field], row: Row) -> Statement:
    values = tuple(
        (name, _value(fields[name], value)) for name, value in sorted(row.items())
        if name in fields and value != fields[name].default
    )  # fmt: skip
    if schema.single:
        return Statement(schema.path, "set", "", values)
    name = row.get("name", "")
    if schema.path == "/interface/ethernet":
        return Statement(schema.path, "set", f"[ find default-name={row.get('default-name', name)} ]", values)
    if schema.fixed or name in schema.builtin or row.get("default") == "true":
        which = quote(name) if name else row[".id"]
        return Statement(schema.path, "set", which, tuple(one for one in values if one[0] != "name"))
    return Statement(schema.path, "add", "", values)


def _value(field: Field, value: str) -> str:
    if field.kind is Kind.BOOLEAN:
        return {"true": "yes", "false": "no"}.get(value, value)
    if field.name == "policy":  # a group shows what it lacks as well
        value = ",".join(word for word in value.split(",") if not word.startswith("!"))
    return canonical(field.kind, value)


def _named_first(schema: MenuSchema, rows: Sequence[Row]) -> list[Row]:
    """Rows that name others of their own menu come behind them, or nobody could load it."""
    naming = [field.name for field in schema.fields.values() if field.refers_to == schema.path]
    if not naming or schema.ordered is not None:
        return list(rows)
    by_name = {row.get("name", ""): row for row in rows}
    found: dict[str, Row] = {}

    def take(row: Row, above: frozenset[str]) -> None:
        for name in naming:
            named = by_name.get(row.get(name, ""))
            if named is not None and named[".id"] not in found and named[".id"] not in above:
                take(named, above | {named[".id"]})
        found.setdefault(row[".id"], row)

    for row in rows:
        take(row, frozenset({row[".id"]}))
    return list(found.values())


# Who did what


def _actions(client: RouterOs) -> Iterator[Action]:
    for row in _shown(client, "/system/history", (".id", "action", "by", "time"))[:_ACTIONS_MAX]:
        if row.get("by"):
            yield Action("history", _row(row), text_of(row["by"]), text_of(row.get("action", "")), row.get("time", ""))
    for row in _shown(client, "/log", (".id", "time", "topics", "message")):
        logged = action_of(row)
        if logged is not None:
            yield logged


def action_of(row: Row) -> Action | None:
    """A log line that tells of a change; None for any other."""
    if "system" not in row.get("topics", "").split(","):
        return None
    match = _LOGGED.fullmatch(row.get("message", ""))
    who = match and _WHO.fullmatch(match["who"])
    if match is None or who is None or not _CHANGES.search(match["action"]):
        return None
    return Action("log", _row(row), text_of(who["name"]), text_of(match["action"]), row.get("time", ""))


def _row(row: Row) -> str:
    return f"{row.get('.id', '')} {row.get('time', '')[-8:]}"


def _shown(client: RouterOs, menu: str, properties: Sequence[str], *queries: str) -> list[Row]:
    """Whose user may not read it has none."""
    try:
        return client.rows(menu, properties, *queries)
    except Trap:
        return []
