"""Snapshots on their way: first the two ends alone, then between nodes with the wire cut under them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import msgspec
import pytest

from qcore.cluster import budgets
from qcore.cluster.file_thread import FileThread
from qcore.cluster.traffic.snapshot_transfer import Ask, Begin, Begun, Chunk, End, IncomingSnapshots, send_snapshot
from qcore.disk.files import Files
from qcore.disk.received_snapshot import checksum_of
from qcore.disk.snapshot_files import SnapshotFile, SnapshotFiles
from qcore.model.errors import BadParams, DiskFull, Timeout
from tests.cluster.linked import DEADLINE, linked_nodes, take_snapshot, until
from tests.cluster.relay import relayed

encode = msgspec.msgpack.encode


class Ends:
    """A receiver, and senders that speak to it directly."""

    def __init__(self, folder: Path) -> None:
        self.files = FileThread("files")
        self.sender = SnapshotFiles(Files(), str(folder / "sender"))
        self.receiver = SnapshotFiles(Files(), str(folder / "receiver"))
        self.reserve = 0
        self.incoming = IncomingSnapshots(self.receiver, self.files, lambda: self.reserve)
        self.found: list[SnapshotFile] = []
        self.kinds: list[str] = []

    def ask(self, kind: str, body: bytes, limit: float) -> Awaitable[bytes]:
        self.kinds.append(kind)
        return asyncio.ensure_future(self._carry(kind, body))

    async def _carry(self, kind: str, body: bytes) -> bytes:
        answer = await self.incoming.take(kind, body)
        if isinstance(answer, bytes):
            return answer
        self.found.append(answer[0])
        return b"installed " + answer[1]

    async def send(self, sent: SnapshotFile, ask: Ask | None = None) -> bytes:
        descriptor = os.open(sent.path, os.O_RDONLY)
        try:
            return await send_snapshot(ask or self.ask, self.files, descriptor, b"meta")
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """What lies in the receiver's folder."""
        return sorted(os.listdir(self.receiver.folder)) if os.path.exists(self.receiver.folder) else []


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    ends = Ends(tmp_path)
    yield ends
    assert ends.files.stop(DEADLINE)
    ends.incoming.abandon_all()
    assert not [name for name in ends.names() if name.endswith(".tmp")]


def content(found: SnapshotFile) -> bytes:
    return Path(found.path).read_bytes()


