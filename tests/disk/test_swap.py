from __future__ import annotations

import os
from pathlib import Path

import pytest

from qcore.disk import swap
from qcore.disk.swap import put_in_place
from qcore.model.errors import DiskFailed


def folder(path: Path, text: str) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text(text)
    return path


def held(path: Path) -> str:
    return (path / "file").read_text()


def test_a_folder_gets_a_free_name(tmp_path: Path) -> None:
    new = folder(tmp_path / "room" / "n", "new")
    put_in_place(new, tmp_path / "n", None)
    assert held(tmp_path / "n") == "new"
    assert not new.exists()


@pytest.mark.parametrize("exchanges", [True, False])
def test_what_is_there_is_kept_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    """Also where the file system cannot exchange two names."""
    if not exchanges:
        monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    new, old = folder(tmp_path / "room" / "n", "new"), folder(tmp_path / "n", "old")
    put_in_place(new, old, tmp_path / "n.bak")
    assert held(tmp_path / "n") == "new"
    assert held(tmp_path / "n.bak") == "old"
    assert not new.exists()


def test_a_rename_that_fails_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    old = folder(tmp_path / "n", "old")
    folder(tmp_path / "n.bak", "older")
    new = folder(tmp_path / "room" / "n", "new")
    with pytest.raises(DiskFailed, match="in the place of"):
        put_in_place(new, old, tmp_path / "n.bak")
    assert [held(each) for each in (new, old, tmp_path / "n.bak")] == ["new", "old", "older"]


def test_a_failure_in_the_middle_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names cannot be exchanged."""
    new, old = folder(tmp_path / "room" / "n", "new"), folder(tmp_path / "n", "old")
    rename = os.rename

    def fail(one: Path, other: Path) -> None:
        if (one, other) == (new, old):
            raise OSError(5, "Input/output error")
        rename(one, other)

    monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(DiskFailed, match="Input/output error"):
        put_in_place(new, old, tmp_path / "n.bak")
    assert [held(old), held(new)] == ["old", "new"]
    assert not (tmp_path / "n.bak").exists()


def test_an_exchange_that_fails_leaves_nothing_under_the_name_of_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the old folder is a mount point."""
    new, old = folder(tmp_path / "room" / "n", "new"), folder(tmp_path / "n", "old")

    def busy(_one: Path, _other: Path) -> bool:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(swap, "_exchange", busy)
    with pytest.raises(DiskFailed, match="Device or resource busy"):
        put_in_place(new, old, tmp_path / "n.bak")
    assert [held(old), held(new)] == ["old", "new"]
    assert not (tmp_path / "n.bak").exists()
