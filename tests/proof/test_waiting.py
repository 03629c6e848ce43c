from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof.data import Data
from tests.proof.history import History
from tests.proof.nodes import Nodes
from tests.proof.waiting import LoadEnded, Waiting
from tests.proof.workload import Load


@pytest.fixture
def load() -> Load:
    return Load(History(), Data({}), itertools.count(1))


@pytest.fixture
def waiting(tmp_path: Path, load: Load) -> Iterator[Waiting]:
    nodes = Nodes(tmp_path, 0, tmp_path)
    with nodes.proxy:
        yield Waiting(nodes, load)


def test_operations_are_waited_for(waiting: Waiting, load: Load) -> None:
    waiting.for_operations(0, "at the begin")
    load.stopped.set()
    with pytest.raises(LoadEnded, match="1 operations acknowledged at the end"):
        waiting.for_operations(1, "at the end")


def test_nothing_is_waited_for_once_all_has_ended(waiting: Waiting) -> None:
    waiting.ended.set()
    begin = time.monotonic()
    waiting.last(3600)
    with pytest.raises(LoadEnded, match="before there was: pigs that fly"):
        waiting.until(lambda: False, "pigs that fly")
    assert time.monotonic() - begin < 3600
