"""From a FreeRADIUS to us and back again with 10,000 sessions open at the simulated BRAS, and none of them dropped.

imported → shadowed (planted differences listed, and put right) → proxied → served → exported → back at the FreeRADIUS,
which knows what has changed meanwhile. `-s` prints how long each step took.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from free_ports import free_port
from old_freeradius import OldServer, old_freeradius
from whole_node import PROVEDOR, Node, wait_for, whole_node

from aaa.accept_class import find_class
from aaa.bras import BoxOptions, Credential, Runner
from aaa.bras.subscriber import State, Subscriber
from provedor.embedded import EmbeddedPostgres

pytestmark = pytest.mark.e2e

SERVICES = int(os.environ.get("PROVEDOR_E2E_SERVICES", "10000"))
REPORT_EVERY_S = 30.0
#: So many dial anew in shadow mode and when we serve; all others stay in the session that they had from the beginning.
REDIALS = SERVICES // 20
SECRET = "testing123"
METHODS = ("pap", "chap", "mschapv2")
RATE = "50000k/200000k"
#: Of its own processor time, as the clock depends on what else the machine does.
IMPORT_CPU_S_MAX = 30.0
IMPORT_MB_MAX = 400.0
#: The FreeRADIUS lets these in as well: with any password, in another case (it looks for lower case), with a blank
#: that its database has, too; and somebody whom nobody has told us of.
ODD = {"any": "whatever", "UPPER": "upper", "blank ": "blank", "stranger": "strange"}
#: Its database has this one with a blank at the end, as the CPE has not.
REFUSED = {"tail": "tail"}
#: Will be created here.
NEWCOMER = {"newcomer": "n3wcomer"}


@dataclass
class Move:
    node: Node
    old: OldServer
    runner: Runner
    coa_port: int
    database: psycopg.Connection[Any]
    #: Session by login, of everybody who is not to notice anything, since all were online.
    undisturbed: dict[str, str]
    lines: dict[str, Subscriber]
    #: What it took, by step.
    took: dict[str, str] = field(default_factory=dict)

    def point_at(self, auth_port: int, acct_port: int) -> None:
        """What the person does at the NAS: another RADIUS server, while everybody stays online."""
        self.runner.point_at("127.0.0.1", auth_port, acct_port)

    def hang_up(self, *logins: str) -> None:
        """These end their sessions, and dial again."""
        for login in logins:
            self.undisturbed.pop(login, None)
            self.runner.box.hang_up(self.lines[login], time.time())

    def redial(self, *logins: str) -> None:
        before = {login: self.lines[login].logins for login in logins}
        self.hang_up(*logins)
        wait_for(lambda: all(self.lines[one].logins > before[one] for one in logins))

    def report_until(self, known: Callable[[], bool]) -> None:
        """Everybody reports. What a busy machine loses, after all retransmits, comes with the next report."""
        reported_at = -REPORT_EVERY_S

        def check() -> bool:
            nonlocal reported_at
            if known():
                return True
            if time.monotonic() > reported_at + REPORT_EVERY_S:
                reported_at = time.monotonic()
                self.runner.box.report(time.time())
            return False

        wait_for(check, 4 * REPORT_EVERY_S, every_s=0.1)

    def dropped(self) -> list[str]:
        return [login for login, at_first in self.undisturbed.items() if self.lines[login].acct_session_id != at_first]

    def count(self, query: str) -> int:
        return int(self.database.execute(query).fetchone()[0])  # type: ignore[call-overload, index]

    def live(self) -> int:
        return self.count("SELECT count(*) FROM session WHERE stopped_at IS NULL")

    def open_there(self) -> int:
        return int(self.old.one("SELECT count(*) FROM radacct WHERE acctstoptime IS NULL"))

    def service(self, login: str) -> dict[str, Any]:
        return self.node.api.get("/services", params={"login": login}).json()["items"][0]  # type: ignore[no-any-return]

    def hold(self, login: str, effect: str) -> None:
        self.node.post(f"/services/{self.service(login)['id']}/holds", {"reason": "admin", "effect": effect})

    def lift(self, login: str) -> None:
        path = f"/services/{self.service(login)['id']}/holds"
        for hold in self.node.api.get(path).json()["items"]:
            self.node.api.delete(f"{path}/{hold['id']}")

    def change_nas(self, **values: Any) -> None:
        nas = self.node.api.get("/nas", params={"address": "127.0.0.1"}).json()["items"][0]
        assert self.node.api.patch(f"/nas/{nas['id']}", json=values).status_code == 200

    def mode(self, mode: str) -> None:
        self.change_nas(mode=mode)
        self.await_workers()

    def await_workers(self) -> None:
        revision = self.count("SELECT max(revision) FROM change")
        wait_for(lambda: self._workers_stand_at(revision), every_s=0.05)

    def _workers_stand_at(self, revision: int) -> bool:
        port = int(self.node.environment["PROVEDOR_METRICS_PORT"]) + 1
        page = self.node.api.get(f"http://127.0.0.1:{port}/metrics").text
        stands = [float(line.split()[-1]) for line in page.splitlines() if line.startswith("provedor_radius_revision{")]
        return len(stands) >= 4 and min(stands) >= revision

    def compared(self) -> tuple[int, int]:
        """Logins that differ, and all that were compared."""
        items = self.node.api.get("/takeover/progress").json()["items"]
        return (items[0]["differing"], items[0]["logins"]) if items else (0, 0)

    def differences(self, login: str) -> list[str]:
        query = {"login": login, "harmless": False, "language": "en"}
        return [one["text"] for one in self.node.api.get("/takeover/differences", params=query).json()["items"]]

    def brought(self, *arguments: str) -> dict[str, Any]:
        """`provedor import freeradius`, and what it took."""
        command = [PROVEDOR, "import", "freeradius", "--json", "--database-url", self.old.database_url, *arguments]
        began = time.monotonic()
        with subprocess.Popen(command, env=self.node.environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = json.loads(process.stdout.read())
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
        seconds, megabytes = time.monotonic() - began, usage.ru_maxrss / 1024
        cpu_s = usage.ru_utime + usage.ru_stime
        what = f"import {' '.join(arguments)}".strip()
        self.took[what] = f"{seconds:.1f} s ({cpu_s:.1f} s of a processor), {megabytes:.0f} MB"
        assert cpu_s < IMPORT_CPU_S_MAX
        assert megabytes < IMPORT_MB_MAX
        return said  # type: ignore[no-any-return]

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.took[what] = f"{time.monotonic() - began:.1f} s"


def fill(connection: psycopg.Connection[Any]) -> None:
    passwords = {f"user{n}": f"pass{n}" for n in range(SERVICES)} | {
        "upper": "upper",
        "blank ": "blank",
        "tail ": "tail",
    }
    with connection.cursor().copy("COPY radcheck (username, attribute, op, value) FROM STDIN") as copy:
        for login, password in passwords.items():
            copy.write_row((login, "Cleartext-Password", ":=", password))
        copy.write_row(("any", "Auth-Type", ":=", "Accept"))
    with connection.cursor().copy("COPY radusergroup (username, groupname, priority) FROM STDIN") as copy:
        for login in (*passwords, "any"):
            copy.write_row((login, "home", 1))
    for attribute, value in (("Mikrotik-Rate-Limit", "50M/200M"), ("Framed-Pool", "residential"),
                             ("Acct-Interim-Interval", "300"), ("Service-Type", "Framed-User"),
                             ("Framed-Protocol", "PPP")):  # fmt: skip
        connection.execute(
            "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('home', %s, '=', %s)",
            (attribute, value),
        )
    connection.execute("INSERT INTO nas (nasname, shortname, secret) VALUES ('127.0.0.1', 'bras', %s)", (SECRET,))


def add_user(connection: psycopg.Connection[Any], login: str, password: str) -> None:
    connection.execute(
        "INSERT INTO radcheck (username, attribute, op, value) VALUES (%s, 'Cleartext-Password', ':=', %s)",
        (login, password),
    )
    connection.execute("INSERT INTO radusergroup (username, groupname, priority) VALUES (%s, 'home', 1)", (login,))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldServer]:
    directory = tmp_path_factory.mktemp("freeradius")
    ports = {"auth_port": free_port(socket.SOCK_DGRAM), "acct_port": free_port(socket.SOCK_DGRAM)}
    with old_freeradius(directory, **ports, secret=SECRET) as server:
        fill(server.connection)
        yield server


@contextmanager
def dialling(old: OldServer, coa_port: int) -> Iterator[Runner]:
    """The BRAS in a thread; everybody dials, at the FreeRADIUS."""
    credentials = [Credential(f"user{n}", f"pass{n}", METHODS[n % 3]) for n in range(SERVICES)]
    credentials += [Credential(login, word) for login, word in {**ODD, **REFUSED, **NEWCOMER}.items()]
    options = BoxOptions(redial_s=(0.3, 2.0), ramp=1000.0, secret=SECRET.encode())
    runner = Runner(
        options, credentials, server="127.0.0.1", auth_port=old.auth_port, acct_port=old.acct_port, coa_port=coa_port,
        control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    try:
        yield runner
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def move(old: OldServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    began = time.monotonic()
    coa_port = free_port(socket.SOCK_DGRAM)
    with (
        dialling(old, coa_port) as runner,
        whole_node(tmp_path_factory.mktemp("node") / "data") as node,
        psycopg.connect(EmbeddedPostgres(node.data / "postgres").url, autocommit=True) as database,
    ):
        online = SERVICES + len(ODD) - 1  # the stranger is not in its database yet
        wait_for(lambda: runner.box.online == online, 60 + SERVICES / 50, every_s=0.1)
        lines = {one.login: one for one in runner.box.subscribers}
        move = Move(node, old, runner, coa_port, database, {one.login: one.acct_session_id for one in lines.values()
                                                  if one.state is State.ONLINE}, lines)  # fmt: skip
        wait_for(lambda: move.open_there() == online, 180, every_s=0.1)
        move.took["all online at the FreeRADIUS"] = f"{time.monotonic() - began:.1f} s"
        yield move
        for what, took in move.took.items():
            print(f"{what}: {took}")  # noqa: T201
        print(f"{runner.box.lost} packets that nobody answered")  # noqa: T201


@pytest.fixture(autouse=True)
def nobody_is_dropped(move: Move) -> Iterator[None]:
    """Whoever was not told to hang up is in the session that he had before we came."""
    yield
    assert move.dropped() == []


def found(said: dict[str, Any], level: str) -> dict[str, str]:
    return {one["key"]: one["reason"] for one in said["findings"] if one["level"] == level}


def test_1_everything_is_imported_and_the_open_sessions_are_seen(move: Move) -> None:
    dry = move.brought("--dry-run")
    assert move.count("SELECT count(*) FROM service") == 0
    said = move.brought()
    assert (dry["counts"], dry["findings"]) == (said["counts"], said["findings"])
    assert found(said, "rejected") == {"any": "is accepted with any password (Auth-Type := Accept)"}
    assert said["counts"]["login"] == {"created": SERVICES + 3, "rejected": 1}
    assert said["counts"]["session"]["seeded"] == move.live() == SERVICES + 3


def test_2_in_shadow_the_old_server_answers_and_what_differs_is_listed(move: Move) -> None:
    move.node.run("takeover", "home", "freeradius", "127.0.0.1", "--auth-port", str(move.old.auth_port),
                  "--acct-port", str(move.old.acct_port), PROVEDOR_HOME_SECRET=SECRET)  # fmt: skip
    move.change_nas(coa_port=move.coa_port)
    move.node.run("takeover", "mode", "bras", "shadow", "--home", "freeradius")
    move.await_workers()
    execute = move.old.connection.execute
    execute(
        "INSERT INTO radreply (username, attribute, op, value) VALUES ('user1', 'Mikrotik-Rate-Limit', ':=', '9M/9M')"
    )
    execute("UPDATE radcheck SET value = 'other' WHERE username = 'user2'")
    move.lines["user2"].password = "other"
    move.hold("user3", "block")
    add_user(move.old.connection, "stranger", "strange")
    move.point_at(move.node.auth_port, move.node.acct_port)
    dialled = [f"user{number}" for number in range(REDIALS)] + list(ODD)
    with move.timed(f"{len(dialled)} logins in shadow"):
        move.redial(*dialled[:-1])
        wait_for(lambda: move.lines["stranger"].state is State.ONLINE)
        wait_for(lambda: move.compared()[1] == len(dialled) + len(REFUSED), every_s=0.1)
    refused = "The old server accepts; we would refuse: "
    expected = {
        "user0": [],
        "user1": [f"Mikrotik-Rate-Limit: the old server sends 9M/9M, we send {RATE}."],
        "user2": [refused + "wrong password."],
        "user3": [refused + "access is blocked."],
        "any": [refused + "unknown login."],
        "UPPER": [refused + "unknown login."],
        "blank ": [],
        "stranger": [refused + "unknown login."],
        "tail": ["The old server refuses; we would accept."],
    }
    assert {login: move.differences(login) for login in expected} == expected
    assert move.compared()[0] == sum(map(bool, expected.values()))
    assert find_class(move.lines["user0"].grant.classes) is None
    report = move.node.run("takeover", "report", "bras", "--language", "en", check=False)
    assert f"bras (shadow): {len(dialled) + 1} logins compared" in report
    assert "UPPER (= upper)" in report


def test_3_everybody_reports_and_stays_one_session_here_and_there(move: Move) -> None:
    """The seeded sessions get their box's name, and the FreeRADIUS hears of all that we hear."""
    online = SERVICES + len(ODD)
    reported = "SELECT count(*) FROM session WHERE stopped_at IS NULL AND box = 'bras-1' AND interims > 0"
    with move.timed(f"{online} sessions report in shadow"):
        move.report_until(lambda: move.count(reported) == online)
    assert move.live() == online
    with move.timed("and the FreeRADIUS has heard of it"):
        query = "SELECT count(*) FROM radacct WHERE acctstoptime IS NULL AND acctsessiontime > 0"
        move.report_until(lambda: move.old.one(query) == online)
    assert move.open_there() == online


