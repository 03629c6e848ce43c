from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging.nix.running import Nix


@pytest.fixture(scope="session")
def nix(tmp_path_factory: pytest.TempPathFactory) -> Nix:
    if shutil.which("nix") is None:
        pytest.skip("nix is not installed (Debian: apt install nix-bin)")
    return Nix(Path(tmp_path_factory.mktemp("nix")))
