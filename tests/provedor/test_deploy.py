"""What needs Docker to run, checked as far as it can be without."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
from datetime import UTC
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from fastapi.testclient import TestClient

from api.app import create_app
from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from provedor.migrate import head_revision
from provedor.node import DEFAULT_METRICS, ENFORCE_METRICS, NAT_LOG_METRICS, RELAY_METRICS, ROLES
from provedor.radius import FEEDER_METRICS, SHIPPER_METRICS
from provedor.settings import OTHER_VARIABLES, Settings, load_settings

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
#: What is laid over it where banks are to reach us.
BANK_PORT: dict[str, Any] = yaml.safe_load((ROOT / "deploy/bank-port.yml").read_text())
ENV_EXAMPLE = (ROOT / "deploy/env.example").read_text()
OURS = {name: one for name, one in COMPOSE["services"].items() if one.get("image", "").startswith("provedor")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]

#: Of the Compose specification, what this file uses: a key that is mistyped is refused, as Compose refuses it.
SERVICE_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": {"type": "string"},
        "build": {"type": "string"},
        "hostname": {"type": "string"},
        "command": {"type": "array", "items": {"type": "string"}},
        "env_file": {"type": "string"},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^([\d.]+:)?\d+:\d+(/udp)?$"}},
        "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^([a-z]+|\./[a-z/]+):/[a-z/]+(:ro)?$"}},
        "restart": {"enum": ["unless-stopped"]},
        "stop_grace_period": {"type": "string", "pattern": r"^\d+s$"},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object", "additionalProperties": False,
                "properties": {"condition": {"enum": ["service_healthy", "service_started"]}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "test": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "interval": {"type": "string"}, "timeout": {"type": "string"}, "start_period": {"type": "string"},
                "retries": {"type": "integer"}, "disable": {"const": True},
            },
        },
    },
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "required": ["services", "volumes"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "services": {"type": "object", "additionalProperties": SERVICE_SCHEMA},
        "volumes": {"type": "object", "additionalProperties": {"type": "object", "maxProperties": 0}},
    },
}


def given_by_example(*, commented: bool = False) -> dict[str, str]:
    """What env.example sets, or what it would where the comment is taken off."""
    found = re.findall(rf"^{'# ' if commented else ''}([A-Z_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE)
    return dict(found)


def test_the_compose_file_is_one() -> None:
    jsonschema.validate(COMPOSE, SCHEMA)
    assert set(COMPOSE["services"]) == {"postgres", "valkey", *ROLES}


def test_every_role_has_a_service_whose_command_parses() -> None:
    started = []
    for one in OURS.values():
        word, option, roles = one["command"]
        assert (word, option) == ("up", "--only")
        started += roles.split(",")
    assert sorted(started) == sorted(ROLES)


def test_every_variable_is_a_setting_and_its_value_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"PROVEDOR_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    names = ("docker-compose.yml", "Dockerfile", "deploy/bank-port.yml", "deploy/env.example",
             "deploy/systemd/provedor.service")  # fmt: skip
    text = "".join((ROOT / name).read_text() for name in names)
    assert set(re.findall(r"PROVEDOR_[A-Z_]+", text)) <= known
    given = given_by_example()
    for name, value in {**given, **OURS["natlog"]["environment"]}.items():
        monkeypatch.setenv(name, value)
    found = load_settings()
    assert found.database_url == given["PROVEDOR_DATABASE_URL"]
    assert found.broker_url == "redis://valkey:6379/0"
    assert found.http_host == "0.0.0.0"
    assert OURS["natlog"]["ports"] == [f"{found.nat_log_port}:{found.nat_log_port}{what}" for what in ("", "/udp")]


def test_the_database_is_that_of_its_container() -> None:
    """User, password, host and database of the URL are what the postgres service makes."""
    given = given_by_example()
    made = COMPOSE["services"]["postgres"]["environment"]
    url = f"postgresql://{made['POSTGRES_USER']}:{given['POSTGRES_PASSWORD']}@postgres:5432/{made['POSTGRES_DB']}"
    assert given["PROVEDOR_DATABASE_URL"] == url


def test_ports_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    assert OURS["api"]["ports"] == [f"127.0.0.1:8000:{fields['http_port'].default}"]
    udp = {int(port.split(":")[1].split("/")[0]) for port in OURS["radius"]["ports"]}
    assert udp == {fields["radius_auth_port"].default, fields["radius_acct_port"].default}
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    assert exposed[1].split() == [
        f"{fields['http_port'].default}/tcp", *(f"{port}/udp" for port in sorted(udp))
    ]  # fmt: skip


def checked_urls(check: list[str]) -> list[str]:
    """The URLs that a health check of ours asks; its program must compile."""
    assert check[:3] == ["CMD", "python", "-c"]
    ast.parse(check[3])
    return re.findall(r"http://127\.0\.0\.1:(\d+/\w+)", check[3])


def test_health_checks_ask_what_the_role_serves(database: Database, keyring: Keyring) -> None:
    base = Settings.model_fields["metrics_port"].default
    served = {
        "radius": {f"{base + offset}/metrics" for offset in (FEEDER_METRICS, *SHIPPER_METRICS)},
        "worker": {f"{base + offset}/metrics" for offset in (RELAY_METRICS, ENFORCE_METRICS, DEFAULT_METRICS)},
        "natlog": {f"{base + NAT_LOG_METRICS}/metrics"},
    }
    for role, urls in served.items():
        asked = checked_urls(OURS[role]["healthcheck"]["test"])
        assert asked
        assert set(asked) <= urls
    image = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert image is not None
    assert "healthcheck" in OURS["beat"], "beat serves nothing: the image's check would always fail"
    (asked_url,) = checked_urls(["CMD", *json.loads(image[1])])
    port, path = asked_url.split("/")
    app = create_app(database, keyring, clock=utc_now, zone=UTC, schema_head=head_revision())
    assert int(port) == Settings.model_fields["http_port"].default
    assert TestClient(app).get(f"/{path}").status_code == 200


def test_the_banks_port_is_published_with_its_certificate_and_key_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_over = {"services": {"api": {**OURS["api"], **BANK_PORT["services"]["api"]}}, "volumes": COMPOSE["volumes"]}
    jsonschema.validate(laid_over, SCHEMA)
    assert set(BANK_PORT["services"]) == {"api"}
    api = BANK_PORT["services"]["api"]
    for name, value in {**given_by_example(), **OURS["api"]["environment"], **api["environment"]}.items():
        monkeypatch.setenv(name, value)
    found = load_settings()
    assert api["ports"] == [f"{found.bank_port}:{found.bank_port}"]
    ((directory, inside, mode),) = [volume.split(":") for volume in api["volumes"]]
    assert mode == "ro"
    assert directory.startswith("./"), "of the project's directory, which is that of the first file"
    for file in (found.bank_certificate, found.bank_key):
        assert file is not None
        assert file.parent == Path(inside)
    assert f"/{directory.removeprefix('./')}/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_example_says_how_the_banks_port_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    said = given_by_example(commented=True)
    assert set(said) == {"PROVEDOR_BANK_PORT", "PROVEDOR_BANK_CERTIFICATE", "PROVEDOR_BANK_KEY"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert load_settings().bank_port >= 1024, "the service has no capability to listen below"


def test_the_node_that_spools_keeps_its_name_when_its_container_is_made_anew() -> None:
    assert OURS["radius"]["hostname"] == "radius"


def test_what_depends_is_there_and_healthy_first() -> None:
    for one in OURS.values():
        for name, condition in one["depends_on"].items():
            assert "test" in COMPOSE["services"][name]["healthcheck"]
            assert condition == {"condition": "service_healthy"}
    volumes = {volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one.get("volumes", [])}
    assert volumes == set(COMPOSE["volumes"])


def test_data_and_keys_outlive_a_container_and_every_role_has_the_same_keys() -> None:
    for name, one in OURS.items():
        assert one["volumes"] == [f"{name}:/data", "keys:/keys"]
        assert one["environment"]["PROVEDOR_SECRET_KEY_FILE"].startswith("/keys/")
        assert one["environment"]["PROVEDOR_DATA"] == "/data"


def test_a_container_has_longer_to_stop_than_a_node_takes() -> None:
    """A node drains within 10 s; Docker kills after 10 s unless it is told otherwise."""
    for one in OURS.values():
        assert int(one["stop_grace_period"].removesuffix("s")) > 10


def test_the_image_is_built_in_one_stage_and_runs_from_another_without_privileges() -> None:
    build, final = STAGES
    assert build.startswith("FROM python:3.11-slim-bookworm AS build\n")
    assert final.startswith("FROM python:3.11-slim-bookworm\n")
    assert "COPY --from=build /venv /venv" in final
    assert "pip" not in final
    assert "--require-hashes" in build
    user = re.search(r"^USER (\w+)$", final, re.MULTILINE)
    assert user is not None
    assert user[1] == "provedor"
    assert re.search(r"useradd .*--uid \d+ .*provedor", final)
    assert final.index("USER provedor") < final.index("ENTRYPOINT")
    for directory in ("/data", "/keys"):
        assert directory in json.loads(re.search(r"^VOLUME (\[.*\])$", final, re.MULTILINE)[1])  # type: ignore[index]


def test_the_image_holds_what_the_package_needs() -> None:
    copied = [source for line in STAGES[0].splitlines() if line.startswith("COPY") for source in line.split()[1:-1]]
    for source in copied:
        assert (ROOT / source).exists(), source
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests", "scripts"}
    assert packages <= set(copied)


def test_the_service_unit_starts_what_exists() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy/systemd/provedor.service")
    service = dict(unit["Service"])
    program, word = shlex.split(service["ExecStart"])
    assert (Path(program).name, word) == ("provedor", "up")
    assert service["User"] == "provedor"
    assert int(service["TimeoutStopSec"]) > 10
    assert "CAP_" not in service.get("AmbientCapabilities", "")


@pytest.mark.parametrize(
    "path", sorted(str(p.relative_to(ROOT)) for p in (ROOT / "provedor" / "migrations").rglob("*.py"))
)
def test_the_image_holds_every_migration(path: str) -> None:
    assert (ROOT / path).parent.joinpath("__init__.py").exists()
