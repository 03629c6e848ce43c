from __future__ import annotations

from pathlib import Path

import pytest

from tests.appliance import machine
from tests.appliance.machine import Machine, missing


def test_a_machine_that_does_not_come_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := missing():
        pytest.skip(reason)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "hang").write_text("#!/bin/sh\ntrap '' TERM; : >/mnt/up; while :; do sleep 1 & wait; done\n")
    (programs / "hang").chmod(0o755)
    monkeypatch.setattr(machine, "SYSTEMD", "/mnt/programs/hang")
    monkeypatch.setattr(machine, "DEADLINE", 1.0)
    before = set(groups())
    with pytest.raises(AssertionError, match="no systemd came up"), Machine(tmp_path, {programs: "/mnt/programs"}):
        pass
    assert set(groups()) <= before


def groups() -> list[Path]:
    """The cgroups of machines."""
    folder = machine._cgroups()
    assert folder is not None
    return list(folder.glob("qcore-test-*"))
