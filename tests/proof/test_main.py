from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.proof.__main__ import main


@pytest.mark.usefixtures("fault_library")
def test_a_run_by_hand_tells_its_seed(tmp_path: Path) -> None:
    flags = ["--seed", "7", "--actions", "1", "--clients", "2", "--minutes", "0", "--evidence", str(tmp_path)]
    result = CliRunner().invoke(main, flags)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("seed 7: ")
    assert "with unknown outcome" in result.output
    assert list(tmp_path.iterdir()) == []
