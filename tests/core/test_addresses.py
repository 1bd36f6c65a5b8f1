"""Addresses and prefixes: one canonical form, or refused by the field's name."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome

from core.addresses import check_ipv4_address, check_ipv4_network, check_ipv6_prefix, check_nas_address
from core.errors import InvalidInput


@given(st.ip_addresses(v=4))
def test_an_address_is_kept_unless_no_subscriber_may_have_it(address: IPv4Address) -> None:
    impossible = address.is_loopback or address.is_unspecified or int(address) >= 0xE0000000
    if impossible:
        with pytest.raises(InvalidInput):
            check_ipv4_address(str(address))
    else:
        assert check_ipv4_address(str(address)) == str(address)


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_a_prefix_is_canonical_or_has_host_bits(address: IPv6Address, length: int) -> None:
    network = IPv6Network((int(address), length), strict=False)
    assert check_ipv6_prefix(network.exploded) == str(network)
    if address != network.network_address:
        with pytest.raises(InvalidInput) as refused:
            check_ipv6_prefix(f"{address}/{length}", field="delegated_ipv6_prefix")
        assert refused.value.field == "delegated_ipv6_prefix"


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_route_is_a_network(address: IPv4Address, length: int) -> None:
    network = IPv4Network((int(address), length), strict=False)
    assert check_ipv4_network(str(network)) == str(network)
    if address != network.network_address:
        with pytest.raises(InvalidInput):
            check_ipv4_network(f"{address}/{length}")


@given(
    st.text(max_size=50),
    st.sampled_from([check_ipv4_address, check_ipv4_network, check_ipv6_prefix, check_nas_address]),
)
def test_any_text_is_one_of_its_kind_or_refused(text: str, check: Callable[[str], str]) -> None:
    found = outcome(check, text)
    if isinstance(found, InvalidInput):
        assert found.field
        return
    assert check(found) == found
    assert ip_network(found)


@pytest.mark.parametrize("address", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "bras.example", "1.2.3.4 ", "", "01.2.3.4"])
def test_a_nas_is_one_source_or_a_network_of_them(address: str) -> None:
    with pytest.raises(InvalidInput):
        check_nas_address(address)
