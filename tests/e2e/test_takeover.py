"""From a FreeRADIUS to us and back again, with the simulated BRAS online throughout and no session dropped.

imported → shadowed (planted differences listed) → proxied → served → exported, and the BRAS back at the FreeRADIUS.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from old_freeradius import OldServer, old_freeradius
from whole_node import PROVEDOR, Node, free_port, wait_for, whole_node

from aaa.accept_class import find_class
from aaa.bras import BoxOptions, Credential, Runner
from aaa.bras.subscriber import State, Subscriber
from provedor.embedded import EmbeddedPostgres

pytestmark = pytest.mark.e2e

SERVICES = int(os.environ.get("PROVEDOR_E2E_SERVICES", "500"))
SECRET = "testing123"
METHODS = ("pap", "chap", "mschapv2")
#: Known to the old server only, so that proxy mode has somebody to forward.
STRANGERS = 5
RATE = "50M/200M"


@dataclass
class Move:
    node: Node
    old: OldServer
    runner: Runner
    database: psycopg.Connection[Any]

    @property
    def lines(self) -> dict[str, Subscriber]:
        return {one.login: one for one in self.runner.box.subscribers}

    def point_at(self, auth_port: int, acct_port: int) -> None:
        """What the person does at the NAS: another RADIUS server, while everybody stays online."""
        self.runner._server = {False: ("127.0.0.1", auth_port), True: ("127.0.0.1", acct_port)}

    def redial(self, *logins: str) -> None:
        """These hang up and dial again; whoever is not named must not notice anything."""
        before = {login: self.lines[login].logins for login in logins}
        for login in logins:
            self.runner.box.hang_up(self.lines[login], time.time())
        wait_for(
            lambda: all(
                self.lines[one].logins > before[one] and self.lines[one].state is State.ONLINE for one in logins
            )
        )

    def live(self) -> int:
        return int(self.database.execute("SELECT count(*) FROM session WHERE stopped_at IS NULL").fetchone()[0])  # type: ignore[index]

    def mode(self, mode: str) -> None:
        nas = self.node.api.get("/nas", params={"address": "127.0.0.1"}).json()["items"][0]
        home = self.node.api.get("/home-servers").json()["items"][0]
        answer = self.node.api.patch(f"/nas/{nas['id']}", json={"mode": mode, "home_server_id": home["id"]})
        assert answer.json()["mode"] == mode, answer.text
        wait_for(lambda: self.workers_stand_at(self.newest_revision()))

    def newest_revision(self) -> int:
        return int(self.database.execute("SELECT max(revision) FROM change").fetchone()[0])  # type: ignore[index]

    def workers_stand_at(self, revision: int) -> bool:
        port = int(self.node.environment["PROVEDOR_METRICS_PORT"]) + 1
        page = self.node.api.get(f"http://127.0.0.1:{port}/metrics").text
        stands = [float(line.split()[-1]) for line in page.splitlines() if line.startswith("provedor_radius_revision{")]
        return len(stands) >= 4 and min(stands) >= revision

    def compared(self) -> tuple[int, int]:
        """Logins that differ, and all that were compared."""
        items = self.node.api.get("/takeover/progress").json()["items"]
        return (items[0]["differing"], items[0]["logins"]) if items else (0, 0)

    def differences(self, login: str) -> list[dict[str, Any]]:
        answer = self.node.api.get(
            "/takeover/differences", params={"login": login, "harmless": False, "language": "en"}
        )
        return answer.json()["items"]  # type: ignore[no-any-return]


def fill(connection: psycopg.Connection[Any]) -> None:
    with connection.cursor().copy("COPY radcheck (username, attribute, op, value) FROM STDIN") as copy:
        for number in range(SERVICES):
            copy.write_row((f"user{number}", "Cleartext-Password", ":=", f"pass{number}"))
    with connection.cursor().copy("COPY radusergroup (username, groupname, priority) FROM STDIN") as copy:
        for number in range(SERVICES):
            copy.write_row((f"user{number}", "home", 1))
    for attribute, value in (("Mikrotik-Rate-Limit", RATE), ("Framed-Pool", "residential"),
                             ("Acct-Interim-Interval", "300"), ("Service-Type", "Framed-User"),
                             ("Framed-Protocol", "PPP")):  # fmt: skip
        connection.execute(
            "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('home', %s, ':=', %s)",
            (attribute, value),
        )
    connection.execute(
        "INSERT INTO radcheck (username, attribute, op, value) VALUES ('any', 'Auth-Type', ':=', 'Accept')"
    )
    connection.execute("INSERT INTO nas (nasname, shortname, secret) VALUES ('127.0.0.1', 'bras', %s)", (SECRET,))


def add_strangers(connection: psycopg.Connection[Any]) -> None:
    for number in range(STRANGERS):
        connection.execute(
            "INSERT INTO radcheck (username, attribute, op, value) VALUES (%s, 'Cleartext-Password', ':=', 'strange')",
            (f"stranger{number}",),
        )
        connection.execute(
            "INSERT INTO radusergroup (username, groupname, priority) VALUES (%s, 'home', 1)", (f"stranger{number}",)
        )


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldServer]:
    import socket

    directory = tmp_path_factory.mktemp("freeradius")
    ports = {"auth_port": free_port(socket.SOCK_DGRAM), "acct_port": free_port(socket.SOCK_DGRAM)}
    with old_freeradius(directory, **ports, secret=SECRET) as server:
        fill(server.connection)
        yield server


@pytest.fixture(scope="module")
def runner(old: OldServer) -> Iterator[Runner]:
    """Everybody online through the FreeRADIUS; the strangers' passwords are right, and they are not known yet."""
    import socket

    known = [Credential(f"user{n}", f"pass{n}", METHODS[n % 3]) for n in range(SERVICES)]
    strangers = [Credential(f"stranger{n}", "strange", METHODS[n % 3]) for n in range(STRANGERS)]
    options = BoxOptions(redial_s=(0.3, 0.6), interim_s=4.0, ramp=400.0, secret=SECRET.encode())
    runner = Runner(
        options, [*known, *strangers], server="127.0.0.1", auth_port=old.auth_port, acct_port=old.acct_port,
        coa_port=free_port(socket.SOCK_DGRAM), control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    try:
        wait_for(lambda: runner.box.online == SERVICES, 60 + SERVICES / 50, every_s=0.1)
        yield runner
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def move(old: OldServer, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    with (
        whole_node(tmp_path_factory.mktemp("node") / "data") as node,
        psycopg.connect(EmbeddedPostgres(node.data / "postgres").url, autocommit=True) as database,
    ):
        yield Move(node, old, runner, database)


@pytest.fixture(autouse=True)
def nobody_is_dropped(move: Move) -> Iterator[None]:
    """Whoever a test does not have redial stays in the session that he had."""
    before = {one.login: one.acct_session_id for one in move.runner.box.subscribers if one.state is State.ONLINE}
    redialled: set[str] = set()
    hang_up = move.runner.box.hang_up

    def noted(subscriber: Subscriber, *arguments: Any, **options: Any) -> None:
        redialled.add(subscriber.login)
        hang_up(subscriber, *arguments, **options)

    move.runner.box.hang_up = noted  # type: ignore[method-assign]
    yield
    move.runner.box.hang_up = hang_up  # type: ignore[method-assign]
    after = {one.login: one.acct_session_id for one in move.runner.box.subscribers}
    assert {login: after[login] for login in before.keys() - redialled} == {
        login: before[login] for login in before.keys() - redialled
    }


def test_1_everything_is_imported_and_the_open_sessions_are_seen(move: Move) -> None:
    wait_for(lambda: move.old.one("SELECT count(*) FROM radacct WHERE acctstoptime IS NULL") == SERVICES, 60)
    url = move.old.database_url
    began = time.monotonic()
    done = subprocess.run(
        [PROVEDOR, "import", "freeradius", "--json", "--database-url", url],
        env=move.node.environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    took_s = time.monotonic() - began
    assert done.returncode == 1, done.stderr  # somebody was rejected: the any-password account
    said = json.loads(done.stdout)
    rejected = [one["key"] for one in said["findings"] if one["level"] == "rejected"]
    assert rejected == ["any"]
    assert said["counts"]["login"] == {"created": SERVICES, "rejected": 1}
    assert said["counts"]["session"]["seeded"] == SERVICES
    assert move.live() == SERVICES
    print(f"{SERVICES} services imported in {took_s:.1f} s")  # noqa: T201
    explained = json.loads(move.node.run("explain", "user0", "--language", "en", "--json"))
    assert explained["online"] is True
    assert explained["summary"].startswith("Online since")


def test_2_in_shadow_the_old_server_answers_and_planted_differences_are_listed(move: Move) -> None:
    move.node.post("/home-servers", {"name": "freeradius", "address": "127.0.0.1", "auth_port": move.old.auth_port,
                                     "acct_port": move.old.acct_port, "secret": SECRET})  # fmt: skip
    move.mode("shadow")
    old = move.old.connection
    old.execute("INSERT INTO radreply (username, attribute, op, value) VALUES ('user1', 'Idle-Timeout', '=', '600')")
    old.execute("UPDATE radcheck SET value = 'other' WHERE username = 'user2'")
    move.lines["user2"].password = "other"
    service = move.node.api.get("/services", params={"login": "user3"}).json()["items"][0]
    move.node.post(f"/services/{service['id']}/holds", {"reason": "admin", "effect": "block"})
    add_strangers(old)
    move.point_at(move.node.auth_port, move.node.acct_port)
    wait_for(lambda: move.runner.box.online == SERVICES + STRANGERS)
    move.redial("user0", "user1", "user2", "user3")
    wait_for(lambda: all(move.differences(f"user{number}") for number in (1, 2, 3)))
    found = {f"user{n}": [one["text"] for one in move.differences(f"user{n}")] for n in range(4)}
    assert found == {
        "user0": [],
        "user1": ["The old server sends Idle-Timeout = 600; we do not."],
        "user2": ["The old server accepts; we would refuse: wrong password."],
        "user3": ["The old server accepts; we would refuse: access is blocked."],
    }
    wait_for(lambda: move.compared() == (3 + STRANGERS, 4 + STRANGERS))
    stranger = move.differences("stranger0")
    assert [one["text"] for one in stranger] == ["The old server accepts; we would refuse: unknown login."]
    reported = move.node.run("takeover", "report", "bras", "--language", "pt_BR", check=False)
    assert "user2: O servidor antigo aceita; nós recusaríamos: senha errada." in reported
    assert find_class(move.lines["user0"].classes) is None


def test_3_seeded_sessions_go_on_as_one_each_and_the_old_server_hears_of_them(move: Move) -> None:
    """An Interim has come of everybody by now: none is twice there, and the FreeRADIUS knows the new ones."""

    def named() -> int:
        query = "SELECT count(*) FROM session WHERE stopped_at IS NULL AND box = 'bras-1'"
        return int(move.database.execute(query).fetchone()[0])  # type: ignore[index]

    wait_for(lambda: named() == SERVICES + STRANGERS, 60)
    assert move.live() == SERVICES + STRANGERS
    orphans = move.database.execute(
        "SELECT count(*) FROM session WHERE stopped_at IS NULL AND service_id IS NULL AND login LIKE 'user%'"
    ).fetchone()
    assert orphans == (0,)
    wait_for(
        lambda: move.old.one("SELECT count(*) FROM radacct WHERE acctstoptime IS NULL") == SERVICES + STRANGERS, 60
    )


def test_4_what_differed_is_put_right_and_found_equal(move: Move) -> None:
    move.old.connection.execute("DELETE FROM radreply WHERE username = 'user1'")
    service = move.node.api.get("/services", params={"login": "user3"}).json()["items"][0]
    holds = move.node.api.get(f"/services/{service['id']}/holds").json()["items"]
    move.node.api.delete(f"/services/{service['id']}/holds/{holds[0]['id']}")
    done = move.node.run("import", "freeradius", "--no-sessions", "--json", "--database-url", move.old.database_url,
                         check=False)  # fmt: skip
    assert json.loads(done)["counts"]["login"] == {
        "updated": 1, "unchanged": SERVICES - 1, "created": STRANGERS, "rejected": 1,
    }  # fmt: skip
    wait_for(lambda: move.workers_stand_at(move.newest_revision()))
    move.redial("user1", "user2", "user3", "stranger0")
    wait_for(lambda: not any(move.differences(login) for login in ("user1", "user2", "user3", "stranger0")))


def test_5_in_proxy_mode_we_answer_whom_we_know_and_the_old_server_the_rest(move: Move) -> None:
    stranger = move.node.api.get("/services", params={"login": "stranger1"}).json()["items"][0]
    move.node.api.delete(f"/services/{stranger['id']}")  # somebody whom only the old server knows
    wait_for(lambda: move.lines["stranger1"].state is State.ONLINE)
    move.mode("proxy")
    move.redial("user4", "stranger1")
    assert find_class(move.lines["user4"].classes) is not None
    assert find_class(move.lines["stranger1"].classes) is None
    assert move.lines["stranger1"].rate_limit == RATE


def test_6_served_by_us_and_accounted_once(move: Move) -> None:
    move.mode("serve")
    chosen = [f"user{number}" for number in range(5, min(SERVICES, 200))]
    move.redial(*chosen)
    assert all(find_class(move.lines[login].classes) for login in chosen)
    wait_for(lambda: move.live() == SERVICES + STRANGERS, 60)


def test_7_and_back_again_with_the_holds_that_were_placed_here(move: Move) -> None:
    """Exported and followed, the FreeRADIUS lets in whom we would, and refuses whom we would."""
    follower = subprocess.Popen(
        [PROVEDOR, "export", "freeradius", "--follow", "--vendor", "mikrotik", "--database-url", move.old.database_url],
        env=move.node.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        assert f"{SERVICES + STRANGERS - 1} logins" in follower.stdout.readline()
        service = move.node.api.get("/services", params={"login": "user6"}).json()["items"][0]
        move.node.post(f"/services/{service['id']}/holds", {"reason": "admin", "effect": "throttle"})
        wait_for(lambda: move.old.one("SELECT groupname FROM radusergroup WHERE username = 'user6'")
                 != move.old.one("SELECT groupname FROM radusergroup WHERE username = 'user7'"))  # fmt: skip
        move.point_at(move.old.auth_port, move.old.acct_port)
        move.redial("user6", "user7", "stranger1")
        assert move.lines["user6"].rate_limit == "1024k/1024k"
        assert move.lines["user7"].rate_limit == "50000k/200000k"
        assert move.lines["stranger1"].rate_limit == RATE  # nobody's whom we know: as it was
        assert all(find_class(move.lines[login].classes) is None for login in ("user6", "user7"))
        wait_for(lambda: move.runner.box.online == SERVICES + STRANGERS)
    finally:
        follower.terminate()
        follower.wait(10)
