from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.faults import WITHOUT_COMPILER, compile_library


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library to preload; without a compiler its tests are skipped."""
    if WITHOUT_COMPILER:
        pytest.skip(WITHOUT_COMPILER)
    return compile_library(tmp_path_factory.mktemp("faults"))
