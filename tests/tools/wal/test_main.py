"""wal-tool on logs that were made entry by entry."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.model.documents.document import Document, DocumentEntity
from qcore.model.entry import EntryBody
from qcore.model.leader_commands import CheckDigest, RunStaged, StagePart
from qcore.model.requests.commands import (
    Bootstrap,
    Create,
    Delete,
    FieldChange,
    FieldSet,
    SessionOpen,
    SetFields,
    TreeNode,
)
from qcore.model.requests.compound import Condition, Pipeline, Transaction
from qcore.model.requests.queries import Get
from qcore.model.requests.restore import Restore
from qcore.model.schema import EntitySchema
from qcore.model.values import Kind
from qcore.model.wire import encode_json
from qcore_tools.wal.main import main
from tests.disk.samples import log_id, record_of
from tests.tools.running import command, environment, run
from tests.tools.wal.logs import USER, LogWriter

Run = Callable[..., list[str]]

HASH = "$scrypt$ln=15,r=8,p=3$YWJjZA$ZWZnaA"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    made = LogWriter(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def told(log: LogWriter, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run wal-tool here; returns the lines of standard output, which has to be all that is told."""

    def run_here(*args: str, code: int = 0, notes: int = 0) -> list[str]:
        capfd.readouterr()
        assert main(["--data-dir", str(log.path.parent), *args]) == code
        out, err = capfd.readouterr()
        assert err.count("\n") == notes, err
        return out.splitlines()

    return run_here


def what(lines: list[str]) -> list[str]:
    """Kind and the rest of each line."""
    return [" ".join(line.split()[3:]) for line in lines]


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def create(name: str, parent: int = 1, **fields: Any) -> Create:
    return Create("User", name, parent=parent, fields=fields)


def test_a_line_tells_time_index_term_kind_and_what_was_done(log: LogWriter, told: Run) -> None:
    log.write(create("ann", Age=30))
    log.blank(3)
    log.write(SetFields("/Root/ann", "Age", 31))
    assert told() == [
        "-                             0 t1  membership    voters 1 at 127.0.0.1:8080",
        "2026-09-21T14:13:21.000Z      1 t1  raise         feature level 6",
        "2026-09-21T14:13:21.000Z      1 t1  epoch         0123456789abcdef",
        "2026-09-21T14:13:21.000Z      1 t1  schema.set    Folder inherits Object; User inherits Object, +Age (Int), "
        "+Email (String), +Boss (EntityReference), +Friends (EntityList), +Photo (Blob), +Born (Timestamp)",
        "2026-09-21T14:13:22.000Z      2 t1  create        /Root/ann (User) Age: 30",
        "2026-09-21T14:13:22.000Z      3 t3  blank         node 1 leads",
        "2026-09-21T14:13:24.000Z      4 t3  set           /Root/ann (User) Age: 30 -> 31",
    ]


def test_names_stand_where_the_log_has_numbers(log: LogWriter, told: Run) -> None:
    log.write(create("ann"), create("bob"), create("bob"))
    log.write(SetFields(2, "Boss", 3), SetFields(2, "Friends", [3, 4]), SetFields(2, "Boss->Email", "b@x"))
    log.write(SetFields(3, "Parent", 2), SetFields(3, "Name", "rob"), Delete(4))
    log.write(SetFields(2, fields={"Friends": [], "Boss": None}))
    assert what(told("--index", "3..")) == [
        "set /Root/ann (User) Boss: null -> /Root/bob",
        "set /Root/ann (User) Friends: [] -> [/Root/bob, /Root/bob#2]",
        'set /Root/bob (User) Email: "" -> "b@x"',
        "set /Root/ann/bob (User) Parent: /Root -> /Root/ann",
        'set /Root/ann/rob (User) Name: "bob" -> "rob"',
        "delete /Root/bob (User)",
        "set /Root/ann (User) Friends: [/Root/ann/rob, (missing) 4] -> [], Boss: /Root/ann/rob -> null",
    ]


