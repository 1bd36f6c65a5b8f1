"""What differs from driver to driver: what each can undo, how a change is seen, and what counts its subscribers.

Of NAPALM's own drivers, from their source (5.2.0): commit-confirm in ios (minutes, and only with `archive`), eos and
junos; none in iosxr and nxos_ssh. huawei_vrp8 is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Until a change is confirmed, its box undoes it after this: whole minutes, which ios and junos insist on. Longer than
#: a change and its proof take, shorter than anybody's way to the box.
REVERT_IN_S: Final = 300


@dataclass(frozen=True, slots=True)
class Traits:
    """`platform`: whose templates it takes; empty: it comes with none."""

    platform: str
    #: Why it does not undo by itself what is not confirmed; None: it does.
    cannot_undo: str | None = None
    #: Attribute of the driver that names a change at the box, so that whoever takes over can confirm or undo it.
    named_by: str | None = None
    #: Whether a change is seen by loading it once more and comparing; else by its lines in the running configuration.
    compares_again: bool = True
    #: Whether its configuration is lines below lines by indentation.
    by_indentation: bool = True
    #: Whether what was loaded is taken away again. Else it is found there by the next look: ios would change the
    #: configuration for it (`file prompt quiet`), and write to flash, at each of them.
    discards: bool = True
    #: The driver can bring the configuration before the last commit back.
    can_roll_back: bool = True
    #: A command, and where in its answer the subscribers online are.
    sessions: tuple[str, re.Pattern[str]] | None = None
    #: The last line of a configuration that is whole.
    ends_with: str | None = None
    #: A command that says who changed it last, where the driver leaves that out of the configuration.
    changed_by: str | None = None


_NO_CONFIRM: Final = "NAPALM's driver for {} knows no commit that has to be confirmed"
TRAITS: Final[Mapping[str, Traits]] = {
    "ios": Traits(
        "cisco_ios", discards=False, ends_with="end",
        sessions=("show pppoe summary", re.compile(r"^TOTAL\s+(\d+)", re.MULTILINE)),
        changed_by="show running-config | include Last configuration change",
    ),
    "iosxr": Traits("cisco_iosxr", cannot_undo=_NO_CONFIRM.format("IOS XR"), ends_with="end"),
    "eos": Traits("", named_by="config_session", ends_with="end"),
    "junos": Traits(
        "juniper_junos", by_indentation=False,
        sessions=("show subscribers count", re.compile(r"Total subscribers: (\d+)", re.IGNORECASE)),
    ),
    "nxos_ssh": Traits("", cannot_undo=_NO_CONFIRM.format("NX-OS")),
    "huawei_vrp8": Traits(
        "huawei_vrp8", named_by="trial_name", compares_again=False, ends_with="return",
        sessions=("display access-user online-total-number", re.compile(r"Total users\s*: *(\d+)", re.IGNORECASE)),
    ),
    "sros": Traits(
        "nokia_sros", by_indentation=False, can_roll_back=False,
        cannot_undo="what the community's driver for SR OS does with an unconfirmed commit is not known",
    ),
}  # fmt: skip
_COMMUNITY: Final = Traits(
    "", by_indentation=False, can_roll_back=False,
    cannot_undo="what this community driver does with an unconfirmed commit is not known",
)  # fmt: skip

#: Drivers that are there and that we do not use, with what to do instead.
UNUSED: Final[Mapping[str, str]] = {
    "ros": "a RouterOS box is managed over its API, which undoes without a reboot: set `routeros` instead",
    "nxos": "its HTTPS connection cannot be held to a host key: use nxos_ssh",
    "iosxr_netconf": "it does not verify the box's host key: use iosxr",
    "mock": "it is no box",
}


def traits_of(driver: str) -> Traits:
    return TRAITS.get(driver, _COMMUNITY)
