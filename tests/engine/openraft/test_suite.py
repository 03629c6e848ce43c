"""OpenRaft's own tests of a store, each on the real border, the real log's thread and a real directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import qcore_openraft
from qcore_openraft import IS_TORTURE_BUILD

from qcore.disk.directory import Directory
from qcore.disk.snapshot_files import SnapshotFile
from qcore.engine.openraft.engine import OpenRaftEngine
from qcore.engine.openraft.entries import log_id_parts
from qcore.engine.openraft.main_items import MainItems
from qcore.model.entry import Entry, LogId
from tests.engine.openraft.cluster import FAST
from tests.engine.openraft.test_engine import LoneHost

LEFT_OUT = {"get_initial_state_log_ids"}
"""It looks for the leaders of the log, which are passed to a start here. `transfer_snapshot` wants two stores."""

BEGINS_AT = {
    "last_membership_in_log": 1,
    "last_membership_in_log_multi_step": 1,
    "get_membership_from_log_and_empty_sm": 1,
    "get_membership_from_log_le_sm_last_applied": 1,
    "get_membership_from_log_gt_sm_last_applied_1": 1,
    "get_membership_from_log_gt_sm_last_applied_2": 1,
    "get_initial_state_membership_from_sm_inlog_is_smaller": 1,
    "get_initial_state_membership_from_log_insm_is_smaller": 1,
    "get_initial_state_last_log_lt_sm": 2,
    "get_initial_state_inverted_log_order": 2,
    "get_initial_state_conflict_at_same_index": 2,
    "get_initial_state_re_apply_committed": 2,
}
"""Tests whose logs begin above index 0, which no log of this disk does but above a purge mark."""


class AnyHost(LoneHost):
    """Takes entries in any order: the tests apply what they like."""

    def build(self, done: Callable[[SnapshotFile | None], None]) -> None:
        pass

    def _apply(self, entry: Entry) -> None:
        self.entries.append(entry)


@pytest.mark.skipif(not IS_TORTURE_BUILD, reason="only a torture build has OpenRaft's tests")
@pytest.mark.parametrize("cache", [0, 64 << 20], ids=["from the disk", "from memory"])
@pytest.mark.parametrize("name", [name for name in getattr(qcore_openraft, "SUITE", ()) if name not in LEFT_OUT])
async def test_the_store_is_one_that_openraft_can_use(tmp_path: Path, name: str, cache: int) -> None:
    directory = Directory.open(tmp_path, 1, machine="testbed")
    engine = OpenRaftEngine(directory, "n1", 3600.0, lambda _seconds: None, timing=FAST, cache_bytes=cache)
    host = AnyHost()
    host.engine = engine
    loop = engine._loop = asyncio.get_running_loop()
    engine._host = host
    engine._items = MainItems(
        engine, engine._border, host, directory.log, engine._reader, engine._snapshots, engine._read_body
    )
    engine._writer.start(host.failures.append)
    loop.add_reader(engine._border.main_fd(), engine._deliver)
    begins_at = BEGINS_AT.get(name, 0)
    purged = LogId(0, 0, begins_at - 1) if begins_at else None
    if purged is not None:
        engine._writer.purge(purged)
    try:
        async with asyncio.timeout(20):
            failure = await asyncio.to_thread(
                engine._border.run_suite, name, None if purged is None else log_id_parts(purged)
            )
        assert failure is None
    finally:
        engine.abandon()
        directory.close()
    assert not host.failures
