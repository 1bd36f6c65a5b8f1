"""A whole node follows a simulated IXC: what it says is on the wire, a dry run shows it first, and back again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from free_ports import free_port
from small_provider import LOGINS, Provider
from whole_node import PROVEDOR, Node, wait_for

from aaa.bras.subscriber import State, Subscriber

pytestmark = pytest.mark.e2e
TOKEN = "17:0123456789abcdef"
#: The source's pace, and the clock's look at it, with a busy machine's time for the rest.
PERIOD_S = 30.0


@pytest.fixture(scope="module")
def erp(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The simulated system, as a person starts it."""
    file: Path = tmp_path_factory.mktemp("erp") / "clientes.csv"
    file.write_text("login,name\n" + "".join(f"cliente{n},Cliente {n}\n" for n in range(LOGINS)) + "outro,Outro\n")
    port = free_port()
    process = subprocess.Popen(
        [PROVEDOR, "simulate", "erp", "ixc", "--port", str(port), "--subscribers", str(file), "--credential",
         f"token={TOKEN}"], env=node.environment, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert b"41 subscribers" in process.stdout.readline()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_the_word_of_another_system_reaches_the_wire_and_leaves_it(
    node: Node, provider: Provider, bras: dict[str, Subscriber], erp: httpx.Client
) -> None:
    line, service = bras["cliente5"], provider.services[5]
    source = node.post(
        "/follow-sources",
        {"kind": "ixc", "name": "matriz", "settings": {"base_url": str(erp.base_url)}, "every_s": 5,
         "credentials": {"token": TOKEN}},
    )  # fmt: skip
    path = f"/follow-sources/{source['id']}"
    # a person blocks there; first of all it is only shown
    erp.post("/_simulate/subscribers/cliente5", json={"standing": "CM"})
    found = json.loads(node.run("billing", "follow", "matriz", "--dry-run", "--json"))
    assert [(one["kind"], one["key"]) for one in found] == [("restrict", "6"), ("not_here", "41")]
    # read by the node, then live, then everybody
    node.post(f"{path}/read", {})
    wait_for(lambda: node.api.get(path).json()["read_at"] is not None, PERIOD_S)
    assert line.address_list == ""
    node.api.patch(path, json={"mode": "live"}).raise_for_status()
    switched = node.post(f"{path}/switch", {"follow": True, "dry_run": False})
    assert (switched["contracts"], [one["action"] for one in switched["changes"]]) == (LOGINS, ["place"])
    wait_for(lambda: line.address_list == "walled-garden", PERIOD_S)
    assert "matriz" in node.api.get(f"/contracts/{service['contract_id']}/billing").json()["standing_pt"]
    # freed there, back here, and another one restricted, by the clock alone
    erp.post("/_simulate/subscribers/cliente5", json={"standing": "A"})
    erp.post("/_simulate/subscribers/cliente6", json={"standing": "CM"})
    wait_for(lambda: line.state is State.ONLINE and line.address_list == "", PERIOD_S)
    wait_for(lambda: bras["cliente6"].address_list == "walled-garden", PERIOD_S)
    # everybody at once is not believed
    erp.post("/_simulate/all", json={"standing": "CM"})
    node.post(f"{path}/read", {})
    wait_for(lambda: node.api.get(path).json()["stopped"] is not None, PERIOD_S)
    assert bras["cliente7"].address_list == ""
    # away: the holds stay, and the reason is shown
    erp.post("/_simulate/away/503")
    node.post(f"{path}/read", {})
    wait_for(lambda: node.api.get(path).json()["error"] is not None, PERIOD_S)
    assert bras["cliente6"].address_list == "walled-garden"
    # back under our own policy, where nobody owes anything
    node.post(f"{path}/switch", {"follow": False, "dry_run": False})
    wait_for(lambda: bras["cliente6"].state is State.ONLINE and bras["cliente6"].address_list == "", PERIOD_S)