async def test_a_snapshot_arrives_as_it_was_with_what_is_said_of_it(ends: Ends) -> None:
    sent = take_snapshot(ends.sender, 7, 3_000_000)
    assert await ends.send(sent) == b"installed meta"
    (found,) = ends.found
    assert content(found) == content(sent)
    assert found.header == sent.header
    assert ends.names() == [os.path.basename(found.path)]
    assert ends.kinds[0] == "snapshot_begin"
    assert ends.kinds[-1] == "snapshot_end"
    assert ends.kinds.count("snapshot_chunk") == -(-sent.size // budgets.CHUNK_BYTES)


async def test_a_transfer_that_was_cut_goes_on_where_it_was(ends: Ends) -> None:
    sent = take_snapshot(ends.sender, 7, 20 * budgets.CHUNK_BYTES)

    def cut(kind: str, body: bytes, limit: float) -> Awaitable[bytes]:
        if ends.kinds.count("snapshot_chunk") == 12:
            raise Timeout("cut")
        return ends.ask(kind, body, limit)

    with pytest.raises(Timeout):
        await ends.send(sent, cut)
    assert ends.found == []
    ends.kinds.clear()
    await ends.send(sent)
    assert ends.kinds.count("snapshot_chunk") <= 9
    assert content(ends.found[0]) == content(sent)


async def test_only_so_many_pieces_are_on_their_way(ends: Ends) -> None:
    sent = take_snapshot(ends.sender, 7, 20 * budgets.CHUNK_BYTES)
    held: list[asyncio.Future[bytes]] = []

    def hold(kind: str, body: bytes, limit: float) -> Awaitable[bytes]:
        if kind != "snapshot_chunk":
            return ends.ask(kind, body, limit)
        held.append(asyncio.get_running_loop().create_future())
        return held[-1]

    sending = asyncio.ensure_future(ends.send(sent, hold))
    for confirmed in range(4):
        async with asyncio.timeout(DEADLINE):
            while len(held) < confirmed + budgets.CHUNKS_AHEAD:
                await asyncio.sleep(0)
        assert len(held) == confirmed + budgets.CHUNKS_AHEAD
        held[confirmed].set_result(b"")
    sending.cancel()


async def test_what_was_changed_on_the_way_is_dropped_and_comes_whole_the_next_time(ends: Ends) -> None:
    sent = take_snapshot(ends.sender, 7, 3 * budgets.CHUNK_BYTES)

    def change(kind: str, body: bytes, limit: float) -> Awaitable[bytes]:
        if kind == "snapshot_chunk":
            chunk = msgspec.msgpack.decode(body, type=Chunk)
            body = encode(Chunk(chunk.checksum, chunk.offset, b"x" * len(chunk.data)))
        return ends.ask(kind, body, limit)

    with pytest.raises(BadParams, match="with the sender's hash"):
        await ends.send(sent, change)
    assert ends.names() == []
    assert await ends.send(sent) == b"installed meta"


async def test_a_file_that_is_no_snapshot_is_refused(ends: Ends, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_bytes(b"junk\n" * 1000)
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(BadParams):
        await send_snapshot(ends.ask, ends.files, descriptor, b"")
    os.close(descriptor)
    assert ends.names() == []


async def test_a_full_disk_is_told_and_nothing_is_left_of_it(ends: Ends) -> None:
    sent = take_snapshot(ends.sender, 7, budgets.CHUNK_BYTES)
    ends.reserve = 1 << 62
    with pytest.raises(DiskFull, match="are the log's"):
        await ends.send(sent)
    assert ends.names() == []
    ends.reserve = 0
    assert await ends.send(sent) == b"installed meta"


async def test_few_snapshots_are_kept_in_part(ends: Ends) -> None:
    for number in range(10):
        checksum = f"{number:032x}"
        await ends.ask("snapshot_begin", encode(Begin(checksum, 1000)), 1.0)
        await ends.ask("snapshot_chunk", encode(Chunk(checksum, 0, b"x")), 1.0)
    assert len(ends.names()) == budgets.PARTIAL_SNAPSHOTS
    begun = await ends.ask("snapshot_begin", encode(Begin(f"{9:032x}", 1000)), 1.0)
    assert msgspec.msgpack.decode(begun, type=Begun).received == 1


BAD = [
    ("snapshot_begin", b"junk"),
    ("snapshot_begin", encode(Begin("../../etc/passwd", 10))),
    ("snapshot_begin", encode(Begin("0" * 31 + "\n", 10))),
    ("snapshot_begin", encode(Begin("0" * 32, -1))),
    ("snapshot_chunk", encode(Chunk("0" * 32, 0, b"x"))),
    ("snapshot_end", encode(End("0" * 32, b""))),
]


@pytest.mark.parametrize(("kind", "body"), BAD)
async def test_what_makes_no_sense_is_refused(ends: Ends, kind: str, body: bytes) -> None:
    with pytest.raises(BadParams):
        await ends.ask(kind, body, 1.0)
    assert ends.names() == []


async def test_a_piece_at_the_wrong_place_is_refused(ends: Ends) -> None:
    await ends.ask("snapshot_begin", encode(Begin("0" * 32, 10)), 1.0)
    with pytest.raises(BadParams, match="a piece at 5 came where one at 0 was due"):
        await ends.ask("snapshot_chunk", encode(Chunk("0" * 32, 5, b"x")), 1.0)


# -- between nodes --------------------------------------------------------------------------------------------


def test_a_snapshot_reaches_the_other_engine_as_a_durable_file(tmp_path: Path) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        sent = take_snapshot(first.snapshots, 7, 2_000_000)
        until(lambda: first.link.status and second.link.status)
        answer = None
        while answer is None:  # the channel for snapshots may not be there yet
            answer = first.engine.send_snapshot(2, b"meta", sent).result(DEADLINE)
        assert answer == b"installed meta"
        (found,) = second.engine.snapshots
        assert os.path.dirname(found.path) == str(second.folder)
        assert content(found) == content(sent)
        assert checksum(found) == checksum(sent)


def test_a_snapshot_that_the_engine_refuses_is_removed_and_others_stay(tmp_path: Path) -> None:
    """Under its name it would be the newest at the next start, which knows nothing of the refusal."""
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        until(lambda: first.link.status and second.link.status)
        kept, refused = take_snapshot(first.snapshots, 7, 100_000), take_snapshot(first.snapshots, 9, 100_000)
        until(lambda: first.engine.send_snapshot(2, b"meta", kept).result(DEADLINE))
        second.engine.refuses_snapshots = True
        assert first.engine.send_snapshot(2, b"meta", refused).result(DEADLINE) == b"refused meta"
        until(
            lambda: (
                [file.name for file in second.folder.iterdir()] == [os.path.basename(second.engine.files.found[0].path)]
            )
        )
        second.snapshots.scan()
        assert [found.header.last.index for found in second.snapshots.found] == [7]


def checksum(found: SnapshotFile) -> tuple[int, str]:
    descriptor = os.open(found.path, os.O_RDONLY)
    try:
        return checksum_of(descriptor)
    finally:
        os.close(descriptor)


def test_heartbeats_go_on_in_their_order_while_a_big_snapshot_is_sent(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        sent = take_snapshot(first.snapshots, 7, 64 << 20)
        relay.hold("snapshot")
        sending = first.engine.send_snapshot(2, b"meta", sent)
        heartbeats = [first.engine.ask(2, "heartbeat", b"%d" % number) for number in range(500)]
        assert [one.result(DEADLINE) for one in heartbeats] == [b"heartbeat:%d" % number for number in range(500)]
        assert not sending.done()
        relay.release()
        number = 500
        while not sending.done():
            assert first.engine.ask(2, "heartbeat", b"%d" % number).result(DEADLINE) == b"heartbeat:%d" % number
            number += 1
        assert sending.result() == b"installed meta"
        assert [int(body) for _, kind, body in second.engine.came if kind == "heartbeat"] == list(range(number))
        assert content(second.engine.snapshots[0]) == content(sent)


def test_a_snapshot_whose_wire_is_cut_fails_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        sent = take_snapshot(first.snapshots, 7, 32 << 20)
        relay.trickle(1 << 20, 0.005)
        begun = relay.carried
        sending = first.engine.send_snapshot(2, b"meta", sent)
        until(lambda: relay.carried - begun > 20 << 20)
        relay.cut("snapshot")
        assert sending.result(DEADLINE) is None
        relay.release()
        begun = relay.carried
        answer = None
        while answer is None:
            answer = first.engine.send_snapshot(2, b"meta", sent).result(DEADLINE)
        assert answer == b"installed meta"
        assert relay.carried - begun < 16 << 20
        assert content(second.engine.snapshots[0]) == content(sent)
        assert first.engine.links == [(second.own.node, True)]


def test_a_snapshot_that_is_cancelled_or_not_there_leaves_nothing_open(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        before = len(os.listdir("/proc/self/fd"))
        sent = take_snapshot(first.snapshots, 7, 8 << 20)
        relay.hold("snapshot")
        cancelled = first.engine.send_snapshot(2, b"meta", sent)
        first.engine.cancel(cancelled)
        gone = SnapshotFile(sent.path + ".gone", sent.header, sent.size)
        assert first.engine.send_snapshot(2, b"meta", gone).result(DEADLINE) is None
        assert first.engine.send_snapshot(3, b"meta", sent).result(DEADLINE) is None
        relay.release()
        assert first.engine.send_snapshot(2, b"meta", sent).result(DEADLINE) == b"installed meta"
        assert not cancelled.done()
        until(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)
        assert len(second.engine.snapshots) == 1


def test_a_file_that_is_removed_while_it_is_sent_arrives_all_the_same(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        sent = take_snapshot(first.snapshots, 7, 8 << 20)
        data = content(sent)
        relay.hold("snapshot")
        sending = first.engine.send_snapshot(2, b"meta", sent)
        assert first.engine.ask(2, "heartbeat", b"").result(DEADLINE) is not None  # it was asked before
        os.unlink(sent.path)
        relay.release()
        assert sending.result(DEADLINE) == b"installed meta"
        assert content(second.engine.snapshots[0]) == data


def test_a_stop_while_a_snapshot_is_sent_fails_it(tmp_path: Path) -> None:
    with relayed(tmp_path) as (first, second, relay):
        sent = take_snapshot(first.snapshots, 7, 32 << 20)
        relay.trickle(1 << 20, 0.005)
        sending = first.engine.send_snapshot(2, b"meta", sent)
        until(lambda: any(name.startswith("received_") for name in os.listdir(second.folder)))
        assert first.link.stop(DEADLINE)
        assert second.link.stop(DEADLINE)
        assert sending.result(0) is None
        assert os.listdir(second.folder) == []


def test_a_snapshot_that_is_offered_beside_raft_reaches_the_node_and_goes_if_it_is_not_taken_over(
    tmp_path: Path,
) -> None:
    with linked_nodes(tmp_path, 1, 2) as (first, second):
        sent = take_snapshot(first.snapshots, 7, 2_000_000)
        until(lambda: first.link.status and second.link.status)

        def arrived() -> bool:  # the channel for snapshots may not be there yet
            first.link.offer_snapshot(second.own.node, sent)
            return bool(second.host.snapshots)

        until(arrived)
        assert second.host.snapshots[0].header == sent.header
        assert second.engine.snapshots == []
        until(lambda: list(second.folder.iterdir()) == [])