def test_values_of_every_kind_and_long_ones(log: LogWriter, told: Run) -> None:
    log.write(create("ann", Photo="aGVsbG8=", Born="2000-01-01T00:00:00Z"))
    log.write(SetFields(2, "Email", "x" * 500), SetFields(2, "Photo", ""))
    assert what(told("--index", "2..")) == [
        'create /Root/ann (User) Photo: (5 bytes), Born: "2000-01-01T00:00:00Z"',
        f'set /Root/ann (User) Email: "" -> "{"x" * 200}..." (500 characters)',
        "set /Root/ann (User) Photo: (5 bytes) -> (0 bytes)",
    ]
    assert objects(told("--index", "3", "--format", "json"))[0]["changes"][0]["fields"]["Email"]["new"] == "x" * 500


def test_steps_of_a_pipeline_have_a_line_each(log: LogWriter, told: Run) -> None:
    log.write(Pipeline([create("ann"), Get("$1"), SetFields("$1", "Age", 3), SetFields(99, "Age", 1), Delete("$1")]))
    log.write(Pipeline([Get(1)]))
    assert what(told("--index", "2..")) == [
        "create /Root/ann (User)",
        "set /Root/ann (User) Age: 0 -> 3",
        "set @99 Age: 1 (refused: not_found: entity 99 does not exist)",
        "delete /Root/ann (User)",
        "pipeline reads alone",
    ]
    found = objects(told("--index", "2", "--format", "json"))
    assert [(line["step"], line["within"], line["revision"]) for line in found] == [
        (1, "pipeline", 2),
        (3, "pipeline", 3),
        (4, "pipeline", 3),
        (5, "pipeline", 4),
    ]


def test_a_transaction_is_a_line_with_all_it_did(log: LogWriter, told: Run) -> None:
    log.write(create("ann"))
    log.write(Transaction([SetFields(2, "Age", 1), create("bob", 2, Age=4), SetFields(2, "Age", 2)]))
    log.write(Transaction([Delete(2)], [Condition(2, "Age", "==", 7)]))
    assert what(told("--index", "3..")) == [
        "transaction set /Root/ann (User) Age: 0 -> 2; create /Root/ann/bob (User) Age: 4",
        "transaction delete /Root/ann (User) (refused: conflict: condition 1: field Age of entity 2: expected == 7, "
        "found value 2 at revision 3)",
    ]


def test_whole_subtrees_and_orders_of_children(log: LogWriter, told: Run) -> None:
    log.write(create("ann"), create("bob", 2), create("cid", 3), create("dan", 2))
    log.write(SetFields(2, "Children", [5, 3]), Delete(2))
    assert what(told("--index", "3")) == ["set reorder /Root/ann (User)", "delete /Root/ann (User) and 3 below it"]


def test_changes_of_types(log: LogWriter, told: Run) -> None:
    log.write(create("ann"))
    log.write(FieldSet("User", "Phone", FieldChange(Kind.String)))
    log.write(FieldSet("User", "Phone", FieldChange(default="none", rank=7)))
    assert what(told("--index", "3..")) == [
        "field.set User +Phone (String)",
        'field.set User Phone default: "" -> "none", Phone rank: 6 -> 7',
    ]


def test_commands_that_come_in_parts_are_shown_as_what_they_are(log: LogWriter, told: Run) -> None:
    text = encode_json(SetFields("/Root", "Name", "Top")).decode()
    log.write(StagePart("x", 0, text[:10]), StagePart("x", 1, text[10:]), RunStaged("x", 2), RunStaged("y", 1))
    assert what(told("--index", "2")) == [
        "stage part 1 of a long command, 10 characters",
        f"stage part 2 of a long command, {len(text) - 10} characters",
        'set /Top (Root) Name: "Root" -> "Top"',
        "commit a command that came in 1 parts (refused: timeout: of the 1 parts of this command 0 arrived in time)",
    ]
    assert what(told("--kind", "commit"))[0].startswith("set ")