def test_4_what_differed_is_put_right_and_found_equal(move: Move) -> None:
    execute = move.old.connection.execute
    execute("DELETE FROM radreply WHERE username = 'user1'")
    execute("DELETE FROM radcheck WHERE username = 'tail '")  # what is left of it, its group, stands in nobody's way
    add_user(move.old.connection, "tail", "tail")
    execute("DELETE FROM radcheck WHERE username = 'any'")
    add_user(move.old.connection, "any", "whatever")
    move.lift("user3")
    move.change_nas(login_rules={"trim": True, "lowercase": True})
    said = move.brought("--no-sessions")
    assert said["counts"]["login"] == {"updated": 1, "unchanged": SERVICES + 2, "created": 2, "rejected": 0}
    move.await_workers()
    wait_for(lambda: move.lines["tail"].state is State.ONLINE)
    move.redial("user1", "user2", "user3", "any", "UPPER", "stranger", "tail")
    wait_for(lambda: move.compared()[0] == 0, every_s=0.1)
    assert "0 differ" in move.node.run("takeover", "report", "bras", "--language", "en")


def test_5_in_proxy_mode_we_answer_whom_we_know_and_the_old_server_the_rest(move: Move) -> None:
    move.node.api.delete(f"/services/{move.service('stranger')['id']}")  # only the old server knows him now
    move.mode("proxy")
    move.redial("user4", "stranger")
    assert find_class(move.lines["user4"].grant.classes) is not None
    assert find_class(move.lines["stranger"].grant.classes) is None
    assert move.lines["stranger"].rate_limit == RATE


