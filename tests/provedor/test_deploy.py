"""What needs Docker to run, checked as far as it can be without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from provedor.cli.app import app
from provedor.node import ENFORCE_METRICS, ROLES
from provedor.radius import FEEDER_METRICS
from provedor.settings import Settings

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if one.get("image", "").startswith("provedor")}


def test_every_role_has_a_service_and_every_command_exists() -> None:
    started = set()
    for one in OURS.values():
        assert one["command"][0] == "up"
        assert CliRunner().invoke(app, ["up", "--help"]).exit_code == 0
        started |= set(one["command"][2].split(","))
    assert started == set(ROLES)


def test_every_variable_is_a_setting() -> None:
    known = {f"PROVEDOR_{name.upper()}" for name in Settings.model_fields}
    text = "".join((ROOT / name).read_text() for name in ("docker-compose.yml", "Dockerfile", "deploy/env.example"))
    text += (ROOT / "deploy/systemd/provedor.service").read_text()
    assert set(re.findall(r"PROVEDOR_[A-Z_]+", text)) <= known


def test_ports_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    assert OURS["api"]["ports"] == [f"127.0.0.1:8000:{fields['http_port'].default}"]
    udp = {int(port.split(":")[1].split("/")[0]) for port in OURS["radius"]["ports"]}
    assert udp == {fields["radius_auth_port"].default, fields["radius_acct_port"].default}
    metrics = fields["metrics_port"].default
    assert f":{metrics + FEEDER_METRICS}/" in str(OURS["radius"]["healthcheck"])
    assert f":{metrics + ENFORCE_METRICS}/" in str(OURS["worker"]["healthcheck"])


def test_what_depends_is_there_and_healthy_first() -> None:
    for one in OURS.values():
        for name, condition in one["depends_on"].items():
            assert "healthcheck" in COMPOSE["services"][name]
            assert condition == {"condition": "service_healthy"}
    volumes = {volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one.get("volumes", [])}
    assert volumes == set(COMPOSE["volumes"])


def test_the_dockerfile_copies_what_exists_and_runs_unprivileged() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
    assert "USER provedor" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)


@pytest.mark.parametrize(
    "path", sorted(str(p.relative_to(ROOT)) for p in (ROOT / "provedor" / "migrations").rglob("*.py"))
)
def test_the_image_holds_every_migration(path: str) -> None:
    assert (ROOT / path).parent.joinpath("__init__.py").exists()
