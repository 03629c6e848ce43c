"""The README's examples of the tools, by their installed scripts, on the bundled schemas."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import NodeProcess
from tests.tools.running import create, environment

README = Path(__file__).parents[2] / "README.md"
SCRIPTS = Path(sys.executable).parent


def examples() -> list[str]:
    """The commands of the section on the other tools."""
    section = README.read_text().partition("\n## The other tools\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.*)$", section, re.MULTILINE)


def test_each_example_does_what_it_says(node: NodeProcess, tmp_path: Path) -> None:
    if not (SCRIPTS / "snapshot-tool").exists():
        pytest.skip("the console scripts are not installed")
    create(node, "CREATE User John /Root", "SET /Root/John IsActive true Age 30")
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    answers: dict[str, str] = {}
    for command in examples():
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace("$123", "$6")],
            cwd=tmp_path,
            env=environment(QCORE_URL=node.url, PATH=path),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        answers[command] = done.stdout
    tree, below, older, john, projects, *snapshot, made = answers.values()
    assert tree.startswith("Root (Root) [1]\n")
    assert below.startswith("Organization\n")
    assert older.split() == ["Name", "Alice", "Bob", "John"]
    assert john.split() == ["Name", "John"]
    assert projects.startswith("Name\n")
    assert snapshot == ["", "", "nothing changed\n"]
    assert made.startswith(f"{tmp_path}/raft_data/node_1: 12 entities, machine restored, cluster ")
