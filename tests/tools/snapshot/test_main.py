"""snapshot-tool against a real node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore_tools.snapshot.main import main
from tests.process import NodeProcess
from tests.tools.running import create, run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def snapshot(node: NodeProcess, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run snapshot-tool in this process; returns exit code, standard output and standard error."""
    monkeypatch.setenv("QCORE_URL", node.url)

    def run_here(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return main(list(args)), *capfd.readouterr()

    return run_here


@pytest.fixture
def backup(snapshot: Run, tmp_path: Path) -> Path:
    """A snapshot of the fresh node."""
    file = tmp_path / "backup.json"
    assert snapshot("take", "--output", str(file))[0] == 0
    return file


def changed(file: Path, **fields: object) -> Path:
    """The snapshot with other fields for Alice."""
    document = json.loads(file.read_text())
    document["tree"]["Children"][1]["Children"][2] |= fields
    other = file.with_name("changed.json")
    other.write_text(json.dumps(document))
    return other


def test_a_snapshot_is_taken_checked_and_put_back(node: NodeProcess, snapshot: Run, backup: Path) -> None:
    assert snapshot("validate", "--input", str(backup)) == (0, "", f"{backup}: 11 entities, 7 types, no problems\n")
    create(node, "SET 9 Age 50", "CREATE Folder New /Root")
    code, out, err = snapshot("restore", "--input", str(backup))
    assert (code, out.split()[0], err) == (0, "restored,", "update: 1\n")
    code, out, err = snapshot("restore", "--input", str(backup), "--prune")
    assert (code, out.split()[0], err) == (0, "restored,", "delete: 1\n")
    assert snapshot("restore", "--input", str(backup), "--prune") == (0, "nothing changed\n", "nothing to do\n")


def test_a_dry_run_lists_what_would_be_done_and_does_nothing(snapshot: Run, backup: Path) -> None:
    other = changed(backup, Age=50)
    for _ in range(2):
        code, out, err = snapshot("restore", "--input", str(other), "--dry-run")
        assert (code, out, err) == (0, "update /Root/Organization/Alice (User): Age\n", "update: 1\n")


def test_a_snapshot_goes_through_pipes_and_is_the_same_when_indented(
    node: NodeProcess, snapshot: Run, backup: Path
) -> None:
    code, out, _ = snapshot("take", "--output", "-", "--pretty")
    assert code == 0
    assert out.startswith('{\n  "schemas": [\n')
    assert json.loads(out) == json.loads(backup.read_text())
    done = run("snapshot", "restore", "--input", "-", url=node.url, stdin=out)
    assert (done.returncode, done.stdout) == (0, "nothing changed\n")
    assert snapshot("take", "--output", "-")[1] == backup.read_text()


def test_runtime_fields_are_taken_on_request(node: NodeProcess, snapshot: Run) -> None:
    create(node, "SET 3 Status Online")
    assert '"Status":"Online"' not in snapshot("take", "--output", "-")[1]
    _, out, err = snapshot("take", "--output", "-", "--all")
    assert '"Status":"Online"' in out
    assert "left out" not in err


def test_a_failed_take_leaves_the_file_as_it_was(node: NodeProcess, snapshot: Run, backup: Path) -> None:
    before = backup.read_text()
    node.kill()
    assert snapshot("take", "--output", str(backup))[0] == 3
    assert backup.read_text() == before
    assert [file.name for file in backup.parent.glob("*") if file.is_file()] == ["backup.json"]


def test_a_file_that_cannot_be_written_is_named(snapshot: Run, tmp_path: Path) -> None:
    code, _, err = snapshot("take", "--output", str(tmp_path / "no" / "file"))
    assert (code, err) == (1, f"snapshot-tool: cannot write {tmp_path}/no/file: No such file or directory\n")
    code, _, err = snapshot("take", "--output", "/dev/full")
    assert (code, err) == (1, "snapshot-tool: cannot write /dev/full: No space left on device\n")


def test_all_problems_are_listed_with_their_places(snapshot: Run, backup: Path) -> None:
    bad = changed(backup, Age="old", Nope=1, Department="/Root/Nobody")
    code, out, err = snapshot("validate", "--input", str(bad))
    assert (code, err) == (1, f"{bad}: 3 problems\n")
    alice = "$.tree.Children[1].Children[2]"
    assert sorted(line.partition(":")[0] for line in out.splitlines()) == [
        f"{alice}.Age",
        f"{alice}.Department",
        f"{alice}.Nope",
    ]
    code, out, err = snapshot("restore", "--input", str(bad))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "2 more problems" in err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"tree": {}}', "\udcff"])
def test_what_is_no_snapshot_has_problems(text: str, snapshot: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    code, out, _ = snapshot("validate", "--input", str(file))
    assert code == 1
    assert out.startswith("$")


def test_differences_are_listed_and_are_1(snapshot: Run, backup: Path) -> None:
    other = changed(backup, Age=50)
    assert snapshot("diff", str(backup), str(backup)) == (0, "", "")
    assert snapshot("diff", str(backup), str(other)) == (1, "~ /Root/Organization/Alice Age: 34 -> 50\n", "")
    other.write_text("{")
    code, out, err = snapshot("diff", str(backup), str(other))
    assert (code, out) == (1, "")
    assert err.startswith(f"snapshot-tool: {other}: ")


def test_checking_and_comparing_need_no_server(node: NodeProcess, snapshot: Run, backup: Path) -> None:
    node.kill()
    assert snapshot("validate", "--input", str(backup))[0] == 0
    assert snapshot("diff", str(backup), str(backup))[0] == 0
    assert snapshot("restore", "--input", str(backup))[0] == 3


@pytest.mark.parametrize(
    "words", [[], ["take"], ["restore"], ["diff", "a"], ["diff", "-", "-"], ["nope"], ["validate", "--nope"]]
)
def test_wrong_words_are_2(snapshot: Run, words: list[str]) -> None:
    assert snapshot(*words)[:2] == (2, "")


def test_a_file_that_is_not_there_is_named(snapshot: Run) -> None:
    assert (
        snapshot("validate", "--input", "/nope")[2] == "snapshot-tool: cannot read /nope: No such file or directory\n"
    )
