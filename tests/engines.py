"""The engine that tests run: the one of QCORE_ENGINE, else the embedded one. No test makes an engine in another way."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from qcore.disk.directory import Directory
from qcore.engine.base import Engine
from qcore.engine.factory import EngineName, make_engine

__all__ = ["engine_name", "engine_of"]


def engine_name() -> EngineName:
    """The name that nodes of tests are given, processes among them."""
    return cast(EngineName, os.environ.get("QCORE_ENGINE", "embedded"))


def engine_of(
    directory: Directory, slow_fsync: float = 3600.0, on_slow: Callable[[float], None] = lambda _seconds: None
) -> Engine:
    """An engine for a node's directory, not started."""
    return make_engine(engine_name(), directory, "127.0.0.1:1", slow_fsync, on_slow)
