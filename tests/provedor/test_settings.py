"""Settings: a bad value is one sentence that names it, a secret is never shown, and what is accepted is honoured."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from provedor.settings import PREFIX, Settings, load_settings, unknown_variables

ROOT = Path(__file__).parent.parent.parent
DOCUMENTED = {
    "data", "database_url", "broker_url", "secret_key_file", "http_host", "http_port", "radius_host",
    "radius_auth_port", "radius_acct_port", "radius_workers", "coa_port", "coa_source", "timezone", "language",
    "public_url",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HTTP_PORT", "abc", "integer"),
        ("HTTP_PORT", "70000", "65535"),
        ("RADIUS_HOST", "0.0.0.0,here", "takes IP addresses"),
        ("COA_SOURCE", "here", "takes IP addresses"),
        ("TIMEZONE", "Mars/Base", "America/Sao_Paulo"),
        ("LANGUAGE", "fr", "'pt_BR' or 'en'"),
        ("PUBLIC_URL", "provedor.example", "http://"),
        ("DATABASE_URL", "mysql://root:topsecret@h/d", "postgresql://"),
        ("DATABASE_URL", "topsecret", "postgresql://"),
        ("BROKER_URL", "kafka://root:topsecret@h", "redis://"),
        ("WINDOW_LAST_HOUR", "2", "later than PROVEDOR_WINDOW_FIRST_HOUR 3"),
        ("RADIUS_ACCT_PORT", "1812", "differ from PROVEDOR_RADIUS_AUTH_PORT"),
    ],
)
def test_a_bad_value_is_named_with_what_it_takes(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert refused.value.detail.startswith(f"PROVEDOR_{name}: ")
    assert said in refused.value.detail
    assert "\n" not in refused.value.detail
    assert "topsecret" not in refused.value.detail


@pytest.mark.parametrize(
    ("content", "said"),
    [("http_prot = 1", "PROVEDOR_HTTP_PROT: there is no such setting"), ("http_port =", "provedor.toml is no TOML")],
)
def test_a_bad_file_is_named(content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "provedor.toml").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        load_settings()


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "provedor.toml").write_text('http_port = 8001\nlanguage = "en"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVEDOR_HTTP_PORT", "8002")
    found = load_settings()
    assert (found.http_port, found.language) == (8002, "en")


def test_a_variable_that_is_no_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVEDOR_HTTP_PROT", "1")
    monkeypatch.setenv("PROVEDOR_POSTGRES_ACCOUNT", "nobody")
    assert unknown_variables() == ["PROVEDOR_HTTP_PROT"]


def test_secrets_do_not_show_in_a_representation() -> None:
    assert "topsecret" not in repr(
        load_settings(database_url="postgresql://u:topsecret@h/d", broker_url="redis://:topsecret@h")
    )


def test_every_documented_setting_exists_and_says_what_it_is() -> None:
    assert set(Settings.model_fields) >= DOCUMENTED
    assert all(field.description for field in Settings.model_fields.values())


def test_every_setting_is_read_somewhere() -> None:
    """One that is accepted and ignored is a lie. Properties of Settings count for what they read."""
    read = {
        node.attr
        for path in (ROOT / "provedor").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        and not (path.name == "settings.py" and _in_validator(node))
    }  # fmt: skip
    assert set(Settings.model_fields) - read == set()


def _in_validator(node: ast.Attribute) -> bool:
    """Validators name fields without using them: they speak of `self.window_…` and `self.radius_…` only to compare."""
    return node.attr.startswith("window_") or node.attr in {"radius_auth_port", "radius_acct_port"}
