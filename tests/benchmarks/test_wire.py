from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from benchmarks.wire import Api, json_rpc, resp, websocket_frame, write_messages
from tests.process import NodeProcess


def parse(frame: bytes) -> tuple[Opcode, bytes]:
    """Read one frame as a server does, which refuses one that is not masked."""
    server = ServerProtocol(max_size=None)
    server.state = server.state.OPEN
    server.parser = server.parse()
    next(server.parser)
    server.receive_data(frame)
    (event,) = server.events_received()
    return event.opcode, bytes(event.data)  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_frame_of_any_size_is_read_by_a_server(size: int) -> None:
    payload = b"x" * size
    assert parse(websocket_frame(payload)) == (Opcode.TEXT, payload)


def test_a_request_is_json_rpc_with_named_params() -> None:
    assert json.loads(json_rpc(7, "get", {"id": 1})) == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "get",
        "params": {"id": 1},
    }


def test_a_redis_command_is_an_array_of_bulk_strings() -> None:
    assert resp("SET", "key", 17) == b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$2\r\n17\r\n"


def test_messages_stand_in_the_file_behind_their_lengths(tmp_path: Path) -> None:
    file = tmp_path / "messages"
    write_messages(file, [b"one", b"", b"three"])
    assert file.read_bytes() == b"".join(struct.pack("<I", len(m)) + m for m in (b"one", b"", b"three"))


def test_a_batch_answers_in_order_and_an_error_names_its_method(node: NodeProcess) -> None:
    with Api(node.url) as api:
        assert api.batch([("ping", {}), ("exists", {"id": 1})]) == ["PONG", True]
        with pytest.raises(RuntimeError, match=r"delete failed: .*not_found"):
            api.batch([("ping", {}), ("delete", {"id": 999_999})])