def test_what_was_sent_again_or_changed_nothing_says_so(log: LogWriter, told: Run) -> None:
    log.write(SessionOpen(), create("ann"))
    session = next(iter(log.state.sessions.pin().all()))[0]
    twice = SetFields(2, "Age", 5, session=session, seq=1, hash="00" * 8)
    log.write(twice, twice, SetFields(2, "Age", 5, when="changes"))
    assert what(told("--index", "3")) == [
        "set /Root/ann (User) Age: 0 -> 5",
        "set /Root/ann (User) Age: 5 (sent again: it was answered before)",
        "set /Root/ann (User) Age: 5 (it was so already)",
    ]


def test_schema_file_and_restore_tell_numbers_and_what_is_asked_for(log: LogWriter, told: Run, tmp_path: Path) -> None:
    log.write(
        Bootstrap([], [TreeNode("Root", "Root", children=[TreeNode("User", "ann"), TreeNode("User", "bob")])], "h")
    )
    log.write(Bootstrap([], [], "other"))
    entities = [DocumentEntity("Root", "Root"), *(DocumentEntity("User", name, 0) for name in ("ann", "bob", "cid"))]
    log.write(Restore(Document([msgspec.convert(USER, EntitySchema)], entities)))
    assert what(told("--index", "2..")) == [
        "bootstrap schema file: 0 types, 3 entities",
        "bootstrap nothing: a schema file was loaded before",
        "restore create: 1",
    ]
    assert what(told("--entity", "/Root/cid")) == ["restore create: 1: create /Root/cid (User)"]
    assert what(told("--entity", "/Root/bob")) == [
        "bootstrap schema file: 0 types, 3 entities: create /Root/bob (User)"
    ]


def test_passwords_are_shown_to_nobody(log: LogWriter, told: Run) -> None:
    log.write(create("ann", Email=HASH), create("bob", Email="__hashpw__(secret)"))
    log.write(SetFields(2, "Email", "a"), SetFields(2, "Email", HASH))
    log.write(Transaction([], [Condition(2, "Email", "==", "x")]), SetFields(99, "Email", "__hashpw__(secret)"))
    log.write(StagePart("x", 0, HASH))
    for form in ("human", "json"):
        text = "\n".join(told("--format", form))
        assert "scrypt" not in text
        assert "secret" not in text
    assert 'Email: "a" -> (password)' in told("--index", "3")[1]


def test_what_stands_in_the_store_cannot_command_a_terminal(log: LogWriter, told: Run) -> None:
    log.write(create("an\u202en", Email="a\x1b[2J\u2028"))
    line = told("--index", "2")[0]
    assert "an\\u202en" in line
    assert "\\u001b[2J\\u2028" in line.replace("\\\\", "\\")


@pytest.fixture
def many(log: LogWriter) -> LogWriter:
    """Entries 0 to 9 of two terms, and a snapshot behind the first two."""
    log.snapshot()
    log.write(create("ann", Age=1), Create("Folder", "box", parent=1))
    log.write(create("bob", 3))
    log.write(SetFields(2, "Age", 2))
    log.write(SetFields(2, "Email", "a"), SetFields(4, "Email", "b"))
    log.blank(2)
    log.write(SetFields(4, fields={"Age": 3, "Email": "c"}))
    log.write(Delete(3))
    log.write(FieldSet("User", "Age", FieldChange(rank=9)))
    return log


