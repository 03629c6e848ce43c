"""A place for lives that are cut short."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory where there is one, as power is cut on paper only, and the same chance in each life.

    Few files are made ready at a time, so that a short life uses many groups of them.
    """
    monkeypatch.setattr("qcore.disk.log.ready_files.GROUP", (2, 3))
    monkeypatch.setattr(secrets, "token_hex", lambda size: "5e" * size)
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)
