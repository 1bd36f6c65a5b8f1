"""From an intent to the lines of a platform, by its template. What a template does not know is an error, no blank."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from core.errors import InvalidInput
from core.policy import WALLED_GARDEN_LIST
from provisioning.napalm.bng.intent import VLANS_MAX, BngIntent, Pool
from provisioning.saying import vlan_ids

#: Every command line takes these. A blank ends a word, `?` asks for help, quotes and braces are Junos's own.
_SECRET: Final = re.compile(r"[!-~]{1,128}")
_NOT_IN_SECRETS: Final = frozenset("?\"'\\{};|#%$&<>`")
_TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the box stands elsewhere, in its NAS entry. `names`: ours to theirs, by family."""

    radius_secret: str = field(repr=False)
    coa_port: int
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def name(self, family: str, ours: str) -> str:
        return self.names.get(family, {}).get(ours, ours)


def render(platform: str, intent: BngIntent, around: Surroundings, own_templates: Path | None = None) -> str:
    """The lines for the box. `own_templates`: a provider's, by the same names, go first.

    Raises InvalidInput where there is no template, or where the platform cannot have it.
    """
    _check_secret(around.radius_secret)
    try:
        template = _environment(own_templates).get_template(f"{platform}.j2")
        lines = template.render(
            intent=intent, secret=around.radius_secret, coa_port=around.coa_port, options=around.options,
            name=around.name, garden=around.name("address_lists", WALLED_GARDEN_LIST),
        )  # fmt: skip
    except jinja2.TemplateNotFound:
        raise InvalidInput(
            f"there is no template {platform or 'for this driver'}: put one into the directory of PROVEDOR_TEMPLATES"
        ) from None
    except jinja2.TemplateError as error:
        raise InvalidInput(f"template {platform}: {error.message}") from None
    return "\n".join(line.rstrip() for line in lines.splitlines() if line.strip()) + "\n"


@cache
def _environment(own_templates: Path | None) -> SandboxedEnvironment:
    directories = [*([own_templates] if own_templates else []), _TEMPLATES]
    environment = SandboxedEnvironment(
        loader=jinja2.FileSystemLoader(directories), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, autoescape=False,
    )  # fmt: skip
    environment.filters |= {
        "vlan_ids": _vlan_ids, "vlan_ranges": _vlan_ranges, "ipv4": _ipv4, "ipv6": _ipv6, "netmask": _netmask,
        "wildcard": _wildcard, "first": _first, "last": _last, "upload": _upload, "download": _download,
        "network": ip_network,
    }  # fmt: skip
    environment.globals["refuse"] = _refuse
    return environment


def _check_secret(secret: str) -> None:
    if not _SECRET.fullmatch(secret) or _NOT_IN_SECRETS & set(secret):
        raise InvalidInput(
            "the NAS entry's secret has characters that boxes' command lines do not take: letters, digits and "
            "! ( ) * + , - . / : = @ [ ] ^ _ ~ are safe", field="secret",
        )  # fmt: skip


def _refuse(detail: str, where: str | None = None) -> None:
    """A template says what its platform cannot have."""
    raise InvalidInput(detail, field=where)


def _vlan_ids(vlans: str) -> list[int]:
    ids = vlan_ids(vlans)
    if len(ids) > VLANS_MAX:
        raise InvalidInput(f"each VLAN needs an interface here: at most {VLANS_MAX}", field="access")
    return ids


def _vlan_ranges(vlans: str) -> list[tuple[int, int]]:
    parts = [part.partition("-") for part in vlans.split(",")]
    return [(int(first), int(last or first)) for first, _, last in parts]


def _ipv4(addresses: tuple[str, ...]) -> list[str]:
    return [one for one in addresses if ":" not in one]


def _ipv6(addresses: tuple[str, ...]) -> list[str]:
    return [one for one in addresses if ":" in one]


def _netmask(network: str) -> str:
    return str(IPv4Network(network).netmask)


def _wildcard(network: str) -> str:
    """As access lists have it: 0 for one address."""
    found = ip_network(network)
    return "0" if found.num_addresses == 1 else str(found.hostmask)


def _first(pool: Pool) -> str:
    network = IPv4Network(pool.network)
    return str(network[2] if str(network[1]) == pool.gateway else network[1])


def _last(pool: Pool) -> str:
    network = IPv4Network(pool.network)
    return str(network[-3] if str(network[-2]) == pool.gateway else network[-2])


def _upload(policy: Any) -> str:  # noqa: ANN401  (a Policy, or its name at the box)
    upload, slash, _ = str(getattr(policy, "name", policy)).partition("/")
    if not slash:
        raise InvalidInput("a policy is one of each direction here: name it UPLOAD/DOWNLOAD", field="policies")
    return upload


def _download(policy: Any) -> str:  # noqa: ANN401
    return str(getattr(policy, "name", policy)).partition("/")[2]