@pytest.mark.parametrize(
    ("args", "indexes"),
    [
        (["--entity", "2"], [2, 4, 5]),
        (["--entity", "/Root/ann"], [2, 4, 5]),
        (["--entity", "User$4"], [3, 5, 7, 8]),
        (["--entity", "Folder$4"], []),
        (["--entity", "/Root/box/bob"], [3, 5, 7, 8]),
        (["--entity", "2", "--entity", "4", "--field", "Email"], [5, 5, 7]),
        (["--type", "Folder"], [1, 2, 8]),
        (["--type", "User", "--field", "Age"], [1, 2, 4, 7, 9]),
        (["--field", "Age,Email", "--index", "3.."], [4, 5, 5, 7, 9]),
        (["--kind", "delete,create"], [2, 2, 3, 8]),
        (["--kind", "blank"], [6]),
        (["--term", "2"], [6, 7, 8, 9]),
        (["--term", "..1", "--index", "5.."], [5, 5]),
        (["--index", "4..5"], [4, 5, 5]),
        (["--index", "100.."], []),
        (["-n", "3"], [7, 8, 9]),
        (["-n", "0"], []),
        (["-n", "2", "--kind", "set"], [5, 7]),
        (["-n", "2", "--index", "..5"], [5, 5]),
        (["--start-time", "2026-09-21T14:13:25Z"], [5, 5, 6, 7, 8, 9]),
        (["--end-time", "2026-09-21T14:13:22Z"], [0, 1, 1, 1, 2, 2]),
        (["--start-time", "2026-09-21T14:13:23Z", "--end-time", "2026-09-21T16:13:24+02:00"], [3, 4]),
        (["--start-time", "-1s"], []),
    ],
)
def test_only_what_is_asked_for_is_shown(many: LogWriter, told: Run, args: list[str], indexes: list[int]) -> None:
    assert [line["index"] for line in objects(told(*args, "--format", "json"))] == indexes
    many.purge(1)
    assert [line["index"] for line in objects(told(*args, "--format", "json"))] == [at for at in indexes if at > 1]


def test_every_line_of_json_has_the_same_keys(many: LogWriter, told: Run) -> None:
    found = objects(told("--format", "json"))
    assert len({tuple(line) for line in found}) == 1
    last = found[-3]
    assert last == {
        "time": "2026-09-21T14:13:27Z",
        "index": 7,
        "term": 2,
        "node": 1,
        "command": 1,
        "step": None,
        "kind": "set",
        "within": None,
        "revision": 8,
        "applied": True,
        "pending": False,
        "changes": [
            {
                "action": "set",
                "id": 4,
                "type": "User",
                "path": "/Root/box/bob",
                "fields": {"Age": {"old": 0, "new": 3}, "Email": {"old": "b", "new": "c"}},
                "below": 0,
            }
        ],
        "note": None,
        "error": None,
    }


def test_names_and_old_values_begin_with_the_snapshot_that_is_there(many: LogWriter, told: Run) -> None:
    many.snapshot()
    many.write(SetFields(2, "Age", 7))
    many.purge(8)
    assert what(told(notes=1)) == ["field.set User", "set /Root/ann (User) Age: 2 -> 7"]


def test_without_a_snapshot_below_it_is_told_what_was_asked_for(many: LogWriter, told: Run) -> None:
    many.snapshot()
    many.write(SetFields(2, "Age", 7), create("cid", 2, Age=1), Delete("/Root/ann"))
    many.write(Pipeline([SetFields(5, "Age", 1, mode="add")]))
    many.purge(9)
    for file in (many.path / "snapshots").iterdir():
        file.unlink()
    assert what(told(notes=1)) == [
        "set @2 Age: 7",
        "create @2/cid (User) Age: 1",
        "delete /Root/ann",
        "set @5 Age + 1",
    ]
    assert what(told("--entity", "2", notes=1)) == ["set @2 Age: 7"]
    assert told("--index", "3..11", notes=2)


def test_damage_is_told_and_what_is_behind_it_is_shown(many: LogWriter, told: Run) -> None:
    many.snapshot()
    many.write(SetFields(2, "Age", 7))
    path = many.path / "logs" / "4.json"
    path.write_bytes(path.read_bytes()[:-30])
    found = objects(told("--format", "json", "--index", "3..", code=1, notes=2))
    assert [line["index"] for line in found] == [3, 5, 5, 6, 7, 8, 9, 10]
    assert [line["revision"] is not None for line in found] == [True, *[False] * 6, True]
    assert found[-1]["changes"][0]["fields"] == {"Age": {"old": 2, "new": 7}}


