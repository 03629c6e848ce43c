"""snapshot-tool against a real node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcore.engine.factory import available_engines
from qcore.version import VERSION
from qcore_tools.snapshot.main import main
from tests.conftest import NodeFactory
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


def content(text: str) -> dict[str, Any]:
    """What a snapshot says of the store, without where it comes from."""
    document: dict[str, Any] = json.loads(text)
    assert next(iter(document)) == "origin"
    del document["origin"]
    return document


def plan_of(told: str) -> list[str]:
    """What was told on standard error of a plan, behind what was told of the snapshot."""
    first, *rest = told.splitlines()
    assert first.startswith("snapshot: revision ")
    return [line for line in rest if not line.startswith("the store ")]


def changed(file: Path, **fields: object) -> Path:
    """The snapshot with other fields for Alice."""
    document = json.loads(file.read_text())
    document["tree"]["Children"][1]["Children"][2] |= fields
    other = file.with_name("changed.json")
    other.write_text(json.dumps(document))
    return other


def test_a_snapshot_is_taken_checked_and_put_back(node: NodeProcess, snapshot: Run, backup: Path) -> None:
    code, out, err = snapshot("validate", "--input", str(backup))
    assert (code, out) == (0, "")
    size, about = err.splitlines()
    assert size == f"{backup}: 11 entities, 7 types, no problems"
    assert about.startswith(f"{backup}: revision 1 of ")
    assert about.endswith(", without Runtime fields")
    create(node, "SET 9 Age 50", "CREATE Folder New /Root")
    for words, done, plan in (([], "restored,", "update: 1"), (["--prune"], "restored,", "delete: 1")):
        code, out, err = snapshot("restore", "--input", str(backup), *words)
        assert (code, out.split()[0], plan_of(err)) == (0, done, [plan])
    code, out, err = snapshot("restore", "--input", str(backup), "--prune")
    assert (code, out, plan_of(err)) == (0, "nothing changed\n", ["nothing to do"])


def test_a_dry_run_lists_what_would_be_done_and_does_nothing(snapshot: Run, backup: Path) -> None:
    other = changed(backup, Age=50)
    for _ in range(2):
        code, out, err = snapshot("restore", "--input", str(other), "--dry-run")
        assert (code, out, plan_of(err)) == (0, "update /Root/Organization/Alice (User): Age\n", ["update: 1"])


def test_a_restore_tells_first_how_the_store_has_gone_on(
    node: NodeProcess, snapshot: Run, backup: Path, tmp_path: Path
) -> None:
    assert "the store " not in snapshot("restore", "--input", str(backup))[2]
    create(node, "SET 9 Age 50")
    assert "\nthe store has gone on since, to revision 2\n" in snapshot("restore", "--input", str(backup))[2]
    document = json.loads(backup.read_text())
    for changes, told in (
        ({"revision": 77}, "the store is only at revision 3: it lacks something, or has another history"),
        ({"cluster": "b" * 32}, "the store is of another cluster, "),
    ):
        other = tmp_path / "other.json"
        other.write_text(json.dumps(document | {"origin": document["origin"] | changes}))
        code, _, err = snapshot("restore", "--input", str(other))
        assert code == 0
        assert told in err


def test_a_snapshot_goes_through_pipes_and_is_the_same_when_indented(
    node: NodeProcess, snapshot: Run, backup: Path
) -> None:
    code, out, _ = snapshot("take", "--output", "-", "--pretty")
    assert code == 0
    assert out.startswith('{\n  "origin": {\n')
    assert '  "schemas": [\n' in out
    assert content(out) == content(backup.read_text())
    done = run("snapshot", "restore", "--input", "-", url=node.url, stdin=out)
    assert (done.returncode, done.stdout) == (0, "nothing changed\n")
    before, after = (
        text.partition('"schemas":')[2] for text in (backup.read_text(), snapshot("take", "--output", "-")[1])
    )
    assert before == after


def test_a_snapshot_says_where_it_comes_from(node: NodeProcess, snapshot: Run, backup: Path) -> None:
    info = json.loads(run("cli", "-f", "json", "INFO", url=node.url).stdout)
    origin = json.loads(backup.read_text())["origin"]
    assert origin.pop("time").endswith("Z")
    assert origin == {"all": False, "version": VERSION} | {key: info[key] for key in ("cluster", "epoch", "revision")}


def test_one_without_ids_goes_into_another_store(node: NodeProcess, snapshot: Run, tmp_path: Path) -> None:
    file = tmp_path / "plain.json"
    assert snapshot("take", "--output", str(file), "--no-ids", "--all")[0] == 0
    assert '"id":' not in file.read_text()
    assert snapshot("validate", "--input", str(file))[2].endswith(", without ids\n")
    assert snapshot("restore", "--input", str(file))[:2] == (0, "nothing changed\n")


def test_a_node_that_leads_is_told_from_one_that_does_not(
    snapshot: Run, node_factory: NodeFactory, tmp_path: Path
) -> None:
    file = tmp_path / "backup.json"
    assert snapshot("take", "--output", str(file), "--if-leader")[0] == 0
    if "openraft" not in available_engines():
        pytest.skip("the OpenRaft extension is not built")
    blank = node_factory("--peers", "127.0.0.1:1", env={"QCORE_ENGINE": "auto"})
    blank.start()
    before = file.read_bytes()
    code, out, err = snapshot("take", "--output", str(file), "--if-leader", "--url", blank.url)
    assert (code, out, err) == (0, "", "this node does not lead: nothing is taken\n")
    assert file.read_bytes() == before


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


def test_a_comparison_tells_which_one_is_not_needed_any_more(
    node: NodeProcess, snapshot: Run, backup: Path, tmp_path: Path
) -> None:
    create(node, "SET 9 Age 50")
    newer = tmp_path / "newer.json"
    assert snapshot("take", "--output", str(newer), "--all")[0] == 0
    told = f"{newer} supersedes {backup}\n"
    assert snapshot("diff", str(backup), str(newer))[::2] == (1, told)
    assert snapshot("diff", str(newer), str(backup))[::2] == (1, told)


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
