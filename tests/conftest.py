"""Fixtures for all tests: real nodes as processes, none of which outlives its test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.faults import WITHOUT_COMPILER, Faults, compile_library
from tests.process import SCHEMA_FILE, NodeProcess, adopt_orphans, children
from tests.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

NodeFactory = Callable[..., NodeProcess]

# A slow machine is no failure: no test of ours is timed.
hypothesis.settings.register_profile("qcore", deadline=None)
hypothesis.settings.load_profile("qcore")


@pytest.fixture(scope="session", autouse=True)
def no_process_survives() -> Iterator[None]:
    """End whatever the tests left running, and fail the run if there was anything."""
    adopt_orphans()
    yield
    left = children()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not left, f"processes that outlived their tests: {left}"


@pytest.fixture
def node_factory(tmp_path: Path) -> Iterator[NodeFactory]:
    """Make nodes: `node_factory(*flags, name=..., node=..., command=..., env=...)`, not started.

    Each has its own folder below `tmp_path`; the same `name` gives the same folder. All are killed at the end.
    """
    nodes: list[NodeProcess] = []

    def make(*flags: str, name: str | None = None, **kwargs: object) -> NodeProcess:
        folder = tmp_path / (name or f"data{len(nodes) + 1}")
        nodes.append(NodeProcess(folder, *flags, **kwargs))  # type: ignore[arg-type]
        return nodes[-1]

    yield make
    for node in nodes:
        node.kill()


@pytest.fixture
def node(node_factory: NodeFactory) -> NodeProcess:
    """A fresh node with the bundled schemas.yaml, started."""
    made = node_factory("--config-file", str(SCHEMA_FILE))
    made.start()
    return made


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets disk and clock fail, to preload; without a compiler its tests are skipped."""
    if WITHOUT_COMPILER:
        pytest.skip(WITHOUT_COMPILER)
    return compile_library(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def faults(fault_library: Path, tmp_path: Path) -> Faults:
    """Faults for one node, `node_factory(env=faults.env)`; none at first."""
    return Faults(fault_library, tmp_path / "faults")