def test_an_entry_of_another_log_is_told_once_and_what_is_behind_it_is_shown(
    many: LogWriter, told: Run, tmp_path: Path
) -> None:
    other = LogWriter(tmp_path / "other")
    for term in (5, 5, 5):
        other.blank(term)
    other.close()
    shutil.copy(other.path / "logs" / "4.json", many.path / "logs" / "4.json")
    found = objects(told("--format", "json", code=1, notes=2))
    assert [line["index"] for line in found if line["index"] > 2] == [3, 4, 5, 5, 6, 7, 8, 9]


def test_the_time_of_a_first_entry_without_one_is_that_of_the_snapshot(many: LogWriter, told: Run) -> None:
    many.snapshot()
    many.blank(3)
    many.purge(9)
    assert told() == ["2026-09-21T14:13:29.000Z     10 t3  blank         node 1 leads"]
    assert len(told("--start-time", "2026-09-21T14:13:29Z")) == 1
    assert told("--start-time", "2026-09-21T14:13:30Z") == []


def test_a_damaged_snapshot_is_told_and_another_one_taken(many: LogWriter, told: Run) -> None:
    many.snapshot()
    many.write(SetFields(2, "Age", 7))
    many.purge(1)
    newest = many.path / "snapshots" / "snapshot_1790000010.json"
    os.truncate(newest, newest.stat().st_size - 5)
    assert what(told("--index", "10", code=1, notes=1)) == ["set /Root/ann (User) Age: 2 -> 7"]
    newest.write_text("rubbish")
    assert what(told("--index", "10", code=1, notes=1)) == ["set /Root/ann (User) Age: 2 -> 7"]
    newest.unlink()
    assert what(told("--index", "10")) == ["set /Root/ann (User) Age: 2 -> 7"]


@pytest.mark.parametrize("name", ["logs", "snapshots", "purged.json", "logs/5.json"])
def test_nothing_is_opened_through_a_link_or_waited_for(many: LogWriter, name: str, tmp_path: Path) -> None:
    many.snapshot()
    many.purge(1)
    (many.path / name).rename(tmp_path / "elsewhere")
    (many.path / name).symlink_to(tmp_path / "elsewhere")
    for args in ([], ["--info"], ["--verify"]):
        assert main(["--data-dir", str(many.path.parent), *args]) == 1, args
    if "." in name:
        (many.path / name).unlink()
        os.mkfifo(many.path / name)
        for args in ([], ["--info"], ["--verify"]):
            assert main(["--data-dir", str(many.path.parent), *args]) == 1, args


def test_an_entry_that_cannot_be_applied_is_told(many: LogWriter, told: Run) -> None:
    body = EntryBody(6, 0, "commands", [CheckDigest(9, "0" * 32), create("late")])
    many.directory.log.append(log_id(10, 2), record_of(log_id(10, 2), body))
    found = told("--index", "10", code=1, notes=2)
    assert what(found) == [
        f"check entry 9 has the digest {'0' * 32} (pending)",
        "create @1/late (User) (pending)",
    ]


def test_info_counts_what_is_there(many: LogWriter, told: Run) -> None:
    many.snapshot()
    many.write(create("dan"))
    many.purge(2)
    many.prepare()
    lines = told("--info")
    assert lines[0] == str(many.path)
    facts = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:] if line.strip()}
    assert facts["entries"] == "8, index 3..10 (1 blank, 7 commands)"
    assert facts["written"] == "2026-09-21T14:13:23Z .. 2026-09-21T14:13:30Z"
    assert facts["commands"] == "8 (2 create, 1 delete, 1 field.set, 4 set)"
    assert facts["purged"] == "up to index 2"
    assert facts["vote"] == "term 9 for node 1, committed"
    assert facts["1"] == "1 3..5"
    assert facts["2"] == "1 6..10"
    assert facts["snapshot_1790000010.json"].startswith("9 2 2 ")
    found = json.loads(told("--info", "--format", "json")[0])
    assert found["terms"] == [
        {"term": 1, "node": 1, "first": 3, "last": 5},
        {"term": 2, "node": 1, "first": 6, "last": 10},
    ]
    assert found["size"] == sum((many.path / "logs" / f"{index}.json").stat().st_size for index in range(3, 11))
    assert found["ready_files"] > 0
    assert found["snapshots"][0]["entities"] == 2


