"""Which node's directory is meant."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore_tools.console import UsageError
from qcore_tools.wal.place import find_place


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("QCORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QCORE_SETTINGS", "-/nowhere")
    monkeypatch.chdir(tmp_path)


def make(folder: Path, node: int, machine: str) -> Path:
    with closing(Directory.open(folder, node, machine=machine)) as directory:
        return directory.path


def test_the_only_one_need_not_be_named(tmp_path: Path) -> None:
    path = make(tmp_path, 3, "press")
    assert find_place(str(tmp_path), None, ()) == path
    assert find_place(str(path), None, ()) == path
    (tmp_path / "node_3.bak-1").mkdir()
    (tmp_path / "node_x").mkdir()
    (tmp_path / "node_4").write_text("no folder")
    assert find_place(str(tmp_path), None, ()) == path


def test_a_node_is_named_by_its_machine_or_its_id(tmp_path: Path) -> None:
    one, two = make(tmp_path, 1, "press"), make(tmp_path, 2, "barn")
    assert find_place(str(tmp_path), "press", ()) == one
    assert find_place(str(tmp_path), "2", ()) == two
    assert find_place(str(two), "barn", ()) == two


def test_a_node_whose_identity_is_damaged_is_found_by_its_id(tmp_path: Path) -> None:
    one = make(tmp_path, 1, "press")
    make(tmp_path, 2, "barn")
    (one / "node.json").write_text("rubbish")
    assert find_place(str(tmp_path), "1", ()) == one


@pytest.mark.parametrize("machine", [None, "press"])
def test_several_that_may_be_meant_are_listed(tmp_path: Path, machine: str | None) -> None:
    one, two = make(tmp_path, 1, "press"), make(tmp_path, 2, "press")
    with pytest.raises(UsageError) as error:
        find_place(str(tmp_path), machine, ())
    assert f"{one} (press), {two} (press)" in error.value.message


def test_one_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    one = make(tmp_path, 1, "press")
    with pytest.raises(UsageError, match="has no directory of barn, but") as error:
        find_place(str(tmp_path), "barn", ())
    assert f"{one} (press)" in error.value.message
    with pytest.raises(UsageError, match="has no directory of a node"):
        find_place(str(tmp_path / "nowhere"), None, ())


def test_what_is_not_given_comes_from_where_the_daemon_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make(tmp_path / "a", 1, "press"), make(tmp_path / "a", 2, "barn")
    file = tmp_path / "qcore.toml"
    file.write_text(f'id = 2\ndata_dir = "{tmp_path}/a"\n')
    assert find_place(None, None, [str(file)]) == two
    monkeypatch.setenv("QCORE_SETTINGS", str(file))
    assert find_place(None, None, ()) == two
    monkeypatch.setenv("QCORE_ID", "1")
    assert find_place(None, None, ()) == one
    assert find_place(None, "barn", ()) == two
    other = make(tmp_path / "b", 5, "shed")
    monkeypatch.setenv("QCORE_DATA_DIR", str(tmp_path / "b"))
    assert find_place(None, None, ()) == other
    assert find_place(str(tmp_path / "a"), None, ()) == one


def test_without_settings_it_is_where_the_daemon_would_begin(tmp_path: Path) -> None:
    path = make(tmp_path / "raft_data", 1, "press")
    assert find_place(None, None, ()) == path


def test_settings_that_are_wrong_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        find_place(None, None, [str(tmp_path / "nope.toml")])
