"""qcore-cli against a real node: in this process where only output counts, as a process where stdin and signals do."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore_tools.cli.main import main
from qcore_tools.terminal import visible
from tests.process import NodeProcess

COMMAND = (sys.executable, "-m", "qcore_tools.cli")
ROOT = Path(__file__).parents[3]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(node: NodeProcess, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run qcore-cli in this process; returns exit code, standard output and standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["--url", node.url, *args])
        return code, *capfd.readouterr()

    return run


def environment(**changed: str) -> dict[str, str]:
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tools")])}
    return {name: value for name, value in os.environ.items() if not name.startswith("QCORE_")} | paths | changed


def process(
    node: NodeProcess, *args: str, stdin: str = "", stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    env = environment(QCORE_URL=node.url)
    return subprocess.run(
        [*COMMAND, *args],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=env,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_readmes_session_gives_what_the_readme_says(cli: Run) -> None:
    assert cli("-c", "PING") == (0, "PONG\n", "")
    code, out, _ = cli("-c", "CREATE User john@example.com")
    assert code == 0
    created, _, id = out.rstrip("\n").rpartition(" ")
    assert created == "Created entity:"
    assert cli("-c", f'SET {id} Name "John Doe"') == (0, "OK\n", "")
    assert cli("-c", f"GET {id} Name") == (0, '"John Doe"\n', "")
    assert cli("-c", f"GET {id} Name", "-f", "csv")[1].splitlines()[1].startswith("Name,John Doe,")
    assert json.loads(cli("-c", f"GET {id} Name", "-f", "json")[1])["fields"]["Name"]["value"] == "John Doe"
    assert cli("-c", f"SET {id} Age 30") == (0, "OK\n", "")
    assert cli("-c", f"DELETE {id}") == (0, "OK\n", "")
    assert cli("-c", f"EXISTS {id}") == (0, "false\n", "")
    code, out, _ = cli("-c", "INFO")
    assert "Current Leader: 1" in out.splitlines()


def test_arguments_are_one_command_and_negative_values_are_no_options(cli: Run) -> None:
    id = cli("-f", "raw", "CREATE", "User", "ann")[1].strip()
    assert cli("SET", id, "Age", "-5", "Email", "a b") == (0, "OK\n", "")
    assert cli("get", id, "Age", "Email") == (0, 'Age: -5\nEmail: "a b"\n', "")
    assert cli("ADD", id, "Age", "7")[0] == 0
    assert cli("SUB", id, "Age", "1")[0] == 0
    assert cli("-f", "raw", "GET", id, "Age") == (0, "1\n", "")


def test_entities_are_moved_and_found(cli: Run) -> None:
    folder = cli("-f", "raw", "CREATE", "Folder", "Box", "/Root")[1].strip()
    user = cli("-f", "raw", "CREATE", "User", "ann", f"Folder${folder}")[1].strip()
    assert cli("EXISTS", "/Root/Box/ann") == (0, "true\n", "")
    assert cli("MOVE", user, "null") == (0, "OK\n", "")
    assert cli("GET", user, "Parent") == (0, "null\n", "")
    assert cli("MOVE", user, "@1") == (0, "OK\n", "")
    assert f"User${user}  ann\n" in cli("FIND", "User")[1]
    code, out, err = cli("-f", "raw", "FINDPAG", "User", "1")
    assert (code, len(out.splitlines())) == (0, 1)
    cursor = err.removeprefix("Cursor: ").strip()
    assert cli("-f", "raw", "FINDPAG", "User", "100", cursor)[1].splitlines()[-1] == user
    assert cli("-f", "raw", "FINDEX", "Object") == (0, "", "")


def test_filters_choose_what_is_found_and_counted(cli: Run) -> None:
    alice = "User$9  Alice\n"
    assert cli("FIND", "User", "Age > 30") == (0, alice, "")
    assert cli("FINDPAG", "User", "10", "-", "Department->Name == 'Engineering' && Age>30||Age<0") == (0, alice, "")
    assert cli("FINDEX", "Object", "10", "Name == 'Alice'") == (0, "", "")
    assert cli("COUNT", "User", "Age > 20") == (0, "2\n", "")
    code, out, err = cli("FIND", "User", "100 / (Age - 34) > -50")
    assert (code, out) == (0, "User$10  Bob\n")
    assert err.startswith("the filter has no answer for 1 of the entities; entity 9: ")
    assert cli("-c", "PIPELINE FIND User Age>30||Age<0 | COUNT User 'Age > 30 || Age < 0'") == (0, f"{alice}1\n", "")


def test_errors_are_on_standard_error_and_give_the_exit_code(cli: Run) -> None:
    assert cli("GET", "999999") == (1, "", "(error) not_found: entity 999999 does not exist\n")
    code, out, err = cli("GET", "1", "Name", "Nope")
    assert (code, out) == (1, 'Name: "Root"\n')
    assert err.startswith("(error) not_found: ")
    assert cli("FROB", "User", "Age") == (2, "", "(error) usage: unknown command 'FROB'; HELP lists the commands\n")
    assert cli("FIND", "User", "Age >")[2].startswith("(error) bad_filter: ")


def test_an_id_whose_dollar_the_shell_ate_gets_a_hint(cli: Run) -> None:
    code, _, err = cli("GET", "Folder23")
    assert code == 1
    assert "shell" in err
    assert "$" in err
    assert "single quotes" in err


def test_json_is_one_line_for_each_command_also_where_it_fails(cli: Run) -> None:
    code, out, err = cli("-f", "json", "--keep-going", "-c", "PING", "-c", "GET 999999", "-c", "FOO", "-c", "GET 1 X")
    assert (code, err) == (1, "")
    pong, missing, unknown, field = map(json.loads, out.splitlines())
    assert pong == "PONG"
    assert missing == {"error": {"kind": "not_found", "message": "entity 999999 does not exist"}}
    assert unknown["error"]["kind"] == "usage"
    assert field["fields"]["X"]["error"]["kind"] == "not_found"


def test_commands_run_in_order_until_one_fails(cli: Run) -> None:
    assert cli("-c", "PING", "-c", "GET 999999", "-c", "PING")[1] == "PONG\n"
    assert cli("--keep-going", "-c", "PING", "-c", "GET 999999", "-c", "PING")[1] == "PONG\nPONG\n"
    assert cli("-r", "3", "-c", "PING")[1] == "PONG\n" * 3


def test_schemas_are_printed_and_set_from_files(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    fields = [{"name": "Flow", "dataType": "Float"}, {"name": "Note", "dataType": "String"}]
    file.write_text(json.dumps([{"entityType": "Pump", "inheritsFrom": ["Object"], "fields": fields}]))
    assert cli("SETSCH", str(file)) == (0, "OK\n", "")
    file.write_text(cli("GETSCH", "Pump")[1])
    assert cli("SETSCH", str(file)) == (0, "OK\n", "")
    assert "Pump" in cli("TYPES")[1].splitlines()
    rows = cli("-f", "csv", "GETCSCH", "Pump")[1].splitlines()
    assert rows[0] == "name,dataType,default,rank,choices,storageScope"
    assert "Note" in [row.split(",")[0] for row in rows]


@pytest.mark.parametrize(("content", "kind"), [("{", "bad_schema"), ("42", "bad_schema"), (None, "file")])
def test_a_schema_file_that_is_none_is_named(cli: Run, tmp_path: Path, content: str | None, kind: str) -> None:
    file = tmp_path / "schema.json"
    if content is not None:
        file.write_text(content)
    code, _, err = cli("SETSCH", str(file))
    assert code == 1
    assert err.startswith(f"(error) {kind}: ")
    assert "schema.json" in err


def test_a_file_is_the_value_of_a_blob_and_of_nothing_else(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "avatar"
    file.write_bytes(b"\x00\xff")
    user = cli("-f", "raw", "CREATE", "User", "ann")[1].strip()
    assert cli("SET", user, "Avatar", f"@{file}", "Email", f"@{file}") == (0, "OK\n", "")
    assert cli("-f", "raw", "GET", user, "Avatar", "Email") == (0, f"AP8=\n@{file}\n", "")


def test_a_file_for_a_blob_that_cannot_be_read_is_named_with_the_reason(cli: Run, tmp_path: Path) -> None:
    user = cli("-f", "raw", "CREATE", "User", "ann")[1].strip()
    missing = tmp_path / "avatar"
    for file, reason in ((missing, "No such file or directory"), (tmp_path, "Is a directory")):
        assert cli("SET", user, "Avatar", f"@{file}") == (1, "", f"(error) file: cannot read {file}: {reason}\n")
    code, _, err = cli("PIPELINE", "CREATE", "User", "x", "|", "ADD", "$1", "Avatar", f"@{missing}")
    assert (code, err) == (1, f"(error) file: cannot read {missing}: No such file or directory\n")
    assert cli("SET", user, "Email", f"@{missing}") == (0, "OK\n", "")


def test_what_stands_in_the_store_cannot_command_a_terminal(cli: Run) -> None:
    evil = "a\x9b2Jb\x7fc\u202ed\u2028e\x1b[2J"
    folder = cli("-f", "raw", "CREATE", "Folder", "safe\u202ecod.exe")[1].strip()
    cli("SET", folder, "Description", evil)
    for words in (("GET", folder), ("GET", folder, "Description"), ("FIND", "Folder"), ("GET", folder, evil)):
        _, out, err = cli(*words)
        assert not [char for char in out + err if char != "\n" and visible(char) != char], words
    assert cli("-f", "raw", "GET", folder, "Description")[1] == f"{evil}\n"


def test_a_byte_order_mark_before_a_script_is_passed_over(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "commands.txt"
    file.write_bytes(b"\xef\xbb\xbfPING\r\n")
    assert cli("--eval", str(file)) == (0, "PONG\n", "")


def test_a_file_named_like_an_id_does_not_hide_the_id(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    department = cli("-f", "raw", "CREATE", "Department", "d")[1].strip()
    user = cli("-f", "raw", "CREATE", "User", "ann")[1].strip()
    (tmp_path / department).write_text("no id")
    monkeypatch.chdir(tmp_path)
    assert cli("SET", user, "Department", f"@{department}") == (0, "OK\n", "")
    assert cli("GET", user, "Department") == (0, f"{department}\n", "")


def test_a_pipeline_prints_what_its_commands_print_and_goes_on_after_a_failure(cli: Run) -> None:
    code, out, err = cli(
        "-c", "PIPELINE CREATE User ann | SET $1 Age 30 | SET 999999 Age 1 | GET $1 Age | SET $1 Name 'a|b' | EXISTS $1"
    )
    created, *others = out.splitlines()
    assert created.startswith("Created entity: ")
    assert others == ["OK", "30", "OK", "true"]
    assert (code, err) == (1, "(error) not_found: command 3: entity 999999 does not exist\n")
    assert cli("GET", created.split()[-1], "Name")[1] == '"a|b"\n'


def test_a_pipeline_in_json_is_the_apis_answer(cli: Run) -> None:
    code, out, err = cli("-f", "json", "-c", "PIPELINE CREATE User ann | DELETE $1 | GET $1 | COUNT Nope")
    created, deleted, gone, unknown = json.loads(out)
    assert created["result"]["id"] > 0
    assert deleted["result"]["deleted"] == 1
    assert [failed["error"]["data"]["kind"] for failed in (gone, unknown)] == ["not_found", "not_found"]
    assert (code, err) == (1, "")


def test_a_bar_among_arguments_separates_commands(cli: Run) -> None:
    code, out, _ = cli("-f", "raw", "PIPELINE", "CREATE", "User", "ann", "|", "GET", "$1", "Name")
    assert code == 0
    assert out.splitlines()[1:] == ["ann"]


def test_a_file_is_the_value_of_a_blob_of_what_a_pipeline_creates(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "avatar"
    file.write_bytes(b"\x00\xff")
    words = ["PIPELINE", "CREATE", "User", "x", "|", "SET", "$1", "Avatar", f"@{file}", "|", "GET", "$1", "Avatar"]
    assert cli("-f", "raw", *words)[1].splitlines()[1:] == ["OK", "AP8="]


def test_a_transaction_is_done_whole_or_not_at_all(cli: Run) -> None:
    id = cli("-f", "raw", "CREATE", "User", "ann")[1].strip()
    assert cli("-c", f"TX IF {id} Age == 0 IF {id} EXISTS THEN SET {id} Age 1 | SET {id} Email x")[:2] == (
        0,
        "OK\nOK\n",
    )
    code, out, err = cli("-c", f"TX IF {id} Age < 1 THEN SET {id} Age 2")
    assert (code, out) == (1, "")
    assert err.startswith("(error) conflict: condition 1: ")
    code, out, err = cli("-c", f"TX THEN SET {id} Age 2 | SET {id} Age old")
    assert (code, out) == (1, "")
    assert err.startswith("(error) bad_value: command 2: ")
    assert cli("GET", id, "Age")[1] == "1\n"
    revision = json.loads(cli("-f", "json", "GET", id, "Age")[1])["fields"]["Age"]["revision"]
    assert cli("-c", f"TX IF {id} Age REVISION {revision} THEN SET {id} Age 2")[:2] == (0, "OK\n")
    assert cli("-c", f"TX IF {id} Age REVISION {revision} THEN SET {id} Age 3")[0] == 1
    assert cli("-c", "TX IF 999999 MISSING THEN EXISTS 999999")[:2] == (0, "false\n")


def test_an_error_in_a_pipeline_of_a_script_has_the_line_of_the_pipeline(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "commands.txt"
    file.write_text("PING\nPIPELINE EXISTS 1 | \\\nGET 999999 | DELETE 999999 # both fail\nPING\n")
    code, out, err = cli("--eval", str(file))
    assert (code, out) == (1, "PONG\ntrue\n")
    assert err.splitlines() == [f"{file}:2: not_found: command {n}: entity 999999 does not exist" for n in (2, 3)]


def test_fields_of_schemas_are_set_read_and_asked_for(cli: Run) -> None:
    assert cli("FEXISTS", "User", "Mood") == (0, "false\n", "")
    assert cli("SETFSCH", "User", "Mood", "choice", "Good", "--labels", "Bad,Good", "--scope", "Runtime") == (
        0,
        "OK\n",
        "",
    )
    assert cli("FEXISTS", "User", "Mood") == (0, "true\n", "")
    before = json.loads(cli("GETFSCH", "User", "Mood")[1])
    assert (before["default"], before["choices"], before["storageScope"]) == ("Good", ["Bad", "Good"], "Runtime")
    assert cli("SETFSCH", "User", "Mood", "CHOICE", "--rank", "99")[0] == 0
    assert json.loads(cli("-f", "json", "GETFSCH", "User", "Mood")[1]) == before | {"rank": 99}
    user = cli("-f", "raw", "CREATE", "User", "ann")[1].strip()
    assert cli("-f", "raw", "GET", user, "Mood")[1] == "Good\n"
    code, _, err = cli("SETFSCH", "User", "Mood", "CHOICE", "--labels", "Bad")
    assert (code, err.split(":")[0]) == (1, "(error) bad_schema")
    assert cli("GETFSCH", "User", "Nope")[0] == 1
    assert cli("GETFSCH", "User", "Name")[0] == 0


def test_a_dry_run_of_a_schema_checks_it_and_sets_nothing(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"entityType": "Pump", "inheritsFrom": [], "fields": []}')
    before = cli("-f", "raw", "DIGEST")
    assert cli("SETSCH", "--dry-run", str(file)) == (0, "OK\n", "")
    assert "Pump" not in cli("TYPES")[1].splitlines()
    file.write_text('{"entityType": "Pump", "inheritsFrom": ["Nope"], "fields": []}')
    assert cli("SETSCH", str(file), "--dry-run")[2].startswith("(error) bad_schema: ")
    assert cli("-f", "raw", "DIGEST") == before


def test_values_are_reset_only_with_the_flag(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"entityType": "Pump", "fields": [{"name": "Age", "dataType": "Int"}]}')
    assert cli("SETSCH", str(file))[0] == 0
    pump = cli("-f", "raw", "CREATE", "Pump", "p")[1].strip()
    assert cli("SET", pump, "Age", "3")[0] == 0
    change = ("SETFSCH", "Pump", "Age", "STRING")
    assert cli(*change, "--dry-run") == (0, "OK\nWould reset Pump.Age of 1 entity\n", "")
    code, _, err = cli(*change)
    assert code == 1
    assert err.startswith("(error) in_use: this would reset stored values: Pump.Age of 1 entity; say reset (--reset)")
    assert cli("GET", pump, "Age")[1] == "3\n"
    file.write_text('{"entityType": "Pump"}')
    assert cli("SETSCH", str(file), "--dry-run")[1] == "OK\nWould reset Pump.Age of 1 entity\n"
    assert cli("SETSCH", str(file))[0] == 1
    assert cli(*change, "--reset") == (0, "OK\nReset Pump.Age of 1 entity\n", "")
    assert cli("SETSCH", str(file), "--reset") == (0, "OK\n", "")


def test_entities_are_counted_and_the_state_has_a_digest(cli: Run) -> None:
    users = int(cli("COUNT", "User")[1])
    cli("CREATE", "User", "ann")
    assert cli("-f", "csv", "COUNT", "User") == (0, f"count,errors\n{users + 1},0\n", "")
    code, out, err = cli("COUNT", "User", "100 / (Age - 34) > -50")
    assert (code, int(out)) == (0, len(cli("FIND", "User", "100 / (Age - 34) > -50")[1].splitlines()))
    assert err.startswith("the filter has no answer for 1 of the entities; entity 9: ")
    assert json.loads(cli("-f", "json", "COUNT", "User", "100 / (Age - 34) > -50")[1])["errors"] == 1
    assert cli("COUNT", "User", "Age >")[2].startswith("(error) bad_filter: ")
    digest = json.loads(cli("-f", "json", "DIGEST")[1])
    assert cli("DIGEST")[1].startswith(f"Revision: {digest['revision']}\nDigest: {digest['digest']}\n")


def test_a_snapshot_is_taken_and_its_file_named(cli: Run) -> None:
    code, out, _ = cli("SNAP")
    taken = json.loads(cli("-f", "json", "SNAP")[1])
    assert (code, out) == (0, f"Index: {taken['index']}\nRevision: {taken['revision']}\nFile: {taken['file']}\n")
    assert Path(taken["file"]).exists()


def test_a_script_runs_until_the_first_failure_which_is_named_by_file_and_line(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "commands.txt"
    file.write_text("# a script\nPING\n\nGET 999999 # no such\nPING\n")
    assert cli("--eval", str(file)) == (1, "PONG\n", f"{file}:4: not_found: entity 999999 does not exist\n")
    code, out, _ = cli("--keep-going", "--eval", str(file))
    assert (code, out) == (1, "PONG\nPONG\n")


def test_a_script_ends_at_exit(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "commands.txt"
    file.write_text("PING\nexit\nPING\n")
    assert cli("--eval", str(file)) == (0, "PONG\n", "")


def test_a_quote_that_is_never_closed_ends_a_script(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "commands.txt"
    file.write_text("PING\nGET '1\n")
    assert cli("--eval", str(file)) == (2, "PONG\n", f"{file}:2: usage: the quote ' is never closed\n")


def test_standard_input_that_is_no_terminal_is_a_script(node: NodeProcess) -> None:
    done = process(node, stdin="PING\nFOO\nPING\n")
    assert (done.returncode, done.stdout) == (2, "PONG\n")
    assert done.stderr.startswith("<stdin>:2: usage: unknown command 'FOO'")
    assert process(node, stdin="").returncode == 0
    assert process(node, "--eval", "-", stdin="PING").stdout == "PONG\n"


def test_a_schema_may_come_from_standard_input(node: NodeProcess) -> None:
    done = process(node, "SETSCH", "-", stdin='{"entityType": "Pump", "fields": []}')
    assert (done.returncode, done.stdout, done.stderr) == (0, "OK\n", "")


@pytest.mark.parametrize(
    ("redirect", "environ", "reason"),
    [
        ("> /dev/full", {}, "cannot write to standard output: No space left on device"),
        (">&-", {}, "standard output is closed"),
        ("", {"PYTHONIOENCODING": "ascii"}, "cannot write to standard output: its encoding ascii has no U+00EB"),
    ],
)
@pytest.mark.parametrize("format", ["human", "json"])
def test_output_that_is_not_taken_is_one_line_and_a_failure(
    node: NodeProcess, redirect: str, environ: dict[str, str], reason: str, format: str
) -> None:
    words = [*COMMAND, "-f", format, "-c", "CREATE Folder Zoë", "-c", "FIND Folder", "-c", "PING"]
    done = subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join(words)} {redirect}"],
        env=environment(QCORE_URL=node.url, **environ),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"qcore-cli: {reason}")
    assert done.stderr.endswith("; what was asked for may have been done all the same\n")
    assert done.stderr.count("\n") == 1
    assert "PONG" not in done.stdout


def test_a_closed_pipe_is_no_error(node: NodeProcess) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = process(node, "INFO", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_control_c_ends_with_130(node: NodeProcess) -> None:
    running = subprocess.Popen(
        [*COMMAND, "-r", "-1", "-i", "600", "PING"],
        env=environment(QCORE_URL=node.url),
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == "PONG\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130


def test_without_a_server_the_exit_code_is_3_and_each_url_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "127.0.0.1:1,127.0.0.1:2", "PING"]) == 3
    err = capfd.readouterr().err
    assert "ws://127.0.0.1:1 (connection refused), ws://127.0.0.1:2 (connection refused)" in err


def test_wait_goes_on_until_a_leader_answers(node: NodeProcess) -> None:
    node.kill()
    waiting = subprocess.Popen(
        [*COMMAND, "--wait", "60", "PING"], env=environment(QCORE_URL=node.url), stdout=subprocess.PIPE, text=True
    )
    with waiting:
        node.start()
        assert waiting.communicate(timeout=60)[0] == "PONG\n"
    assert waiting.returncode == 0


def test_help_needs_no_server(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "127.0.0.1:1", "HELP"]) == 0
    assert "GET <entity_id> [field...]" in capfd.readouterr().out


def test_timing_is_told_on_standard_error(cli: Run) -> None:
    code, out, err = cli("--timing", "PING")
    assert (code, out) == (0, "PONG\n")
    assert err.endswith(" ms)\n")


@pytest.mark.parametrize(
    "args", [["-c", "PING", "PING"], ["--eval", "-", "-c", "PING"], ["-r", "2"], ["--eval", "/nowhere"], ["--frob"]]
)
def test_wrong_usage_is_exit_code_2(capfd: pytest.CaptureFixture[str], args: list[str]) -> None:
    assert main(args) == 2
    assert capfd.readouterr().err.startswith("qcore-cli: ")


def test_a_node_alone_shows_its_cluster_and_forms_no_other(cli: Run) -> None:
    code, out, _ = cli("CLUSTER")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].startswith("Leader: 1 (term ")
    assert lines[3].startswith("Member 1: 127.0.0.1:")
    assert lines[-1].startswith("Outlook: no other node has this data")
    assert cli("cluster", "status") == (0, out, "")
    code, out, err = cli("CLUSTER", "INIT", "1", "2")
    assert (code, out) == (1, "")
    assert err.startswith("(error) forbidden: node 1 runs alone as cluster")
    assert cli("CLUSTER", "TRANSFER", "1") == (0, "Current Leader: 1\n", "")