def test_info_of_an_empty_directory(told: Run, log: LogWriter, tmp_path: Path) -> None:
    shutil.rmtree(log.path / "logs")
    for name in ("vote.json", "committed.json"):
        (log.path / name).unlink()
    assert [" ".join(line.split()) for line in told("--info")[2:]] == [
        "entries none",
        "size 0 bytes of entries, 0 in 0 files that lie ready",
        "snapshots none",
    ]
    assert told() == []


def test_verify_says_ok_or_names_each_file(many: LogWriter, told: Run) -> None:
    many.snapshot()
    assert told("--verify") == [
        f"OK: {many.path}: 10 entries, index 0..9, terms 1..2, 2 snapshots, vote of term 9, committed up to 9"
    ]
    flipped = many.path / "logs" / "5.json"
    data = bytearray(flipped.read_bytes())
    data[-10] ^= 4
    flipped.write_bytes(data)
    (many.path / "logs" / "3.json").unlink()
    os.truncate(many.path / "logs" / "7.json", 130)
    (many.path / "logs" / "stranger.json").write_text("{}")
    lines = told("--verify", code=1, notes=1)
    assert [line.partition(": ")[0] for line in lines] == [
        str(many.path / "logs" / name) for name in ("3.json", "5.json", "7.json", "stranger.json")
    ]
    found = json.loads(told("--verify", "--format", "json", code=1)[0])
    assert found["ok"] is False
    assert [os.path.basename(each["path"]) for each in found["problems"]] == [
        "3.json",
        "5.json",
        "7.json",
        "stranger.json",
    ]


WRONG = [
    ["--nonsense"],
    ["extra"],
    ["--start-time", "yesterday"],
    ["--end-time", ""],
    ["--index", "9..5"],
    ["--term", "x"],
    ["-n", "-1"],
    ["--kind", "sett"],
    ["--entity", "Folder23"],
    ["--format", "csv"],
    ["--info", "--verify"],
    ["--info", "--follow"],
    ["--verify", "--kind", "set"],
    ["--machine", "nobody"],
]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_is_one_line_and_2(log: LogWriter, words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--data-dir", str(log.path.parent), *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("wal-tool: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("redirect", "environ", "reason"),
    [
        ("> /dev/full", {}, "cannot write to standard output: No space left on device"),
        (">&-", {}, "standard output is closed"),
        ("", {"PYTHONIOENCODING": "ascii"}, "cannot write to standard output: its encoding ascii has no U+00EB"),
    ],
)
def test_output_that_is_not_taken_is_one_line_and_a_failure(
    log: LogWriter, redirect: str, environ: dict[str, str], reason: str
) -> None:
    log.write(create("Zoë"))
    done = run("wal", "--data-dir", str(log.path.parent), redirect=redirect, **environ)
    assert done.returncode == 1
    assert done.stderr.startswith(f"wal-tool: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("follow", [[], ["--follow"]])
def test_a_closed_pipe_is_no_error_and_ends_it(log: LogWriter, follow: list[str]) -> None:
    running = follower(log, *follow)
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(60) == 0
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()


def test_control_c_ends_following_with_130_and_says_nothing(log: LogWriter) -> None:
    with follower(log, "--follow") as running:
        assert running.stdout is not None
        assert "membership" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, "")


def follower(log: LogWriter, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command("wal"), "--data-dir", str(log.path.parent), *args],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_nothing_of_a_directory_is_changed_and_nothing_is_locked(many: LogWriter, told: Run) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in many.path.rglob("*")}

    before = state()
    told()
    told("--info")
    told("--verify")
    assert state() == before
