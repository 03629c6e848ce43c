"""A node's own port takes its peers: the front door's hand-over and the link together, while clients are served."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.cluster.linked import LinkedNode, started
from tests.server.running import running, until


async def test_a_peer_and_a_crowd_of_clients_come_to_one_port(tmp_path: Path) -> None:
    first, second = LinkedNode(1, tmp_path / "1", addr="nowhere"), LinkedNode(2, tmp_path / "2", addr="nowhere")
    async with running(tmp_path / "node", listen=True, max_connections=20) as run:
        run.front.take_peer = first.link.accept
        clients = [await run.open() for _ in range(20)]
        with started(first, second):
            for turn in range(5):
                second.dial(f"127.0.0.1:{run.port}")
                await until(lambda: second.reaches(first))
                asked = [asyncio.ensure_future(append(second, b"%d" % number * 1000)) for number in range(200)]
                for client in clients:
                    client.send(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % turn)
                    assert (await client.answer())["id"] == turn
                answers = await asyncio.gather(*asked)
                assert answers == [b"append:" + b"%d" % number * 1000 for number in range(200)]
                assert len(run.front.connections) == 20
                links = len(second.host.hellos)
                first.link.identify(first.own)  # begins all connections anew
                await until(lambda: len(second.host.hellos) >= links + 4)  # noqa: B023


async def append(node: LinkedNode, body: bytes) -> bytes:
    """Send entries to node 1 until they get through: a link that begins anew may be up for a moment before it is."""
    answer: bytes | None = None
    while answer is None:
        answer = await asyncio.wrap_future(node.engine.ask(1, "append", body))
    return answer
