"""tree-tool against a real node."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from qcore_tools.tree.main import main
from tests.process import NodeProcess
from tests.tools.running import create

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tree(node: NodeProcess, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run tree-tool in this process; returns exit code, standard output and standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return main(["--url", node.url, *args]), *capfd.readouterr()

    return run


def test_the_readmes_calls_show_the_tree(node: NodeProcess, tree: Run) -> None:
    create(node, "CREATE Folder Lost")
    code, out, err = tree()
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[:3] == ["Root", "├── Machines", "│   └── server-1"]
    assert lines[-3:] == ["Lost", "", "12 entities, depth 3"]
    assert "├── Alice (User) [9]" in tree("--verbose")[1]
    assert (
        tree("--max-depth", "3", "--start-from", "Folder$6", "--show-types")[1].splitlines()[0]
        == "Organization (Folder)"
    )
    assert tree("--max-depth", "0")[1] == "Root\nLost\n\n2 entities, depth 0\n"
    assert tree("--start-from", "/Root/Organization/Alice", "--show-ids")[1] == "Alice [9]\n\n1 entity, depth 0\n"


def test_a_type_leaves_what_leads_to_its_entities(tree: Run) -> None:
    code, out, _ = tree("--type", "User", "--ascii")
    assert (code, out) == (0, "Root\n`-- Organization\n    |-- Alice\n    `-- Bob\n\n4 entities, depth 2\n")


def test_fields_are_shown_where_there_are_such(tree: Run) -> None:
    code, out, err = tree("--fields", "Age,Department->Name")
    assert (code, err) == (0, "")
    assert 'Alice {Age: 34, Department->Name: "Engineering"}' in out
    assert "Machines\n" in out
    assert tree("--fields", "Aeg")[2].startswith("no entity has Aeg: ")


def test_json_has_the_same_tree(tree: Run) -> None:
    code, out, _ = tree("--format", "json", "--fields", "Age", "--start-from", "9")
    assert code == 0
    assert json.loads(out) == {
        "trees": [{"id": 9, "type": "User", "name": "Alice", "fields": {"Age": 34}, "children": []}],
        "entities": 1,
        "depth": 0,
    }


def test_more_entities_than_one_message_asks_for_are_all_there(node: NodeProcess, tree: Run) -> None:
    words = " | ".join(f"CREATE Folder n{number} /Root" for number in range(400))
    create(node, *[f"PIPELINE {words}"] * 3)
    assert tree()[1].splitlines()[-1] == "1,211 entities, depth 3"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--start-from", "Folder23"], "a shell eats the $"),
        (["--start-from", "99"], "entity 99 does not exist"),
        (["--type", "Nope"], "Nope"),
    ],
)
def test_what_is_not_there_is_one_line_and_1(tree: Run, words: list[str], said: str) -> None:
    code, out, err = tree(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--max-depth", "-1"], ["--fields", "a,,b"], ["--format", "csv"], ["extra"]])
def test_wrong_words_are_2(tree: Run, words: list[str]) -> None:
    assert tree(*words)[:2] == (2, "")
