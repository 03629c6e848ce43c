"""Whoever comes to the link and is no node: nothing of it lasts, and it is told why."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from qcore.cluster import budgets
from tests.cluster.linked import DEADLINE, LinkedNode, linked_nodes, raw_request, started, until


@contextlib.contextmanager
def stranger(node: LinkedNode, request: bytes) -> Iterator[socket.socket]:
    """A socket on which a request was made."""
    host, _, port = node.address.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE) as sock:
        sock.sendall(request)
        yield sock


def everything(sock: socket.socket) -> bytes:
    """What comes until the end."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(1 << 16):
            found += data
    return found


def goodbye(found: bytes) -> tuple[int, str]:
    """Code and reason of the close frame behind the 101."""
    head, _, frames = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    place = 0
    while frames[place] & 0x0F != 8:
        length = frames[place + 1] & 0x7F
        extra = 2 if length == 126 else 8 if length == 127 else 0
        if extra:
            length = int.from_bytes(frames[place + 2 : place + 2 + extra], "big")
        place += 2 + extra + length
    data = frames[place + 2 : place + 2 + (frames[place + 1] & 0x7F)]
    return int.from_bytes(data[:2], "big"), data[2:].decode()


def masked(data: bytes, opcode: Opcode = Opcode.BINARY, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LinkedNode]:
    with linked_nodes(tmp_path, 1, linked=False) as (node,):
        yield node


def test_who_speaks_no_protocol_of_the_link_is_told_which_there_are(node: LinkedNode) -> None:
    with stranger(node, raw_request("qcore-link-99")) as sock:
        found = everything(sock)
    assert found.startswith(b"HTTP/1.1 400 ")
    assert found.endswith(b"no_common_version: this node speaks qcore-link-1, the other one qcore-link-99\n")
    with stranger(node, raw_request()) as sock:
        assert b"no_common_version" in everything(sock)


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (masked(b"junk"), 1008, "unreadable: "),
        (masked(b"\x80"), 1008, "unreadable: "),
        (masked(b"text", Opcode.TEXT), 1003, "a frame of the link is one whole binary message"),
        (masked(b"part", fin=False), 1003, "a frame of the link is one whole binary message"),
        (b"\xff" * 100, 1002, ""),
        (Frame(Opcode.BINARY, b"not masked").serialize(mask=False), 1002, ""),
        (masked(bytes(budgets.HANDSHAKE_BYTES)), 1009, "more than 32768 bytes before any proof"),
        (masked(bytes(40 << 20))[:100], 1009, ""),
        (masked(b"", Opcode.PING) * 10_000, 1009, "more than 32768 bytes before any proof"),
    ],
)
def test_garbage_is_closed_by_name(node: LinkedNode, sent: bytes, code: int, reason: str) -> None:
    with stranger(node, raw_request("qcore-link-1") + sent) as sock:
        found_code, found_reason = goodbye(everything(sock))
    assert (found_code, found_reason[: len(reason)]) == (code, reason)
    until(lambda: not node.link._hub or not node.link._hub._connections)


def test_who_says_nothing_is_dropped_after_a_while(node: LinkedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "HANDSHAKE_SECONDS", 0.05)
    with stranger(node, raw_request("qcore-link-1")) as sock:
        assert goodbye(everything(sock)) == (1008, "late: the handshake took more than 0.05 s")


def test_strangers_are_few_and_the_oldest_goes_first(node: LinkedNode) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(stranger(node, raw_request("qcore-link-1")))
        others = [stack.enter_context(stranger(node, raw_request("qcore-link-1"))) for _ in range(budgets.STRANGERS)]
        code, reason = goodbye(everything(first))
        assert (code, reason) == (1008, f"crowded: {budgets.STRANGERS} others are in the handshake already")
        assert others[-1].recv(1 << 16).startswith(b"HTTP/1.1 101 ")


def test_a_flood_of_strangers_leaves_linked_nodes_linked_and_takes_no_memory(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        hub = first.link._hub
        assert hub is not None
        garbage = raw_request("qcore-link-1") + masked(bytes(budgets.HANDSHAKE_BYTES // 2))[:-1]
        before = resident()
        for _ in range(5):
            with contextlib.ExitStack() as stack:
                for _ in range(200):
                    stack.enter_context(stranger(first, garbage))
                until(lambda: hub.acceptor.strangers <= budgets.STRANGERS)
                assert second.engine.ask(1, "heartbeat", b"on").result(DEADLINE) == b"heartbeat:on"
        until(lambda: hub.acceptor.strangers == 0 and len(hub._connections) == 8)
        assert resident() - before < 50 << 20
        assert first.engine.links == [(second.own.node, True)]
        told = first.host.said("link_stranger") + first.host.said("link_refused")
        assert len(told) < 20


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_socket_that_is_gone_before_it_is_taken_over_harms_nothing(node: LinkedNode) -> None:
    for _ in range(50):
        ours, theirs = socket.socketpair()
        theirs.close()
        node.link.accept(ours, raw_request("qcore-link-1"), b"")
        with stranger(node, raw_request("qcore-link-1")):
            pass
    hub = node.link._hub
    until(lambda: hub is not None and not hub._connections)


def test_a_node_is_found_behind_many_silent_addresses(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1"), LinkedNode(2, tmp_path / "2")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(20)]
        stack.enter_context(started(first, second))
        names = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in silent]
        first.dial(*names, second.address)
        until(lambda: first.reaches(second))


def test_whoever_answers_without_being_a_node_is_told_apart(tmp_path: Path) -> None:
    first = LinkedNode(1, tmp_path / "1")
    with socket.create_server(("127.0.0.1", 0)) as server, started(first):
        first.dial(f"127.0.0.1:{server.getsockname()[1]}")
        sock, _ = server.accept()
        with sock:
            sock.recv(1 << 16)
            sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nno way")
            until(lambda: first.host.said("dial_failed"))
        assert first.host.said("dial_failed")[0].message.endswith(": HTTP 404: no way")


def test_a_node_without_a_link_is_told_apart(tmp_path: Path) -> None:
    first = LinkedNode(1, tmp_path / "1")
    with socket.create_server(("127.0.0.1", 0)) as server, started(first):
        first.dial(f"127.0.0.1:{server.getsockname()[1]}")
        sock, _ = server.accept()
        with sock:
            sock.recv(1 << 16)
            body = b"no_link: this node is not set up for a cluster\n"
            sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            until(lambda: first.host.refusals)
        ((refusal, proved),) = first.host.refusals
        assert (refusal.reason, refusal.message, proved) == ("no_link", "this node is not set up for a cluster", False)
