"""A RouterOS box's configuration as text, over its API, and who its log and history name.

`/export` prints nothing over the API, so it goes into a file of the box, which is read and removed:

    from 7.13   `/file/read`, in pieces, whatever its size
    before      `/file/print` shows contents up to 4095 octets, and nothing of a longer file. Then every menu of our
                schema is read by its rows and written down as the export would, and of other menus each small file
                that can be read. What cannot be is named: `left_out`

Rows are what is left, too, where the box refuses the file: a full disk, a user without the policy `ftp`. A file that
an earlier reading left behind, because the box went away, is removed by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from provisioning.backups.actions import Action, actions_in
from provisioning.backups.rows import ROW_MENUS, rows_text
from provisioning.backups.statements import statements
from provisioning.backups.texts import ReadBy, Reading
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import RouterOsError, Trap
from provisioning.routeros.reading import read_rows, release_of
from provisioning.routeros.schema import Release

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
    actions = tuple(actions_in(
        _shown(client, "/system/history", (".id", "action", "by", "time")),
        _shown(client, "/log", (".id", "time", "topics", "message")),
    ))  # fmt: skip
    try:
        text = _exported(client, "", release, wait)
    except _Unreadable as why:
        return _by_rows(client, release, wait, str(why), others, actions)
    return Reading(text, _written(release), ReadBy.EXPORT, (), actions)


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
    why = "its export is too long for the API of this release"
    for attempt in range(TRIES):
        if attempt:
            wait(PAUSE_S)
        try:
            file = next(iter(_files(client)), None)
            text = None if file is None else _content(client, file, release)
        except Trap as trap:
            text, why = None, trap.message
        if text:
            return text
    raise _Unreadable(why)


def _content(client: RouterOs, file: Row, release: Release) -> str | None:
    """None where it is not there whole (yet)."""
    size = int(file["size"]) if file.get("size", "").isdecimal() else None
    if release >= READS_FILES_SINCE:
        text = _pieces(client, file["name"], size)
    else:
        shown = client.rows("/file", (".id", "name", "contents"), f"name={file['name']}")
        text = shown[0].get("contents", "") if shown else ""
    if not text or size not in {None, len(text.encode("utf-8", "surrogateescape"))}:
        return None
    if not text.endswith("\n"):
        raise _Unreadable("the file with its export is not whole")
    return text


def _pieces(client: RouterOs, name: str, size: int | None) -> str:
    """One may end within a character: octets that are none are kept as they came, and put together again."""
    octets = b""
    while size is None or len(octets) < size:
        given = {"file": name, "offset": str(len(octets)), "chunk-size": str(CHUNK_OCTETS)}
        rows = client.call("/file/read", given)
        data = rows[0].get("data", "") if rows else ""
        if not data:
            break
        octets += data.encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "surrogateescape")


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
    files, left_out = _small_files(client, release, wait, others)
    by_rows = [menu for menu in ROW_MENUS if not any(menu == one or menu.startswith(f"{one}/") for one in files)]
    rows = rows_text(read_rows(client, by_rows, release), release)
    text = "".join([f"# read by rows: {why}\n", rows, *files.values()])
    said = f"read by rows, since {why}: menus that Provedor knows"
    return Reading(text, _written(release), ReadBy.ROWS, (said, *left_out), actions)


def _small_files(
    client: RouterOs, release: Release, wait: Callable[[float], None], menus: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Exports of these menus, where they are not empty, and those that are too long."""
    files: dict[str, str] = {}
    left_out: list[str] = []
    for menu in menus if release < READS_FILES_SINCE else ():
        try:
            text = _exported(client, menu, release, wait)
        except _Unreadable:
            left_out.append(menu)
            continue
        if any(statements(text)):
            files[menu] = text
    return files, left_out


def _written(release: Release) -> str:
    return ".".join(map(str, release))


def _shown(client: RouterOs, menu: str, properties: Sequence[str], *queries: str) -> list[Row]:
    """Whose user may not read it has none."""
    try:
        return client.rows(menu, properties, *queries)
    except Trap:
        return []
