"""snapshot-tool factory-restore, with the node that it is for as a process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore_tools.snapshot.main import main
from tests.conftest import NodeFactory
from tests.process import SCHEMA_FILE, NodeProcess
from tests.tools.running import create, run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def factory(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run snapshot-tool in this process; returns exit code, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("QCORE_")]:
        monkeypatch.delenv(name)

    def run_here(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return main(list(args)), *capfd.readouterr()

    return run_here


@pytest.fixture
def backup(factory: Run, node: NodeProcess, tmp_path: Path) -> Path:
    """A snapshot of a node on the bundled schemas with a user of its own."""
    create(node, "CREATE User ann /Root")
    file = tmp_path / "backup.json"
    assert factory("take", "--output", str(file), "--all", "--url", node.url)[0] == 0
    return file


def is_told(error: str) -> bool:
    """Whether all that stands on standard error is where the snapshot comes from."""
    return error.startswith("snapshot: revision 2 of ") and error.endswith(", complete\n") and error.count("\n") == 1


def words(backup: Path, folder: Path, *more: str) -> list[str]:
    return ["factory-restore", "--input", str(backup), "--machine-id", "restored", "--data-dir", str(folder), *more]


def content(file: Path) -> object:
    """What a snapshot says of the store, without where it comes from."""
    document = json.loads(file.read_text())
    del document["origin"]
    return document


def test_a_node_on_what_was_restored_gives_the_same_snapshot(
    factory: Run, backup: Path, node_factory: NodeFactory, tmp_path: Path
) -> None:
    again = node_factory("--config-file", str(SCHEMA_FILE), name="restored")
    code, out, err = factory(*words(backup, again.folder))
    assert code == 0
    assert is_told(err)
    assert out.startswith(f"{again.data_dir}: 12 entities, machine restored, cluster ")
    again.start()
    assert run("cli", "MACHINE", url=again.url).stdout == "Machine: restored\nNode: 1\n"
    other = tmp_path / "again.json"
    assert factory("take", "--output", str(other), "--all", "--url", again.url)[0] == 0
    assert content(other) == content(backup)


def test_force_keeps_the_directory_of_before(factory: Run, backup: Path, node: NodeProcess) -> None:
    code, out, err = factory(*words(backup, node.folder, "--force"))
    assert (code, out) == (1, "")
    assert f"in use by the process with pid {node.pid}" in err
    assert node.stop() == 0
    code, out, err = factory(*words(backup, node.folder))
    assert (code, out) == (1, "")
    assert err.partition("\n")[2] == (
        f"snapshot-tool: {node.data_dir} is there already; --force puts the restored one in its place and keeps it "
        "beside\n"
    )
    code, out, err = factory(*words(backup, node.folder, "--force"))
    assert code == 0
    kept = Path(out.splitlines()[1].removesuffix(": what was there before"))
    assert kept.parent == node.folder
    assert (kept / "logs").is_dir()
    node.start()
    create(node, "GET /Root/ann")


def test_what_is_not_given_comes_from_where_the_daemon_has_it(
    factory: Run, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "qcore.toml"
    file.write_text(f'id = 3\ndata_dir = "{tmp_path}/a"\nmachine = "barn"\n')
    code, out, _ = factory("factory-restore", "--input", str(backup), "--settings", str(file))
    assert (code, out.partition(", cluster")[0]) == (0, f"{tmp_path}/a/node_3: 12 entities, machine barn")
    monkeypatch.setenv("QCORE_SETTINGS", str(file))
    monkeypatch.setenv("QCORE_DATA_DIR", str(tmp_path / "b"))
    code, out, _ = factory("factory-restore", "--input", str(backup), "--id", "4", "--machine", "shed")
    assert (code, out.partition(", cluster")[0]) == (0, f"{tmp_path}/b/node_4: 12 entities, machine shed")


@pytest.mark.parametrize("more", [["--id", "0"], ["--id", "x"], ["--settings", "/nope"], ["--nope"]])
def test_wrong_words_are_2_and_nothing_is_written(factory: Run, tmp_path: Path, more: list[str]) -> None:
    code, out, err = factory(*words(tmp_path / "backup.json", tmp_path / "data"), *more)
    assert (code, out) == (2, "")
    assert err.startswith("snapshot-tool: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "{}", '{"tree": {"entityType": "Nope", "Name": "x"}}'])
def test_a_bad_document_is_1_and_nothing_is_written(factory: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    code, out, err = factory(*words(file, tmp_path / "data"))
    assert (code, out) == (1, "")
    assert err.startswith("snapshot-tool: $")
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_is_named(factory: Run, backup: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = factory(*words(backup, tmp_path / "file"))
    assert (code, out) == (1, "")
    assert f"{tmp_path}/file" in err.splitlines()[1]
    assert err.count("\n") == 2


def test_a_snapshot_may_come_through_a_pipe(backup: Path, tmp_path: Path) -> None:
    done = run("snapshot", *words(Path("-"), tmp_path / "piped"), stdin=backup.read_text())
    assert done.returncode == 0
    assert is_told(done.stderr)
    assert (tmp_path / "piped" / "node_1" / "node.json").exists()


def test_output_that_is_not_taken_says_that_it_may_be_done(backup: Path, tmp_path: Path) -> None:
    done = run("snapshot", *words(backup, tmp_path / "full"), redirect="> /dev/full")
    assert done.returncode == 1
    assert "what was asked for may have been done" in done.stderr
    assert (tmp_path / "full" / "node_1" / "node.json").exists()
