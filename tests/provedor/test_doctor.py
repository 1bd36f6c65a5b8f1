"""Doctor on real wrongs: each is found, and the advice names the thing and what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import make_nas
from routeros_boxes import PASSWORD, USER, box
from snmp_agent import SYS_UP_TIME, Agent, column
from sqlalchemy import text

from aaa.models import NasFindingRow
from aaa.pools import nodes
from aaa.snmp.tables import HW_ACCESS_USER_NAME
from aaa.spool import SPOOL_OCTETS_MAX, segment_path
from core import network, outbox, plans, switches, topics
from core.audit import Actor
from core.database import Database
from core.keyring import ROUTEROS_PASSWORD, Keyring, load_keyring
from core.models.network import Session, Vendor
from core.routeros import check_routeros
from provedor.doctor import Check, examine
from provedor.embedded import EmbeddedValkey
from provedor.settings import Settings, load_settings
from provisioning import pace
from provisioning.backups.models import BackupState, DeviceBackup, RestoreDrill, Why
from provisioning.backups.reading import ReadBy
from provisioning.credentials.models import PasswordRotation
from provisioning.models import ShownCertificate
from provisioning.napalm.models import ManagedDevice


@pytest.fixture
def settings(tmp_path: Path, database_url: str, valkey: EmbeddedValkey) -> Settings:
    """A node that is installed and does not run."""
    found = load_settings(
        data=tmp_path, database_url=database_url, broker_url=valkey.url, radius_host="127.0.0.1", http_port=1,
        metrics_port=64000, radius_auth_port=free_port(), radius_acct_port=free_port(), radius_workers=1,
    )  # fmt: skip
    load_keyring(found.key_file)
    return found


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return load_keyring(settings.key_file)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def check(settings: Settings, name: str) -> Check:
    (found,) = examine(settings, [name])
    return found


def assert_wrong(settings: Settings, name: str, *words: str) -> None:
    found = check(settings, name)
    assert found.ok is False, found
    for word in words:
        assert word in found.advice


def test_what_is_well_is_said_to_be(settings: Settings) -> None:
    well = {one.name for one in examine(settings) if one.ok}
    assert well >= {"settings", "data directory", "key file", "database", "schema", "clock", "broker", "work"}


def test_a_node_that_does_not_run_is_wrong(settings: Settings) -> None:
    assert_wrong(settings, "API", "provedor up")
    assert_wrong(settings, "RADIUS feed", "provedor up")


def test_another_program_on_our_port_is_named(settings: Settings) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", settings.radius_auth_port))
        assert_wrong(settings, "RADIUS feed", str(settings.radius_auth_port), "taken")


def test_workers_that_do_not_answer_status_server_are_named(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    assert check(settings, "RADIUS accounting")[1:] == (
        None, "make a NAS entry for 127.0.0.1, and every worker will be asked by Status-Server"
    )  # fmt: skip
    with database.transaction() as session:
        make_nas(session, keyring)
    assert_wrong(settings, "RADIUS accounting", "worker 0", str(settings.radius_acct_port))


def test_a_database_that_is_away_is_wrong_and_its_password_is_not_shown(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://u:topsecret@127.0.0.1:1/x"})
    assert_wrong(away, "database", "does not answer", "port 1")
    assert not any("topsecret" in one.advice for one in examine(away))
    assert check(away, "schema")[1:] == (None, "not asked: it needs the database")


def test_a_broker_that_is_away_is_wrong(settings: Settings) -> None:
    assert_wrong(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1"}), "broker", "PROVEDOR_BROKER_URL")


def test_an_old_and_a_newer_schema_are_told_apart(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert_wrong(settings, "schema", "0001", "`provedor up` migrates it")
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert_wrong(settings, "schema", "9999", "install the newer")


def test_a_key_file_that_others_read_that_is_lost_or_of_another_database(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        make_nas(session, keyring)
    assert check(settings, "keys and database").ok
    settings.key_file.chmod(0o640)
    assert_wrong(settings, "key file", "chmod 600")
    settings.key_file.unlink()
    assert_wrong(settings, "key file", "restore it")
    assert not settings.key_file.exists()
    load_keyring(settings.key_file)
    assert_wrong(settings, "keys and database", "does not open")


def test_a_spool_near_its_bound_and_refused_records_are_wrong(settings: Settings) -> None:
    spool = settings.spool_directory / "acct-0"
    spool.mkdir(parents=True)
    with segment_path(spool, 1).open("wb") as segment:
        segment.truncate(SPOOL_OCTETS_MAX - 1)  # sparse: it takes no disk
    assert_wrong(settings, "accounting spool", "acct-0", "near its bound")
    segment_path(spool, 1).unlink()
    assert check(settings, "accounting spool").ok
    (settings.spool_directory / "refused.hex").write_text("1 2 3\n")
    assert_wrong(settings, "accounting spool", "refused.hex")


def test_a_copy_that_is_no_snapshot_is_wrong(settings: Settings) -> None:
    path = settings.data / "snapshot" / "snapshot.bin"
    assert check(settings, "copy of the snapshot").ok
    path.parent.mkdir()
    path.write_bytes(b"junk")
    assert_wrong(settings, "copy of the snapshot", str(path))


def test_work_that_fails_or_waits_is_told_with_its_error(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        outbox.enqueue(session, topics.INBOX_STORED, {"inbox_id": 1}, due_at=datetime.now(UTC) - timedelta(minutes=9))
    assert_wrong(settings, "work", "relay")
    with database.transaction() as session:
        session.execute(text("UPDATE outbox SET attempts = 3, last_error = 'TypeError: no'"))
    assert_wrong(settings, "work", "TypeError: no", "3 times")


def test_enforcement_tells_of_a_silent_nas_and_of_a_freeze(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session:
        nas = make_nas(session, keyring, name="bras-9", coa_port=1700)
        switches.freeze_enforcement(session, True, Actor("test"))
    assert "resume" in check(settings, "enforcement").advice
    with database.transaction() as session:
        for _ in range(pace.SILENT_MAX):
            pace.record_silence(session, nas.id, 60, datetime.now(UTC))
    assert_wrong(settings, "enforcement", "bras-9", "1700")


def test_a_nas_whose_clock_is_off_is_named(settings: Settings, database: Database, keyring: Keyring) -> None:
    now = datetime.now(UTC)
    with database.transaction() as session:
        nas = make_nas(session, keyring, name="bras-8")
        session.execute(
            text(f"CREATE TABLE skewed PARTITION OF accounting_record FOR VALUES FROM ('{now.date()}') "
                 f"TO ('{now.date() + timedelta(days=1)}')")
        )  # fmt: skip
        session.execute(
            text(
                "INSERT INTO accounting_record (received_on, dedupe_key, received_at, event_at, nas_id, box, source, "
                "status, acct_session_id, accept_id, login, session_seconds, input_octets, output_octets) "
                "VALUES (:on, 'x', :at, :event, :nas, 'b', 's', 3, 'a', '', 'l', 0, 0, 0)"
            ),
            {"on": now.date(), "at": now, "event": now - timedelta(seconds=90), "nas": nas.id},
        )
    assert_wrong(settings, "NAS clocks", "bras-8 by -90 s", "NTP")


def test_a_mistyped_variable_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVEDOR_HTTP_PROT", "8080")
    assert_wrong(settings, "settings", "PROVEDOR_HTTP_PROT")


def test_a_data_directory_that_is_not_there_fails_every_check_it_must_and_makes_nothing(tmp_path: Path) -> None:
    nowhere = load_settings(data=tmp_path / "nowhere")
    wrong = {one.name for one in examine(nowhere) if one.ok is False}
    assert wrong >= {"data directory", "key file", "database", "broker", "API", "RADIUS feed"}
    assert not (tmp_path / "nowhere").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_a_nas_is_noted_and_strangers_are_counted(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    assert check(settings, "NAS findings").advice == ""
    with database.transaction() as session:
        nas_id = make_nas(session, keyring, name="bras-1").id
        session.add(NasFindingRow(nas_id=nas_id, source="a", kind="wrong_secret", count=3, detail={}))
        session.add(NasFindingRow(nas_id=nas_id, source="b", kind="wrong_secret", count=4, detail={}))
        for source in ("a", "b"):
            session.add(NasFindingRow(nas_id=0, source=source, kind="unknown_client", count=5, detail={}))
    noted = check(settings, "NAS findings")
    assert noted.ok
    assert "bras-1 wrong secret (7), 2 senders unknown client (10)" in noted.advice
    assert "`provedor explain NAS`" in noted.advice


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent(column(HW_ACCESS_USER_NAME.oid, "ana@isp"))
    yield agent
    agent.close()


def test_each_snmp_agent_is_asked_and_what_it_lacks_is_told(
    settings: Settings, database: Database, keyring: Keyring, agent: Agent
) -> None:
    assert check(settings, "SNMP") == Check("SNMP", None, "no NAS entry has `snmp`, or none with `snmp` has sessions")
    with database.transaction() as session:
        nas = make_nas(session, keyring, name="bras-1", vendor=Vendor.HUAWEI)
        given = {"snmp": {"port": agent.port}, "snmp_secret": {"community": "leitura"}}
        network.update_nas(session, keyring, nas, given, Actor("test"))
    assert check(settings, "SNMP") == Check("SNMP", True, "1 agents answer")
    del agent.has[f"{HW_ACCESS_USER_NAME.oid}.1"]
    assert "bras-1 (127.0.0.1 port" in check(settings, "SNMP").advice
    assert "shows no sessions" in check(settings, "SNMP").advice
    del agent.has[SYS_UP_TIME]
    agent.has["1.3.6.1.2.1.1.5.0"] = "bras-1"
    assert_wrong(settings, "SNMP", "bras-1", "let its view include 1.3.6.1.2.1.1.3")
    agent.community = "another"
    assert_wrong(settings, "SNMP", "bras-1", "does not answer SNMP", "community")


def test_of_a_network_of_boxes_those_with_sessions_are_asked(
    settings: Settings, database: Database, keyring: Keyring, agent: Agent
) -> None:
    with database.transaction() as session:
        nas = make_nas(session, keyring, name="boxes", vendor=Vendor.HUAWEI, address="127.0.0.0/24")
        given = {"snmp": {"port": agent.port}, "snmp_secret": {"community": "leitura"}}
        network.update_nas(session, keyring, nas, given, Actor("test"))
    assert check(settings, "SNMP").advice == "no NAS entry has `snmp`, or none with `snmp` has sessions"
    now = datetime.now(UTC)
    with database.transaction() as session:
        for number, address in enumerate(["127.0.0.1", "127.0.0.1", "127.0.0.2"]):
            session.add(
                Session(nas_id=nas.id, box="b", acct_session_id=str(number), login="ana", nas_address=address,
                        started_at=now, updated_at=now)
            )  # fmt: skip
    assert_wrong(settings, "SNMP", "boxes (127.0.0.2 port")
    assert "127.0.0.1" not in check(settings, "SNMP").advice


def test_each_router_that_cannot_be_asked_is_named_with_the_reason(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    assert check(settings, "router APIs").ok is None
    with box() as found:

        def add(name: str, address: str, password: str) -> None:
            access = {"user": USER, "port": found.server.port, "tls": False}
            with database.transaction() as session:
                make_nas(
                    session, keyring, name=name, address=address, routeros=check_routeros(access),
                    routeros_password_encrypted=keyring.seal(password, ROUTEROS_PASSWORD),
                )  # fmt: skip

        add("bras-1", "127.0.0.1", PASSWORD)
        assert check(settings, "router APIs") == Check("router APIs", True, "1 of 1 answer")
        add("bras-2", "127.0.0.2", PASSWORD)
        assert_wrong(settings, "router APIs", "bras-2", "Router does not answer", "Connection refused")
        add("bras-3", "127.0.0.0/30", "wrong")  # a network without sessions has no box that we know
        advice = check(settings, "router APIs").advice
        assert "bras-1" not in advice
        assert "bras-3" not in advice


def test_boxes_that_are_not_kept_do_not_restore_or_show_another_certificate_are_named(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    assert check(settings, "boxes").ok is None
    now = datetime.now(UTC)
    with database.transaction() as session:
        nas = make_nas(session, keyring, name="bras-1")
        session.add(BackupState(nas_id=nas.id, checked_at=now, due_at=now))
    assert check(settings, "boxes") == Check("boxes", True, "0 versions of 1 boxes are kept")
    with database.transaction() as session:
        session.get_one(BackupState, nas.id).error = "no answer in 5 s"
        kept = DeviceBackup(nas_id=nas.id, taken_at=now, same_until=now, why=Why.ASKED, release="7.18",
                            read_by=ReadBy.EXPORT, sha256="0", octets=1, text_encrypted=b"x")  # fmt: skip
        session.add(kept)
        session.flush()
        drill = {"nas_id": nas.id, "backup_id": kept.id, "asked_at": now, "asked_by": "test"}
        session.add(RestoreDrill(**drill, done_at=now, ok=False, differences=["/ip pool"]))
        session.add(ShownCertificate(nas_id=nas.id, sha256="ab", expected="cd", since=now, seen_at=now))
        session.add(PasswordRotation(nas_id=nas.id, created_by="test", due_at=now, tries=1, detail="it is away"))
    assert_wrong(settings, "boxes", "bras-1: its configuration cannot be kept: no answer in 5 s")
    assert_wrong(settings, "boxes", f"backup {kept.id} did not restore", "certificate ab is another", "it is away")
    with database.transaction() as session:
        session.add(RestoreDrill(**drill, done_at=now, ok=True, differences=[]))
    assert "did not restore" not in check(settings, "boxes").advice


def test_a_radius_node_that_is_silent_is_named_with_what_to_do(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        nodes.join(session, "node-9", datetime.now(UTC) - nodes.MISSED_AFTER - timedelta(seconds=1))
    assert_wrong(settings, "RADIUS nodes", "node-9", "provedor node forget")
    with database.transaction() as session:
        nodes.forget(session, "node-9", Actor("test"), datetime.now(UTC))
    assert check(settings, "RADIUS nodes").ok


def test_managed_boxes_that_lack_what_plans_name_or_show_another_host_key_are_named(
    settings: Settings, database: Database, keyring: Keyring
) -> None:
    assert check(settings, "managed boxes").ok is None
    access = {"driver": "huawei_vrp8", "user": "u"}
    there = {"QoS profile": ["gold"], "pool": [], "user group or ACL": ["walled-garden"]}
    with database.transaction() as session:
        values = {"name": "bng", "address": "192.0.2.1", "secret": "s", "vendor": Vendor.HUAWEI, "management": access,
                  "management_secret": {"password": "p"}}  # fmt: skip
        nas = network.create_nas(session, keyring, values, Actor("test"))
        session.add(ManagedDevice(nas_id=nas.id, names=there))
        plans.create_plan(session, {"name": "Ouro", "down_kbps": 2, "up_kbps": 1, "profile": "gold"}, Actor("test"))
    assert check(settings, "managed boxes") == Check("managed boxes", True, "1 have what plans name")
    with database.transaction() as session:
        plans.create_plan(session, {"name": "Prata", "down_kbps": 2, "up_kbps": 1, "profile": "Gold"}, Actor("test"))
        session.get_one(ManagedDevice, nas.id).refused_host_key = "ssh-ed25519 AAAA"
    assert_wrong(settings, "managed boxes", "plan Prata, profile: NAS bng has no QoS profile Gold", "in other letters",
                 "NAS bng shows the SSH host key SHA256:")  # fmt: skip
