from __future__ import annotations

import pytest

from qcore.cluster.connections.addresses import Addresses, split_address


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
    addresses.name("mdns", [f"a:{port}" for port in range(1, 101)])
    assert addresses.all() == ["a:1", "a:2", "a:3"]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("node-1.example.org:65535", ("node-1.example.org", 65_535)),
        *[
            (bad, None)
            for bad in ("", "a", ":1", "a:", "a:0", "a:65536", "a:x", "a b:1", "a:1\n", "::1:80", "ä:1", "a:١")
        ],
    ],
)
def test_what_is_no_address_is_left_out(address: str, found: tuple[str, int] | None) -> None:
    assert split_address(address) == found
    addresses = Addresses(10)
    addresses.name("mdns", [address, "b:1"])
    assert addresses.all() == ([] if found is None else [address]) + ["b:1"]
