from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from qcore.cluster.discovery.records import Announcement, Sighting, fingerprint, read

SAID = Announcement(id=3, port=8080, version="1.2.3", cluster="ab" * 16, state="member", secrets=("12345678",))
NAME = "qcore-node-3._qcore._tcp.local."


def properties(said: Announcement) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in said.properties().items()}


def test_a_node_says_who_and_where_it_is() -> None:
    assert SAID.instance == "qcore-node-3"
    assert SAID.properties() == {
        "node_id": "3",
        "version": "1.2.3",
        "cluster": "ab" * 16,
        "state": "member",
        "secret": "12345678",
    }


def test_a_blank_node_without_a_secret_says_neither_cluster_nor_secret() -> None:
    said = msgspec.structs.replace(SAID, cluster="", state="blank", secrets=())
    assert said.properties() == {"node_id": "3", "version": "1.2.3", "state": "blank"}


def test_what_is_said_is_read_with_addresses_of_both_families() -> None:
    found = read(NAME, ["fe80::1%eth0", "10.0.0.1"], 8080, properties(SAID))
    addresses = ("10.0.0.1:8080", "[fe80::1%eth0]:8080")
    assert found == Sighting(NAME, 3, addresses, "ab" * 16, ("12345678",))


@pytest.mark.parametrize(
    ("port", "said"),
    [
        (8080, {}),
        (8080, {b"node_id": None}),
        (8080, {b"node_id": b"0"}),
        (8080, {b"node_id": b"-1"}),
        (8080, {b"node_id": "²".encode()}),
        (8080, {b"node_id": b"9" * 5000}),
        (8080, {b"node_id": b"\xff"}),
        (None, {b"node_id": b"1"}),
        (0, {b"node_id": b"1"}),
    ],
)
def test_what_is_no_node_is_left_out(port: int | None, said: Mapping[bytes, bytes | None]) -> None:
    assert read(NAME, ["10.0.0.1"], port, said) is None


@pytest.mark.parametrize(
    ("theirs", "own", "may"),
    [((), (), True), (("a",), ("a",), True), (("b",), ("a", "b"), True), (("b",), ("a",), False), (("b",), (), False)],
)
def test_only_nodes_that_may_know_a_common_secret_can_be_of_one_cluster(
    theirs: tuple[str, ...], own: tuple[str, ...], may: bool
) -> None:
    assert Sighting(NAME, 1, (), "", theirs).may_share(own) is may


def test_a_fingerprint_is_the_same_for_a_secret_and_shorter_than_it() -> None:
    assert fingerprint(b"secret") == fingerprint(b"secret") != fingerprint(b"other")
    assert len(fingerprint(b"secret")) == 8
