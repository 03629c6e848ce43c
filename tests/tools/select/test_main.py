"""select-tool against a real node."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qcore_tools.select.main import main
from tests.process import NodeProcess
from tests.tools.running import create

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def select(node: NodeProcess, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run select-tool in this process; returns exit code, standard output and standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return main(["--url", node.url, *args]), *capfd.readouterr()

    return run


def test_the_readmes_calls_find_what_they_say(select: Run) -> None:
    assert select("--entity-type", "User", "--filter", "Age > 25") == (0, "Name\nAlice\nBob\n", "")
    john = select("--entity-type", "User", "--filter", "Name == 'John' && IsActive == true")
    assert john == (0, "Name\n", "no entity found\n")
    projects = select("--entity-type", "Project", "--filter", "Department->Name == 'Engineering'")
    assert projects == (0, "Name\nApollo\n", "")


def test_columns_stand_in_the_order_asked_and_are_as_wide_as_what_is_shown(node: NodeProcess, select: Run) -> None:
    create(node, "CREATE User 漢字 /Root")
    code, out, err = select(
        "--entity-type", "User", "--fields", "Age,Name,Department->Name", "--order-by", "Age:desc", "--show-ids"
    )
    assert (code, out.splitlines()) == (
        0,
        [
            "id  Age  Name   Department->Name",
            "9   34   Alice  Engineering",
            "10  27   Bob    Engineering",
            "12  0    漢字   (not_found)",
        ],
    )
    assert err.startswith("Department->Name: ")
    assert err.endswith("(1 of 3 entities)\n")


def test_csv_json_ids_and_count_are_for_programs(select: Run) -> None:
    users = ["--entity-type", "User", "--fields", "Name,Age"]
    rows = list(csv.reader(io.StringIO(select(*users, "--format", "csv", "--show-types")[1])))
    assert rows == [["type", "Name", "Age"], ["User", "Alice", "34"], ["User", "Bob", "27"]]
    lines = select(*users, "--format", "json")[1].splitlines()
    assert json.loads(lines[0]) == {"id": 9, "type": "User", "name": "Alice", "fields": {"Name": "Alice", "Age": 34}}
    assert select(*users, "--format", "ids")[1] == "9\n10\n"
    assert select(*users, "--format", "count")[1] == "2\n"
    assert select(*users, "--format", "count", "--limit", "1")[1] == "1\n"


@pytest.mark.parametrize(("format", "out"), [("json", ""), ("csv", "Name\n"), ("ids", ""), ("count", "0\n")])
def test_no_entity_is_no_error(select: Run, format: str, out: str) -> None:
    assert select("--entity-type", "User", "--filter", "false", "--format", format) == (0, out, "")


def test_descendants_are_left_out_on_request(select: Run) -> None:
    assert select("--entity-type", "Object", "--format", "count")[1] == "11\n"
    assert select("--entity-type", "Object", "--exact", "--format", "count")[1] == "0\n"


def test_all_pages_are_read_up_to_the_limit(node: NodeProcess, select: Run) -> None:
    words = " | ".join(f"CREATE Folder n{number} /Root" for number in range(400))
    create(node, *[f"PIPELINE {words}"] * 3)
    assert len(select("--entity-type", "Folder", "--format", "ids")[1].splitlines()) == 1202
    assert len(select("--entity-type", "Folder", "--format", "ids", "--limit", "1100")[1].splitlines()) == 1100
    err = select("--entity-type", "Folder", "--format", "ids", "--metrics")[2]
    assert err.startswith("1,202 entities, 2 pages, ")


def test_a_filter_without_an_answer_is_told(node: NodeProcess, select: Run) -> None:
    code, _, err = select("--entity-type", "User", "--filter", "10 / (Age - 34) < 0")
    assert code == 0
    assert err.startswith("the filter has no answer for 1 of the entities; ")


def test_an_export_is_a_file_that_is_there_whole_or_not_at_all(select: Run, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    words = ["--entity-type", "User", "--format", "csv", "--export", str(file)]
    assert select(*words) == (0, "", "")
    assert file.read_text() == "Name\nAlice\nBob\n"
    assert select(*words, "--filter", "Nope ==")[0] == 1
    assert file.read_text() == "Name\nAlice\nBob\n"
    assert list(tmp_path.glob(".*")) == []
    code, _, err = select("--entity-type", "User", "--export", str(tmp_path / "no" / "file"))
    assert (code, err) == (1, f"select-tool: cannot write {tmp_path}/no/file: No such file or directory\n")
    assert select("--entity-type", "User", "--export", "/dev/full")[2].endswith("No space left on device\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--entity-type", "Nope"], "Nope"),
        (["--entity-type", "User", "--filter", "Age >"], "filter"),
        (["--entity-type", "User", "--order-by", "Nope"], "Nope"),
    ],
)
def test_what_the_server_refuses_is_one_line_and_1(select: Run, words: list[str], said: str) -> None:
    code, out, err = select(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [[], ["--entity-type", "User", "--limit", "0"], ["--entity-type", "User", "--format", "xml"], ["--entity-type"]],
)
def test_wrong_words_are_2(select: Run, words: list[str]) -> None:
    assert select(*words)[:2] == (2, "")
