"""Secrets at rest: only the right key, column and octets open them, and keys can follow one another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.keyring import NAS_SECRET, SERVICE_PASSWORD, Keyring, SealBroken, load_keyring

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@given(st.binary(max_size=200), st.sampled_from([NAS_SECRET, SERVICE_PASSWORD]))
def test_what_was_sealed_opens_after_a_new_key_came_and_new_values_use_it(secret: bytes, purpose: str) -> None:
    sealed = Keyring({1: OLD}).seal(secret, purpose)
    rotated = Keyring({1: OLD, 2: NEW})
    assert rotated.open(sealed, purpose) == secret
    assert rotated.seal(secret, purpose)[1] == 2
    with pytest.raises(SealBroken, match="key 1"):
        Keyring({2: NEW}).open(sealed, purpose)
    with pytest.raises(SealBroken):
        Keyring({1: NEW}).open(sealed, purpose)


@given(st.binary(min_size=8, max_size=40), st.data())
@settings(max_examples=200)
def test_one_bit_anywhere_breaks_the_seal(secret: bytes, data: st.DataObject) -> None:
    keyring = Keyring({1: OLD})
    sealed = bytearray(keyring.seal(secret, NAS_SECRET))
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(SealBroken) as broken:
        keyring.open(bytes(sealed), NAS_SECRET)
    assert secret.hex() not in broken.value.detail


def test_a_value_copied_to_another_column_does_not_open() -> None:
    keyring = Keyring({1: OLD})
    with pytest.raises(SealBroken):
        keyring.open(keyring.seal("s3nha", SERVICE_PASSWORD), NAS_SECRET)


@given(st.binary(max_size=64))
def test_any_octets_open_or_are_a_broken_seal(octets: bytes) -> None:
    with pytest.raises(SealBroken):
        Keyring({1: OLD}).open(octets, NAS_SECRET)


def test_two_seals_of_one_secret_differ() -> None:
    keyring = Keyring({1: OLD})
    assert len({keyring.seal("s3nha", SERVICE_PASSWORD) for _ in range(50)}) == 50


def test_the_key_file_is_made_once_private_and_read_with_several_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = load_keyring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = first.seal("s3nha", SERVICE_PASSWORD)
    path.write_text(path.read_text() + f"2:{NEW.hex()}\n")
    assert load_keyring(path).open_text(sealed, SERVICE_PASSWORD) == "s3nha"
    assert load_keyring(path).current_key_id == 2
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_keyring(path)


@pytest.mark.parametrize(
    "line", ["1:zz", "1:00", "nonsense", "1:" + "0" * 62, "", "300:" + "0" * 64, "0:" + "0" * 64 + "\n1:ab"]
)
def test_a_key_file_that_cannot_be_used_stops_the_start(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(line + "\n")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        load_keyring(path)
