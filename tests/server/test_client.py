"""A connected client: known by itself, gone with its connection."""

from __future__ import annotations

from qcore.server.client import Client
from qcore.server.outbox import Outbox


def test_two_connections_of_one_program_are_two_clients() -> None:
    one, other = (Client("cli", "127.0.0.1:7", Outbox(lambda: None)) for _ in range(2))
    assert len({one, other}) == 2


def test_a_client_that_is_gone_is_sent_nothing_more() -> None:
    client = Client("cli", "127.0.0.1:7", Outbox(lambda: None))
    client.outbox.append(1, b"event")
    assert not client.closed
    client.close()
    client.outbox.append(1, b"event")
    assert (client.closed, client.outbox.size, client.outbox.take(99)) == (True, 0, [])
