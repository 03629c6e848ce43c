from __future__ import annotations

import socket

from qcore.cluster.connections.accepting import Acceptor
from qcore.cluster.connections.connection import Connection


def make() -> Connection:
    raise AssertionError("nothing is made of a socket that is not taken any more")


async def test_a_socket_that_comes_right_before_the_end_is_closed() -> None:
    acceptor = Acceptor(make, lambda address: None, 1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as other:
        sock, _ = server.accept()
        acceptor.take(sock, b"GET /raft HTTP/1.1\r\n\r\n", b"")
        await acceptor.stop()
        assert sock.fileno() == -1
        assert other.recv(1) == b""
