from __future__ import annotations

from pathlib import Path

import pytest

from qcore.server.main import main
from tests.disk.samples import filled, log_id, open_node, prepare


def test_check_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled(tmp_path, 6)
    directory = open_node(tmp_path, machine="press")
    directory.log.purge(log_id(2))
    prepare(directory)
    directory.close()
    (path / "vote.json.tmp").write_bytes(b"half")
    (path / "logs" / "notes.txt").write_bytes(b"mine")
    assert main(["check", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"OK: {path}",
        "  node       1, machine press, cluster none yet",
        "  entries    3, index 3..5, terms 1..1 (3 commands)",
        "  vote       term 1 for node 1, committed",
        "  committed  up to index 5, term 1",
        "  stored     up to index 5, term 1",
        "  purged     up to index 2, term 1",
        "  ready      8 blank files for the next entries",
        "  at start   1 temporary files are left: removed",
    ]
    assert "qcore: warning:" in err
    assert "notes.txt" in err


def test_check_of_an_empty_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "node_1").mkdir()
    assert main(["check", str(tmp_path / "node_1")]) == 0
    out = capsys.readouterr().out
    assert "none yet: nothing was ever stored here" in out
    assert "  entries    none\n  vote       none\n" in out


def test_check_names_the_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = filled(tmp_path, 3)
    (path / "logs" / "1.json").write_bytes(b" " * 4096)
    assert main(["check", str(path)]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    assert "logs/1.json is damaged: expected an entry, found blanks" in err


def test_check_refuses_what_is_in_use_or_no_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 2
    directory = open_node(tmp_path)
    assert main(["check", str(tmp_path)]) == 73
    directory.close()
    assert "is in use by the process with pid" in capsys.readouterr().err
