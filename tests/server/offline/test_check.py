from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from qcore.disk.snapshot_files import examine
from qcore.model.errors import Fatal
from qcore.model.requests.commands import Delete
from qcore.server.main import main
from qcore.store import apply
from tests.disk.samples import filled, open_node
from tests.server.offline.member import member, members
from tests.server.running import running, until


async def lived(folder: Path) -> Path:
    """The directory of a node that took two snapshots, up to the first of which the log is gone."""
    async with running(folder) as run:
        client = run.client()
        await client.result("schema.set", schema={"entityType": "User", "fields": []})
        for name in "ab":
            await client.result("create", type="User", name=name)
            await client.result("snapshot.take")
        await client.result("create", type="User", name="c")
        await until(lambda: run.directory.log.purged is not None)
        return run.directory.path


def blank_files(path: Path) -> int:
    """How many files lie ready: the node may have been stopped before it had made any."""
    return sum(not file.read_bytes().strip(b" ") for file in (path / "logs").iterdir())


def first(path: Path) -> int:
    """The log index of the first snapshot."""
    return examine(str(min((path / "snapshots").iterdir()))).header.last.index


async def test_check_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = await lived(tmp_path)
    directory = open_node(tmp_path)
    purged, last = directory.log.purged, directory.log.last
    directory.close()
    assert purged is not None
    assert last is not None
    there = last.index - purged.index
    ready = blank_files(path)
    (path / "vote.json.tmp").write_bytes(b"half")
    (path / "logs" / "notes.txt").write_bytes(b"mine")
    assert main(["check", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"OK: {path}"
    assert lines[1].startswith("  node       1, machine testbed, cluster ")
    assert lines[2:] == [
        f"  entries    {there}, index {purged.index + 1}..{last.index}, terms 1..1 ({there} commands)",
        "  vote       term 1 for node 1, committed",
        f"  committed  up to index {last.index}, term 1",
        f"  stored     up to index {last.index}, term 1",
        f"  purged     up to index {purged.index}, term 1",
        f"  ready      {ready} blank files for the next entries",
        "  at start   1 temporary files are left: removed",
        f"  snapshots  2, the newest up to index {purged.index + 1}, term 1",
        "  state      4 entities at revision 4",
    ]
    assert "qcore: warning:" in err
    assert "notes.txt" in err


async def test_check_warns_of_a_damaged_snapshot_that_is_not_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = await lived(tmp_path)
    newest = max((path / "snapshots").iterdir())
    newest.write_bytes(newest.read_bytes().replace(b'"b"', b'"x"'))
    assert main(["check", str(path)]) == 0
    out, err = capsys.readouterr()
    assert f"snapshots  1, the newest up to index {first(path)}" in out
    assert "4 entities at revision 4" in out
    assert f"qcore: warning: {newest} is damaged" in err


async def test_check_refuses_a_directory_whose_log_begins_above_its_snapshots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = await lived(tmp_path)
    index = first(path)
    for snapshot in (path / "snapshots").iterdir():
        snapshot.unlink()
    assert main(["check", str(path)]) == 65
    assert f"expected a good snapshot at log index {index} or above" in capsys.readouterr().err


async def test_check_tells_of_a_log_that_ends_below_the_newest_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = await lived(tmp_path)
    for entry in (path / "logs").iterdir():
        entry.unlink()
    (path / "committed.json").unlink()
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "at start   the log ends below the newest snapshot, or is not the one that led to it: dropped" in out
    assert "3 entities at revision 3" in out


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


def refuse_to_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a defect into apply."""

    def delete(*_args: object) -> None:
        raise ZeroDivisionError("x" * 5000)

    commands: dict[type[Any], Any] = {**apply._COMMANDS, Delete: delete}
    monkeypatch.setattr(apply, "_COMMANDS", commands)


async def test_an_entry_that_cannot_be_applied_is_named_by_check_and_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("schema.set", schema={"entityType": "User", "fields": []})
        id = (await client.result("create", type="User", name="a"))["id"]
        await client.result("delete", id=id)
        index = run.state.applied
    refuse_to_delete(monkeypatch)
    expected = (
        rf"entry {index} of the log \(term 1\) cannot be applied: command 1 of 1, delete, failed with "
        r"ZeroDivisionError\('x.* \.\.\. x*'\)\. .* docs/data-directory\.md, 'When an entry cannot be applied'"
    )
    assert main(["check", str(tmp_path)]) == 1
    assert re.search(expected, capsys.readouterr().err)
    with pytest.raises(Fatal, match=expected) as caught:
        async with running(tmp_path):
            pass
    assert len(str(caught.value)) < 2000
    guide = Path(__file__).parents[3] / "docs" / "data-directory.md"
    assert "## When an entry cannot be applied\n" in guide.read_text(encoding="utf-8")


async def test_a_running_node_names_the_entry_it_cannot_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("schema.set", schema={"entityType": "User", "fields": []})
        id = (await client.result("create", type="User", name="a"))["id"]
        index = run.state.applied + 1
        refuse_to_delete(monkeypatch)
        client.send("delete", id=id)
        await until(lambda: bool(run.fatal))
        assert run.fatal[0].message.startswith(
            f"entry {index} of the log (term 1) cannot be applied: command 1 of 1, delete"
        )


async def test_check_and_a_start_name_the_same_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = await lived(tmp_path)
    entry = max((path / "logs").iterdir(), key=lambda each: (bool(each.read_bytes().strip()), int(each.stem)))
    for each in (entry, path / "vote.json", path / "node.json"):
        each.write_bytes(each.read_bytes().replace(b'"', b"'", 1))
    assert main(["check", str(path)]) == 65
    checked = capsys.readouterr().err
    for each in (entry, path / "vote.json", path / "node.json"):
        assert f"{each} is damaged" in checked
    assert main(["--data-dir", str(tmp_path), "--ws-addr", "127.0.0.1:0"]) == 65
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("qcore: ")] == checked.splitlines()


async def test_check_reads_older_snapshots_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = await lived(tmp_path)
    oldest = min((path / "snapshots").iterdir())
    oldest.write_bytes(oldest.read_bytes().replace(b'"a"', b'"x"'))
    assert main(["check", str(path)]) == 0
    assert f"qcore: warning: {oldest} is damaged" in capsys.readouterr().err


async def test_check_waits_for_no_fifo_and_follows_no_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = await lived(tmp_path)
    oldest, newest = sorted((path / "snapshots").iterdir())
    oldest.unlink()
    os.mkfifo(oldest)
    newest.rename(tmp_path / "elsewhere")
    newest.symlink_to(tmp_path / "elsewhere")
    assert main(["check", str(path)]) == 65
    said = capsys.readouterr().err
    assert f"{oldest} is damaged: expected a file, found a FIFO" in said
    assert f"{newest} is damaged: expected a file, found a symbolic link" in said
    assert "expected a good snapshot at log index" in said


def test_check_applies_what_is_committed_and_names_the_tail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member(tmp_path, users=5, committed=4)
    assert main(["check", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  committed  up to index 4, term 4" in lines
    assert "  state      4 entities at revision 4" in lines
    assert "  tail       2, index 5..6: not known to be committed, and not in the state" in lines


def test_check_takes_all_that_a_lone_node_has_stored_for_committed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    member(tmp_path, users=5, committed=4, membership=members(1))
    assert main(["check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "  state      6 entities at revision 6\n" in out
    assert "tail" not in out


def test_without_a_name_check_looks_at_the_nodes_own_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_node(tmp_path).close()
    path = member(tmp_path, 2)
    assert main(["--data-dir", str(tmp_path), "--id", "2", "check"]) == 0
    assert capsys.readouterr().out.startswith(f"OK: {path}\n")
    assert main(["--data-dir", str(tmp_path), "--id", "3", "check"]) == 2
    assert f"{tmp_path}/node_3 is no node's directory" in capsys.readouterr().err
    assert not (tmp_path / "node_3").exists()
