"""What the tests' own harness takes care of."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tests.server.running import DEADLINE, stop_listening


class Seen(asyncio.Protocol):
    """Counts the connections that were made, and ends each."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Seen.count += 1
        transport.close()


async def test_a_socket_that_is_accepted_as_listening_stops_gets_its_connection() -> None:
    server = await asyncio.get_running_loop().create_server(Seen, "127.0.0.1", 0)
    with contextlib.closing(socket.create_connection(server.sockets[0].getsockname())) as client:
        while len(asyncio.all_tasks()) == 1:  # asyncio has not accepted it
            await asyncio.sleep(0)
        await stop_listening(server)
        client.setblocking(False)
        async with asyncio.timeout(DEADLINE):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
    assert Seen.count == 1
