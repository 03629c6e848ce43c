from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from qcore.client.blocking import connect
from tests.process import DEADLINE
from tests.proof.nodes import Nodes, cluster_flags, until
from tests.proof.proxy import CLIENTS
from tests.proof.sockets import holds_socket, socket_inode


def test_a_socket_is_found_by_its_address_and_so_is_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        inode = socket_inode(*client.getsockname())
        assert inode == os.fstat(client.fileno()).st_ino
        assert holds_socket(os.getpid(), inode)
        assert not holds_socket(1, inode) or os.getpid() == 1
        address = client.getsockname()
    assert socket_inode(*address) is None
    assert not holds_socket(2**30, inode)


def test_a_condition_that_never_comes_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0.01 s: pigs fly"):
        until(lambda: False, lambda: "pigs fly", 0.01)


def test_nodes_of_a_cluster_are_told_of_each_other_by_the_addresses_of_the_proxy() -> None:
    addresses = {1: "127.0.0.1:11", 2: "127.0.0.1:12", 3: "127.0.0.1:13"}
    expected = ["--engine", "auto", "--peers", "127.0.0.1:11", "--peers", "127.0.0.1:13", "--advertise", "127.0.0.1:12"]
    assert cluster_flags(2, addresses) == expected
    assert cluster_flags(1, {1: "127.0.0.1:11"}) == []


def test_a_lone_node_is_reached_through_the_proxy_and_ended(tmp_path: Path, fault_library: Path) -> None:
    with Nodes(tmp_path, 1, fault_library) as nodes:
        assert nodes.leader() == 1
        assert nodes.settled_digest() == nodes.digests()[1]
        with connect(nodes.urls[1], timeout=DEADLINE) as store:
            before = store.create("Object", "one").revision
            assert nodes.settled_digest()[0] == before
            assert nodes.proxy.passed(CLIENTS, 1) > 0
            assert nodes.proxy.reset(CLIENTS, 1) == 1
            nodes.processes[1].kill()
            nodes.start(1)
            assert store.exists("/one")
        assert "listening" in nodes.logs()
        pid = nodes.processes[1].pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
