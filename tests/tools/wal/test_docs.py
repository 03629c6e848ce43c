"""The examples of docs/tools.md, on the bundled schemas."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from qcore_tools.wal.main import wal_tool
from tests.conftest import NodeFactory
from tests.process import SCHEMA_FILE
from tests.tools.running import create, run

SECTION = (Path(__file__).parents[3] / "docs" / "tools.md").read_text().partition("\n## wal-tool\n")[2]


def test_each_example_does_what_it_says(node_factory: NodeFactory) -> None:
    node = node_factory("--config-file", str(SCHEMA_FILE), name="my_data")
    node.start()
    create(
        node,
        "SET /Root/Organization/Alice Age 35",
        "SETFSCH User Phone STR",
        "TX THEN SET /Root/Organization/Bob Age 28 | DELETE /Root/Machines",
    )
    assert node.stop() == 0
    answers = []
    for words in re.findall(r"^\$ wal-tool (.*)$", SECTION, re.MULTILINE):
        done = run("wal", *shlex.split(words.replace("./my_data", str(node.folder))))
        assert (done.returncode, done.stderr) == (0, "")
        answers.append(done.stdout)
    last, of_alice, lately, info, verified = answers
    told = SECTION.partition("-n 3\n")[2].partition("\n$")[0]
    assert [line.split()[2:] for line in last.splitlines()] == [line.split()[2:] for line in told.splitlines()]
    assert [line.split()[3] for line in of_alice.splitlines()] == ["bootstrap", "set"]
    assert lately == ""
    assert info.startswith(str(node.data_dir))
    assert verified.startswith(f"OK: {node.data_dir}: ")


def test_every_option_is_told() -> None:
    options = {name for param in wal_tool.params for name in param.opts if name not in ("-V", "--version")}
    assert sorted(name for name in options if f"`{name}" not in SECTION) == []
