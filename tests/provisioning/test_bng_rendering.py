"""Templates: every part of an intent on every platform, and nothing of it that could be somebody else's line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from provisioning.napalm import diffs
from provisioning.napalm.bng import Surroundings, bng_intent_of, render
from provisioning.simulators.ssh import cisco_box, huawei_box
from provisioning.simulators.ssh.configuration import parse

RENDERED = Path(__file__).parents[1] / "vectors" / "bng"
PLATFORMS = ["huawei_vrp8", "cisco_ios", "cisco_iosxr", "juniper_junos", "nokia_sros"]
WHOLE: dict[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}, {"address": "192.0.2.11", "authentication_port": 1645}],
               "source_interface": "LoopBack0"},
    "pools": [{"name": "homes", "network": "100.64.0.0/18", "gateway": "100.64.0.1"}],
    "ipv6_pools": [{"name": "homes6", "prefix": "2001:db8::/40", "prefix_length": 56}],
    "subscribers": {"loopback": "LoopBack0", "pool": "homes", "delegated_ipv6_pool": "homes6",
                    "dns": ["192.0.2.53", "2001:db8::53"]},
    "access": [{"interface": "GigabitEthernet0/1/0", "vlans": "100-102"},
               {"interface": "GigabitEthernet0/1/0", "vlans": "200", "kind": "ipoe"}],
    "policies": [{"name": "gold-up/gold-down", "download_kbps": 300000, "upload_kbps": 150000}],
    "walled_garden": {"portal": "192.0.2.80", "dns": ["192.0.2.53"], "allowed": ["192.0.2.96/28"]},
}  # fmt: skip
AROUND = Surroundings("r4dius-s3cret", 3799)


def whole(platform: str) -> dict[str, Any]:
    """On a Cisco a policy is one of each direction; on a Nokia SAPs are the operator's."""
    policies = WHOLE["policies"] if platform.startswith("cisco") else [{**WHOLE["policies"][0], "name": "gold"}]
    return {**WHOLE, "policies": policies, **({"access": []} if platform == "nokia_sros" else {})}


def rendered(platform: str, intent: dict[str, Any] | None = None, around: Surroundings = AROUND) -> str:
    return render(platform, bng_intent_of(whole(platform) if intent is None else intent), around)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_part_is_rendered_as_it_was_looked_at(platform: str) -> None:
    """What changes here changes boxes: look at the difference. Files are by `render`, from WHOLE."""
    assert rendered(platform) == (RENDERED / f"{platform}.txt").read_text()


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("part", [*WHOLE, None])
def test_every_part_may_be_left_out(platform: str, part: str | None) -> None:
    left = {name: value for name, value in whole(platform).items() if name != part and part is not None}
    for needed, needing in (("pools", "subscribers"), ("ipv6_pools", "subscribers"), ("radius", "subscribers"),
                            ("subscribers", "access")):  # fmt: skip
        if needed not in left:
            left.pop(needing, None)
    rendered(platform, left)


@pytest.mark.parametrize("platform", ["huawei_vrp8", "cisco_ios"])
def test_names_that_differ_at_the_box_are_the_boxes(platform: str) -> None:
    around = Surroundings("x", 3799, {"pools": {"homes": "POOL-1"}, "address_lists": {"walled-garden": "BLOQUEADOS"},
                                      "profiles": {"gold": "OURO", "gold-up/gold-down": "U/D"}})  # fmt: skip
    text = rendered(platform, None, around)
    assert "POOL-1" in text
    assert "BLOQUEADOS" in text
    assert ("qos-profile OURO" if platform == "huawei_vrp8" else "policy-map U") in text


def test_the_simulated_cisco_takes_every_line() -> None:
    intent = {**whole("cisco_ios"), "access": [{**WHOLE["access"][0], "vlans": "100"}, WHOLE["access"][1]]}
    box = cisco_box({}, lambda: 0.0)
    assert box.merge(rendered("cisco_ios", intent)) == []


def test_a_providers_own_template_goes_first(tmp_path: Path) -> None:
    (tmp_path / "huawei_vrp8.j2").write_text("sysname {{ intent.subscribers.name }}\n")
    (tmp_path / "eos.j2").write_text("hostname {{ nothing }}\n")
    intent = bng_intent_of(WHOLE)
    assert render("huawei_vrp8", intent, AROUND, tmp_path) == "sysname provedor\n"
    assert "radius server" in render("cisco_ios", intent, AROUND, tmp_path)
    with pytest.raises(InvalidInput, match="'nothing' is undefined"):
        render("eos", intent, AROUND, tmp_path)
    with pytest.raises(InvalidInput, match="PROVEDOR_TEMPLATES"):
        render("", intent, AROUND, tmp_path)


def test_a_platform_says_what_it_cannot_have() -> None:
    with pytest.raises(InvalidInput, match="UPLOAD/DOWNLOAD"):
        rendered("cisco_ios", {"policies": [{"name": "gold", "download_kbps": 1, "upload_kbps": 1}]})
    with pytest.raises(InvalidInput, match="SAPs"):
        rendered("nokia_sros", {**whole("nokia_sros"), "access": WHOLE["access"]})


@pytest.mark.parametrize("secret", ["two words", "help?", 'quo"te', "line\nfeed", "brace{", "semi;colon", "á", ""])
def test_a_secret_that_a_command_line_would_not_take_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rendered("huawei_vrp8", None, Surroundings(secret, 3799))
    assert refused.value.field == "secret"
    assert secret not in str(refused.value) or not secret


@given(st.text(max_size=40))
def test_no_name_brings_a_line_of_its_own(name: str) -> None:
    for intent in (
        {"policies": [{"name": name, "download_kbps": 1, "upload_kbps": 1}]},
        {"pools": [{"name": name, "network": "192.0.2.0/24", "gateway": "192.0.2.1"}]},
        {**WHOLE, "subscribers": {**WHOLE["subscribers"], "loopback": name}},
        {**WHOLE, "access": [{"interface": name, "vlans": "1"}]},
        {**WHOLE, "radius": {"servers": [{"address": name}]}},
        {**WHOLE, "walled_garden": {"portal": "192.0.2.80", "allowed": [name]}},
    ):
        try:
            bng_intent_of(intent)
        except InvalidInput:
            continue
        assert name.strip() == name
        assert not set(name) & set('\n\r\x0b\x0c\x85 ;"{}?')


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_secret_is_masked_wherever_a_template_puts_it(platform: str) -> None:
    text = rendered(platform)
    assert AROUND.radius_secret in text
    as_ciphered = text.replace(AROUND.radius_secret, "%^%#abcdef%^%#")
    for line in diffs.mask(as_ciphered, []).splitlines():
        assert "abcdef" not in line


def test_what_was_rendered_is_what_the_simulated_huawei_then_has() -> None:
    box = huawei_box({}, lambda: 0.0)
    dialogue = box.begin("x")
    dialogue.do("system-view")

    def enter(line: Any) -> None:
        before = dialogue.prompt.replace("*", "~")
        assert "Error" not in dialogue.do(line.text), line.text
        for below in line.below:
            enter(below)
        if dialogue.prompt.replace("*", "~") != before:
            dialogue.do("quit")

    for line in parse(rendered("huawei_vrp8")).below:
        enter(line)
    assert dialogue.do("commit") == ""
    assert box.running.find("qos-profile gold") is not None