def test_6_what_was_let_in_before_us_is_observed_until_it_dials_anew(move: Move) -> None:
    move.mode("serve")
    move.hold("user5", "block")
    move.hold("user6", "throttle")
    seeded, ours = "user5", "user4"
    move.hold(ours, "throttle")
    wait_for(lambda: move.lines[ours].rate_limit == "1024k/1024k")  # enforced, as it has our Class
    assert move.lines[seeded].rate_limit == RATE
    explained = json.loads(move.node.run("explain", seeded, "--language", "en", "--json"))
    assert (explained["online"], explained["verdict"]) == (True, "blocked")
    assert "observed" in [one["code"] for one in explained["findings"]]
    move.hang_up(seeded)
    move.redial("user6")
    assert move.lines["user6"].rate_limit == "1024k/1024k"
    wait_for(lambda: move.lines[seeded].rejects > 0)
    move.lift(seeded)
    wait_for(lambda: move.lines[seeded].state is State.ONLINE)
    chosen = [f"user{number}" for number in range(7, REDIALS)]
    with move.timed(f"{len(chosen)} logins at us"):
        move.redial(*chosen)
    assert all(find_class(move.lines[login].grant.classes) for login in chosen)
    wait_for(lambda: move.live() == move.runner.box.online == SERVICES + len(ODD) + len(REFUSED), every_s=0.1)


