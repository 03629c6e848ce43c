from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def outcome(tmp_path: Path, test: str, *, ci: str) -> tuple[int, str]:
    """Run pytest on one test module with the hooks in place; return its exit code and output."""
    hooks = ("pytest_make_collect_report", "pytest_runtest_makereport")
    (tmp_path / "conftest.py").write_text(f"from tests.skips import {', '.join(hooks)}\n")
    (tmp_path / "test_it.py").write_text(f"import pytest\n{test}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)],
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_ci_fails_a_skipped_test_and_shows_its_reason(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "def test_it(): pytest.skip('no compiler here')", ci="true")
    assert code == 1, output
    assert "skipped, which CI does not allow: Skipped: no compiler here" in output


def test_ci_fails_a_skip_mark(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "@pytest.mark.skip(reason='later')\ndef test_it(): pass", ci="true")
    assert code == 1, output


def test_ci_fails_a_module_that_skips_itself(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "pytest.importorskip('no_such_module')", ci="true")
    assert code == 2, output
    assert "no_such_module" in output


def test_ci_allows_what_needs_a_copy_of_nixpkgs(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "def test_it(): pytest.skip('NIXPKGS_LIB is not set')", ci="true")
    assert code == 0, output


def test_ci_leaves_expected_failures_alone(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "@pytest.mark.xfail\ndef test_it(): assert False", ci="true")
    assert code == 0, output


def test_outside_ci_a_skip_is_a_skip(tmp_path: Path) -> None:
    code, output = outcome(tmp_path, "def test_it(): pytest.skip('no compiler here')", ci="")
    assert code == 0, output
