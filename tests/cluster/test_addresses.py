from __future__ import annotations

from qcore.cluster.addresses import Addresses


def test_an_address_is_known_as_long_as_a_source_names_it() -> None:
    addresses = Addresses(10)
    addresses.name("peers", ["a:1", "b:1"])
    addresses.name("mdns", ["b:1", "c:1"])
    assert addresses.all() == ["a:1", "b:1", "c:1"]
    addresses.name("peers", ["a:1"])
    assert set(addresses.all()) == {"a:1", "b:1", "c:1"}
    addresses.name("mdns", [])
    assert addresses.all() == ["a:1"]


def test_addresses_are_bounded() -> None:
    addresses = Addresses(3)
    addresses.name("mdns", [f"a:{port}" for port in range(100)])
    assert addresses.all() == ["a:0", "a:1", "a:2"]
