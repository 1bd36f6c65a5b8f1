"""Every command beside a running node, as a person and as a script would use it, and what wrong input gets."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from openpyxl import load_workbook
from whole_node import PROVEDOR, Node, wait_for

from provedor import cli

pytestmark = pytest.mark.e2e
SECRET = "testing123"
PASSWORD = "s3nha-da-maria"


@pytest.fixture(scope="module")
def maria(node: Node) -> dict[str, Any]:
    """One subscriber, and a NAS at 127.0.0.1."""
    node.post("/nas", {"name": "bras-1", "address": "127.0.0.1", "secret": SECRET, "vendor": "mikrotik",
                       "message_authenticator": "require"})  # fmt: skip
    plan = node.post("/plans", {"name": "Fibra", "down_kbps": 200_000, "up_kbps": 100_000})
    customer = node.post("/customers", {"name": "Maria", "kind": "person"})
    contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"})
    service = node.post(
        "/services",
        {"contract_id": contract["id"], "plan_id": plan["id"], "login": "maria", "password": PASSWORD},
    )  # fmt: skip
    wait_for(lambda: "Access-Accept" in command(node, "radius", "test", "maria").stdout)
    return service


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def command(node: Node, *arguments: str, **environment: str) -> Done:
    """The command in a fork of this process, which has imported everything already: a start costs a second."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        pid = os.fork()
        if pid == 0:
            _run(arguments, node.environment | environment, stdout.fileno(), stderr.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        stdout.seek(0)
        stderr.seek(0)
        return Done(status, stdout.read(), stderr.read())


def ok(node: Node, *arguments: str) -> str:
    done = command(node, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(arguments: tuple[str, ...], environment: dict[str, str], stdout: int, stderr: int) -> None:
    """Never returns."""
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["provedor", *arguments]
        os.environ.clear()
        os.environ.update(environment)
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001  (the fork ends here; what it was is what the test looks for)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def radclient(
    node: Node, attributes: str, *, server: str = "127.0.0.1", kind: str = "auth", secret: str = SECRET
) -> str:
    port = node.acct_port if kind == "acct" else node.auth_port
    done = subprocess.run(
        ["radclient", "-x", "-r", "1", "-t", "2", f"{server}:{port}", kind, secret], input=attributes,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


class Trace:
    def __init__(self, node: Node, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [PROVEDOR, "radius", "trace", *arguments], env=node.environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.warnings = []
        while (line := self.process.stderr.readline()) != "watching\n":
            assert line
            self.warnings.append(line)
        time.sleep(0.3)  # the workers hear of it through the feeder, which tells nobody when they have

    def end(self) -> str:
        """What it showed until Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        shown, complaints = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, complaints
        return shown


@contextmanager
def trace(node: Node, *arguments: str) -> Iterator[Trace]:
    running = Trace(node, *arguments)
    try:
        yield running
    finally:
        running.process.kill()


def test_a_trace_shows_what_became_of_every_packet_and_no_secret(
    node: Node, maria: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "all.pcap"
    with (
        trace(node, "--json", "--pcap", str(file)) as everything,
        trace(node, "maria") as of_maria,
        trace(node, "--nas", "bras-1", "--login", "nobody", "--json") as of_nobody,
        trace(node, "nowhere") as of_nothing,
    ):
        assert "no service has the login nowhere" in of_nothing.warnings[0]
        ok(node, "radius", "test", "maria", "--method", "mschapv2")
        ok(node, "radius", "test", "maria", "--method", "chap")
        radclient(node, 'User-Name="MARIA@isp.example",User-Password="wrong-one",Message-Authenticator=0x00')
        radclient(node, 'User-Name="nobody",User-Password="wrong-two",Message-Authenticator=0x00')
        radclient(node, f'User-Name="maria",User-Password="{PASSWORD}",Message-Authenticator=0x00', secret="another")
        radclient(node, 'User-Name="six",User-Password="x",Message-Authenticator=0x00', server="[::1]")
        radclient(node, "Message-Authenticator=0x00", kind="status")
        radclient(node, 'User-Name="maria",Acct-Status-Type=Start,Acct-Session-Id="a1"', kind="acct")
        radclient(node, 'User-Name="maria",Acct-Status-Type=Start', kind="acct")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\x01\x05junk", ("127.0.0.1", node.auth_port))
        time.sleep(1)
        texts = [everything.end(), of_maria.end(), of_nobody.end(), of_nothing.end()]
    shown = [json.loads(line) for line in texts[0].splitlines()]
    assert [one["reason"] for one in shown] == [
        "accepted", "accepted", "unknown_login", "unknown_login", "bad_authenticator", "unknown_client",
        "status_server", "recorded", "incomplete", "malformed",
    ]  # fmt: skip
    assert [one["reply"]["code"] if one["reply"] else None for one in shown] == [
        "Access-Accept", "Access-Accept", "Access-Reject", "Access-Reject", None, None, "Access-Accept",
        "Accounting-Response", None, None,
    ]  # fmt: skip
    assert {one["nas"] for one in shown} == {"bras-1", ""}
    assert shown[5]["source"] == "::1"
    assert shown[9]["detail"] == "6 octets are less than a header"
    assert re.findall(r"→ (\w+)", texts[1]) == [
        "accepted", "accepted", "unknown_login", "bad_authenticator", "recorded", "incomplete",
    ]  # fmt: skip
    assert [json.loads(line)["reason"] for line in texts[2].splitlines()] == ["unknown_login"]
    assert texts[3] == ""
    for text in texts:
        for secret in (PASSWORD, "wrong-one", "wrong-two", SECRET):
            assert secret not in text
    assert "MS-MPPE-Send-Key = (hidden)" in texts[1]
    assert "CHAP-Password = (hidden)" in texts[1]
    assert packets_in(file) == 10 + 6


def packets_in(file: Path) -> int:
    octets, at, found = file.read_bytes(), 24, 0
    while at < len(octets):
        at += 16 + int.from_bytes(octets[at + 8 : at + 12], "little")
        found += 1
    assert at == len(octets)
    return found


def test_top_shows_the_node_to_scripts_and_on_a_terminal(node: Node, maria: dict[str, Any]) -> None:
    view = json.loads(ok(node, "top", "--once", "--json"))
    assert view["database"] == view["broker"] == "ok"
    assert view["subscribers"] >= 1
    names = {one["name"] for one in view["processes"]}
    assert names >= {"provedor", "api", "auth-0", "acct-0", "feeder", "shipper-0", "relay", "enforce", "worker"}
    assert all(one["memory_octets"] > 0 for one in view["processes"])
    assert view["events"]
    assert "service.created" in ok(node, "top", "--once")
    screen = on_terminal(node, "top", seconds=4)
    for words in ("database ok", "accepts/s", "Outbox 0 rows", "Last events", "feeder"):
        assert words in screen


def on_terminal(node: Node, *arguments: str, seconds: float) -> str:
    """What a command writes to a terminal of 80 columns until Ctrl-C."""
    main, other = pty.openpty()
    environment = node.environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen([PROVEDOR, *arguments], env=environment, stdin=other, stdout=other, stderr=other)
    os.close(other)
    written, ends_at = b"", time.monotonic() + seconds + 6
    while time.monotonic() < ends_at:
        if select.select([main], [], [], 0.2)[0]:
            written += os.read(main, 65536)
            ends_at = min(ends_at, time.monotonic() + seconds)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    os.close(main)
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", written).decode(errors="replace")


def test_top_counts_what_happens_by_nas(node: Node, maria: dict[str, Any]) -> None:
    process = subprocess.Popen(
        [PROVEDOR, "top", "--json"], env=node.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    process.stdout.readline()
    for number in range(10):
        radclient(node, f'User-Name="maria",Acct-Status-Type=Interim-Update,Acct-Session-Id="t{number}"', kind="acct")
    views = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert sum(view["rates"]["by_nas"]["bras-1"]["accounting"] for view in views) > 0
    assert views[-1]["sessions"]["by_nas"][0]["nas"] == "bras-1"


def test_top_says_so_when_the_database_is_away(node: Node, maria: dict[str, Any]) -> None:
    view = json.loads(
        command(node, "top", "--once", "--json", PROVEDOR_DATABASE_URL="postgresql://u:topsecret@127.0.0.1:1/x").stdout
    )
    assert view["database"].startswith("away: ")
    assert "topsecret" not in json.dumps(view)
    assert view["subscribers"] >= 1


def test_a_healthy_node_passes_the_doctor(node: Node, maria: dict[str, Any]) -> None:
    checks = {check["name"]: check for check in json.loads(ok(node, "doctor", "--json"))}
    assert {name: check["ok"] for name, check in checks.items() if not check["ok"]} == {
        "SNMP": None, "router APIs": None, "boxes": None, "managed boxes": None,  # nothing to ask
    }  # fmt: skip
    assert "workers answer" in checks["RADIUS authentication"]["advice"]
    assert [one["name"] for one in json.loads(ok(node, "doctor", "boxes", "clock", "--json"))] == ["clock", "boxes"]
    mistyped = command(node, "doctor", "bxes")
    assert mistyped.returncode == 2
    assert "bxes" in mistyped.stderr


def test_the_doctor_finds_a_worker_that_hangs(node: Node, maria: dict[str, Any]) -> None:
    hung = node.child("auth-0")
    os.kill(hung, signal.SIGSTOP)
    try:
        done = command(node, "doctor", "--json")
    finally:
        os.kill(hung, signal.SIGCONT)
    wrong = [check for check in json.loads(done.stdout) if check["ok"] is False]
    assert done.returncode == 1
    assert [check["name"] for check in wrong] == ["RADIUS authentication"]
    assert "worker 0" in wrong[0]["advice"]


def test_operators_and_tokens(node: Node) -> None:
    made = command(node, "user", "create", "ana", "--name", "Ana", "--role", "noc", "--password", "uma-senha-longa")
    assert made.stdout == "operator ana created\n"
    assert json.loads(ok(node, "user", "list", "--json")) == [{"username": "ana", "role": "noc", "name": "Ana"}]
    token = ok(node, "token", "create", "portal", "--role", "readonly")
    assert re.fullmatch(r"pvd_[\w-]{40,}\n", token)
    bearer = {"Authorization": f"Bearer {token.strip()}"}
    assert node.api.get("/plans", headers=bearer).status_code == 200
    refused = node.api.post("/plans", headers=bearer, json={"name": "x", "down_kbps": 1, "up_kbps": 1})
    assert refused.status_code == 403
    ok(node, "token", "revoke", "portal")
    assert node.api.get("/plans", headers=bearer).status_code == 401
    assert {"name": "portal", "role": "readonly", "state": "revoked"} in json.loads(ok(node, "token", "list", "--json"))
    assert token.strip() not in ok(node, "token", "list")


def test_the_password_of_an_operator_is_asked_for_and_not_shown(node: Node) -> None:
    main, other = pty.openpty()
    process = subprocess.Popen(
        [PROVEDOR, "user", "create", "bia", "--name", "Bia"], env=node.environment, stdin=other, stdout=other,
        stderr=other, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    shown = b""
    for prompt in (b"Password", b"confirmation"):
        while prompt not in shown:
            shown += os.read(main, 4096)
        wait_for(lambda: not termios.tcgetattr(main)[3] & termios.ECHO)  # what is typed before is thrown away
        os.write(main, b"segredo-da-bia\n")
    assert process.wait(20) == 0
    shown += os.read(main, 4096)
    os.close(main)
    assert b"operator bia created" in shown
    assert b"segredo-da-bia" not in shown


def test_import_and_explain(node: Node, maria: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "novos.csv"
    file.write_text("login;password;plan;customer_name\nze;senha;Fibra;Zé\nruim;senha;Nada;Ruim\n")
    done = command(node, "import", "csv", str(file), "--json")
    assert done.returncode == 1
    assert [one["outcome"] for one in json.loads(done.stdout)] == ["created", "rejected"]
    wait_for(lambda: "Access-Accept" in command(node, "radius", "test", "ze").stdout)
    assert "never connected" in ok(node, "explain", "ze", "--language", "en")
    assert json.loads(ok(node, "explain", "ze", "--json"))["can_connect"] is True


WRONG: list[tuple[int, str, tuple[str, ...]]] = [
    (1, "login nobody", ("radius", "test", "nobody")),
    (1, "--nas", ("radius", "test", "maria", "--nas", "nope")),
    (1, "host.invalid", ("radius", "test", "maria", "--server", "host.invalid")),
    (2, "--method", ("radius", "test", "maria", "--method", "eap")),
    (2, "--language", ("explain", "maria", "--language", "fr")),
    (2, "not both", ("radius", "trace", "maria", "--nas", "bras-1")),
    (1, "/nonexistent/x.pcap", ("radius", "trace", "--pcap", "/nonexistent/x.pcap")),
    (2, "--role", ("token", "create", "x", "--role", "boss")),
    (1, "there is no token nope", ("token", "revoke", "nope")),
    (1, "at least 10 characters", ("user", "create", "x", "--name", "X", "--password", "kurz")),
    (1, "nas nope", ("enforcement", "freeze", "nope")),
    (1, "emergency plan", ("nas", "emergency", "bras-1", "on")),
    (2, "/nonexistent.csv", ("import", "csv", "/nonexistent.csv")),
    (2, "no role foo", ("up", "--only", "foo")),
    (2, "another `provedor up` runs", ("up",)),
    (2, "--secret", ("simulate", "gateway", "standard", "1", "100")),
    (1, "whsec_", ("simulate", "gateway", "standard", "1", "100", "--secret", "nonsense")),
    (
        1,
        "http://",
        ("simulate", "gateway", "standard", "1", "100", "--secret", "whsec_" + "QUFB" * 10, "--hook", "ftp://x"),
    ),
    (2, "AMOUNT_CENTS", ("simulate", "gateway", "standard", "1", "--secret", "whsec_" + "QUFB" * 10)),
    (1, "no gateway account", ("gateway", "register", "nobody", "--url", "https://a.test")),
    (1, "https://", ("gateway", "register", "demo", "--url", "http://a.test")),
    (2, "--credentials", ("simulate", "bras")),
    (2, "--redial", ("simulate", "bras", "--users", "1", "--redial", "x-y")),
    (2, "--vendor", ("simulate", "bras", "--users", "1", "--vendor", "zte")),
    (2, "--profile", ("simulate", "bras", "--users", "1", "--profile", "gold=fast")),
    (2, "--option", ("simulate", "bras", "--users", "1", "--vendor", "cisco", "--option", "ios_xr")),
    (1, "platform", ("simulate", "bras", "--users", "1", "--vendor", "huawei", "--option", "platform=ios_xr")),
    (1, "192.0.2.77", ("simulate", "bras", "--users", "1", "--address", "192.0.2.77")),
    (2, "--nope", ("top", "--nope")),
]


@pytest.mark.parametrize(("code", "said", "arguments"), WRONG, ids=[" ".join(one[2]) for one in WRONG])
def test_wrong_input_gets_one_sentence_and_the_right_code(
    node: Node, maria: dict[str, Any], code: int, said: str, arguments: tuple[str, ...]
) -> None:
    done = command(node, *arguments, COLUMNS="200")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_no_csv_is_named(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes("login,password,plan,customer_name\nzé,x,y,z\n".encode("latin-1"))
    done = command(node, "import", "csv", str(file))
    assert done.returncode == 1
    assert "UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_beside_a_node_that_does_not_run(node: Node, tmp_path: Path) -> None:
    elsewhere = {"PROVEDOR_DATA": str(tmp_path / "nowhere"), "PROVEDOR_HTTP_PORT": str(free_port())}
    for arguments in (("explain", "maria"), ("token", "list"), ("top", "--once")):
        done = command(node, *arguments, **elsewhere)
        assert done.returncode == 2
        assert "start `provedor up` first" in done.stderr
    done = command(node, "radius", "trace", **elsewhere)
    assert done.returncode == 1
    assert "RADIUS does not run on this node" in done.stderr
    assert command(node, "doctor", **elsewhere).returncode == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_database_that_is_away_is_one_sentence_without_its_password(node: Node) -> None:
    for arguments in (("explain", "maria"), ("token", "list"), ("billing", "run", "--dry-run"), ("user", "list")):
        done = command(node, *arguments, PROVEDOR_DATABASE_URL="postgresql://u:topsecret@127.0.0.1:1/x")
        assert done.returncode == 1
        assert done.stderr.startswith("provedor: the database does not answer")
        assert "topsecret" not in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_lost_key_file_is_not_covered_up_by_a_new_one(node: Node, tmp_path: Path) -> None:
    lost = tmp_path / "keys" / "secret.key"
    done = command(node, "radius", "test", "maria", PROVEDOR_SECRET_KEY_FILE=str(lost))
    assert done.returncode == 2
    assert f"the key file {lost} is missing" in done.stderr
    assert not lost.exists()


def test_a_run_that_stops_is_looked_at_as_a_spreadsheet_and_forced(node: Node, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    any_time = {"weekdays": list(range(7)), "first_hour": 0, "last_hour": 24, "holidays": True, "eves": True}
    body = {"hours": any_time, "guard": {"count_floor": 0, "count_max": 0}}
    policy = node.post("/billing-policies", {"name": "at any hour", "body": body})
    plan = node.post("/plans", {"name": "Debts", "down_kbps": 2000, "up_kbps": 1000})
    customer = node.post("/customers", {"name": "=1+1", "kind": "person"})
    contract = node.post("/contracts", {"customer_id": customer["id"], "due_day": 10, "started_on": "2026-01-01"})
    node.api.patch(f"/contracts/{contract['id']}/billing", json={"policy_id": policy["id"]})
    values = {"contract_id": contract["id"], "plan_id": plan["id"], "login": "owes", "password": PASSWORD}
    service = node.post("/services", values)
    debt = {"contract_id": contract["id"], "due_date": f"{now - timedelta(days=40):%Y-%m-%d}", "amount_cents": 9990}
    node.post("/invoices", debt | {"notified_at": (now - timedelta(days=20)).isoformat()})

    file = tmp_path / "plan.xlsx"
    done = command(node, "billing", "run", "--dry-run", "--xlsx", str(file), "--language", "en")
    assert (done.returncode, "1 rows (dry run" in done.stdout) == (0, True)
    sheet = load_workbook(file).active
    assert sheet is not None
    assert [cell.value for cell in sheet[2]][:4] == ["=1+1", int(contract["id"]), "owes", "restrict"]
    assert command(node, "billing", "run", "--xlsx", str(file)).returncode == 1
    done = command(node, "billing", "run")
    assert (done.returncode, done.stderr.startswith("stopped: ")) == (1, True)
    (run,) = json.loads(command(node, "billing", "runs", "--stopped", "--json").stdout)
    (decision,) = json.loads(command(node, "billing", "decisions", run["run"], "--json").stdout)
    assert (decision["action"], decision["done_at"]) == ("place", None)
    assert "1 contracts restricted" in command(node, "billing", "run", "--force", run["run"]).stdout
    assert node.api.get(f"/services/{service['id']}").json()["access"] == "walled_garden"
    assert command(node, "billing", "run", "--force", run["run"]).returncode == 1
    assert "done" in command(node, "billing", "decisions", run["run"]).stdout
    assert command(node, "billing", "decisions", "999999").returncode == 1
