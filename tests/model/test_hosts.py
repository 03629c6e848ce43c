from __future__ import annotations

import pytest

from qcore.model.hosts import host_address, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::1%lo", "::ffff:127.0.0.1"])
def test_addresses_of_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost", "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_all_else_is_not_and_neither_is_a_name(host: str) -> None:
    assert not is_loopback(host)


def test_a_name_has_no_address() -> None:
    assert host_address("node.local") is None
    assert str(host_address("::ffff:10.0.0.1")) == "10.0.0.1"