@contextmanager
def followed(move: Move) -> Iterator[None]:
    """`provedor export freeradius --follow`, once it has written everything."""
    command = [PROVEDOR, "export", "freeradius", "--follow", "--database-url", move.old.database_url]
    began = time.monotonic()
    with subprocess.Popen(command, env=move.node.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            first = follower.stdout.readline()
            move.took["export"] = f"{time.monotonic() - began:.1f} s"
            assert f"{SERVICES + 4} logins" in first
            yield
        finally:
            follower.terminate()


def test_7_an_address_out_of_a_pool_that_becomes_ours_stays_with_its_session(move: Move) -> None:
    with move.timed("a pool of ours over all live addresses"):
        move.node.post("/address-pools", {"name": "residential", "kind": "ipv4", "ranges": ["100.64.0.0/16"]})
    assert move.count("SELECT count(*) FROM address_lease WHERE state = 'held'") == move.live() - 1  # the stranger's
    move.await_workers()
    line = move.lines["user9"]
    had = line.framed_ipv4
    move.redial("user9")
    assert line.framed_ipv4 == had
    assert find_class(line.grant.classes)


def test_8_and_back_again_with_all_that_changed_meanwhile(move: Move) -> None:
    plan = move.service("user0")["plan_id"]
    contract = move.service("user0")["contract_id"]
    for number in (1, 2):  # most NASes call the walled garden as we do; this one does not
        move.node.post("/nas", {"name": f"bras-{number}", "address": f"192.0.2.{number}", "secret": SECRET,
                                "vendor": "mikrotik"})  # fmt: skip
    move.change_nas(names={"address_lists": {"walled-garden": "muro"}})
    had = move.lines["user9"].framed_ipv4
    with followed(move):
        began = time.monotonic()
        move.node.post("/services", {"contract_id": contract, "plan_id": plan, "login": "newcomer",
                                     "password": NEWCOMER["newcomer"]})  # fmt: skip
        move.node.api.patch(f"/services/{move.service('user7')['id']}", json={"password": "changed"})
        move.lines["user7"].password = "changed"
        move.hold("user8", "block")
        move.hold("user10", "walled_garden")
        there = (
            "SELECT count(*) FROM radcheck WHERE (username, value) IN "
            "(('newcomer', 'n3wcomer'), ('user7', 'changed'), ('user8', 'Reject'))"
        )
        wait_for(lambda: move.old.one(there) == 3)
        move.took["three changes known at the FreeRADIUS"] = f"{time.monotonic() - began:.1f} s"
        ended = ("user8", "user10")  # their sessions are ours: they are ended
        wait_for(lambda: move.lines["user8"].state is not State.ONLINE and move.lines["user10"].logins > 2)
        for login in ended:
            move.undisturbed.pop(login, None)
        move.point_at(move.old.auth_port, move.old.acct_port)
        move.redial("user4", "user7", "user9", "user10", "stranger")
        assert move.lines["user9"].framed_ipv4 == had
        assert move.lines["user10"].address_list == "muro"
        assert [move.lines[one].rate_limit for one in ("user4", "user7", "user9", "stranger")] == [
            "1024k/1024k", RATE, RATE, RATE,
        ]  # fmt: skip
        assert not any(find_class(move.lines[login].grant.classes) for login in ("user4", "user7", "user9"))
        wait_for(lambda: move.lines["newcomer"].state is State.ONLINE)
        refused = move.lines["user8"].rejects
        wait_for(lambda: move.lines["user8"].rejects > refused + 1)
        online = SERVICES + len(ODD) + len(REFUSED) + len(NEWCOMER) - 1
        wait_for(lambda: move.runner.box.online == online)
        move.report_until(lambda: move.open_there() == online)
