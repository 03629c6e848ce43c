from __future__ import annotations

import pytest

from qcore.cluster.discovery.interfaces import Interface, announced, here

FOUND = [
    Interface("lo", 1, "127.0.0.1"),
    Interface("lo", 1, "::1"),
    Interface("eth1", 3, "10.1.0.5"),
    Interface("eth0", 2, "192.168.0.5"),
    Interface("eth0", 2, "fe80::5"),
    Interface("eth0", 2, "fd00::5"),
]


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("0.0.0.0", ["192.168.0.5", "10.1.0.5"]),
        ("::", ["fd00::5", "fe80::5"]),
        ("10.1.0.5", ["10.1.0.5"]),
        ("fd00::5", ["fd00::5"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("127.0.0.2", ["127.0.0.1"]),
        ("::1", ["127.0.0.1"]),
        ("10.9.9.9", []),
        ("no-address", []),
    ],
)
def test_a_node_speaks_where_others_reach_it(host: str, hosts: list[str]) -> None:
    assert [each.host for each in announced(host, FOUND)] == hosts


def test_what_others_are_told_first_is_where_the_machine_reaches_networks_outside() -> None:
    bridge = Interface("docker0", 4, "172.17.0.1")
    found = [bridge, *FOUND[:-3], Interface("eth0", 2, "192.168.0.5", True)]
    assert announced("0.0.0.0", found)[0].host == "192.168.0.5"
    assert bridge in announced("0.0.0.0", found)


def test_without_a_network_a_wildcard_is_this_machine() -> None:
    assert announced("0.0.0.0", FOUND[:2]) == FOUND[:1]
    assert announced("::", FOUND[:2]) == FOUND[1:2]


def test_this_machine_has_its_loopback() -> None:
    assert "127.0.0.1" in {each.host for each in here()}
