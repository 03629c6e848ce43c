from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from qcore.disk.directory import Directory
from qcore.disk.report import Report, node_directory, report
from qcore.model.entry import Vote
from qcore.model.errors import AlreadyRunning, ConfigError, Damaged
from tests.disk.samples import NODE, append, filled, log_id, open_node, prepare

LONG = "a name of several sectors " * 60


def check_directory(path: Path) -> Report:
    with closing(Directory.look(path)) as directory:
        directory.refuse_damaged()
        return report(directory)


def everything(path: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """All there is below a folder, with what changes if a file is touched."""
    return {
        str(each): (each.stat().st_ino, each.stat().st_mtime_ns, each.stat().st_ctime_ns, content(each))
        for each in [path, *path.rglob("*")]
    }


def content(path: Path) -> bytes:
    return b"" if path.is_dir() else path.read_bytes()


def test_what_is_there_is_reported(tmp_path: Path) -> None:
    filled(tmp_path, 6, prepared=True)
    directory = open_node(tmp_path, machine="press")
    directory.log.purge(log_id(2))
    prepare(directory)
    directory.save_committed(log_id(4), sync=True)
    directory.close()
    found = check_directory(directory.path)
    assert found.identity is not None
    assert (found.identity.node, found.identity.machine) == (1, "press")
    assert (found.first, found.last, found.entries) == (log_id(3), log_id(5), 3)
    assert found.kinds == {"commands": 3}
    assert found.vote == Vote(1, NODE, True)
    assert (found.committed, found.stored, found.purged) == (log_id(4), log_id(5), log_id(2))
    assert found.ready == len(list((directory.path / "logs").iterdir())) - 3
    assert found.repairs == []


def test_a_directory_in_which_no_node_has_started_is_empty(tmp_path: Path) -> None:
    (tmp_path / "node_7").mkdir()
    found = check_directory(tmp_path / "node_7")
    assert (found.identity, found.entries, found.vote) == (None, 0, None)


def test_what_a_start_would_repair_is_told_and_left(tmp_path: Path) -> None:
    path = filled(tmp_path, 5, LONG, prepared=True)
    leftover = (path / "logs" / "0.json").read_bytes()
    directory = open_node(tmp_path)
    directory.log.purge(log_id(1))
    prepare(directory)
    append(directory, 5, text=LONG)
    directory.close()
    torn = bytearray((path / "logs" / "5.json").read_bytes())
    torn[512:1024] = b" " * 512
    (path / "logs" / "5.json").write_bytes(torn)
    (path / "logs" / "0.json").write_bytes(leftover)
    for name in ("vote.json.tmp", "logs/7.json.tmp"):
        (path / name).write_bytes(b"half")
    (path / "logs" / "notes.txt").write_bytes(b"mine")
    before = everything(path)
    found = check_directory(path)
    assert everything(path) == before
    assert found.repairs == [
        "entry 5 was being written at a crash and was never acknowledged: forgotten",
        "1 files of purged entries are left: removed",
        "2 temporary files are left: removed",
    ]
    assert any("logs/notes.txt is not named like an entry" in warning for warning in found.warnings)
    assert (found.first, found.last) == (log_id(2), log_id(4))


@pytest.mark.parametrize("name", ["node.json", "vote.json", "purged.json", "logs/3.json"])
def test_damage_is_named_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    path = filled(tmp_path, 5, prepared=True)
    directory = open_node(tmp_path)
    directory.log.purge(log_id(1))
    directory.close()
    data = bytearray((path / name).read_bytes())
    data[40] ^= 4
    (path / name).write_bytes(data)
    before = everything(path)
    with pytest.raises(Damaged, match=f"{name} is damaged"):
        check_directory(path)
    assert everything(path) == before


def test_files_without_their_identity_are_damage(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    (path / "node.json").unlink()
    with pytest.raises(Damaged, match=r"node\.json is damaged: expected the identity"):
        check_directory(path)


def test_an_entry_whose_json_does_not_fit_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path, 3)
    monkeypatch.setattr("qcore.disk.log.record.FEATURE_LEVEL", 0)
    with pytest.raises(Damaged, match=r"logs/0\.json was written by a newer qcore"):
        check_directory(path)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    directory = open_node(tmp_path)
    with pytest.raises(AlreadyRunning, match="in use by the process"):
        check_directory(directory.path)
    directory.close()
    check_directory(directory.path)


def test_a_node_is_found_by_its_own_folder_or_the_one_above(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    (tmp_path / "node_x").mkdir()
    (tmp_path / "node_3").write_bytes(b"")
    assert node_directory(path) == node_directory(tmp_path) == path


def test_no_node_and_several_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no node's directory"):
        node_directory(tmp_path)
    with pytest.raises(ConfigError, match="is no node's directory"):
        node_directory(tmp_path / "node_1")
    for name in ("node_1", "node_12"):
        (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match=r"several nodes, name one of them:\n .*/node_1\n .*/node_12"):
        node_directory(tmp_path)
