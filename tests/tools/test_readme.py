"""The README's examples of the tools, by their installed scripts, on the bundled schemas."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NodeFactory
from tests.process import SCHEMA_FILE, NodeProcess
from tests.tools.running import create, environment

README = Path(__file__).parents[2] / "README.md"
SCRIPTS = Path(sys.executable).parent


def examples() -> list[str]:
    """The commands of the section on the other tools."""
    section = README.read_text().partition("\n## The other tools\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.*)$", section, re.MULTILINE)


def shortened(command: str) -> str:
    """The command with an id that exists, and a benchmark that is over soon."""
    command = command.replace("$123", "$6")
    return f"{command} --requests 20 --warmup 0 -q" if command.startswith("benchmark-tool") else command


def test_each_example_does_what_it_says(node: NodeProcess, tmp_path: Path) -> None:
    if not (SCRIPTS / "snapshot-tool").exists():
        pytest.skip("the console scripts are not installed")
    create(node, "CREATE User John /Root", "SET /Root/John IsActive true Age 30")
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    answers: dict[str, str] = {}
    for command in (each for each in examples() if not each.startswith("wal-tool ")):
        done = subprocess.run(
            ["/bin/sh", "-c", shortened(command)],
            cwd=tmp_path,
            env=environment(QCORE_URL=node.url, PATH=path),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        answers[command] = done.stdout
    *answered, every_test, many_clients, one_test = answers.values()
    tree, below, older, john, projects, *snapshot, made = answered
    assert tree.startswith("Root (Root) [1]\n")
    assert below.startswith("Organization\n")
    assert older.split() == ["Name", "Alice", "Bob", "John"]
    assert john.split() == ["Name", "John"]
    assert projects.startswith("Name\n")
    assert snapshot == ["", "", "nothing changed\n"]
    assert every_test.count("no errors") == many_clients.count("no errors") == 11
    assert one_test.startswith("SET: ")
    assert made.startswith(f"{tmp_path}/raft_data/node_1: 12 entities, machine restored, cluster ")


def test_each_example_of_wal_tool_does_what_it_says(node_factory: NodeFactory, tmp_path: Path) -> None:
    if not (SCRIPTS / "wal-tool").exists():
        pytest.skip("the console scripts are not installed")
    node = node_factory("--config-file", str(SCHEMA_FILE), "--machine", "qos-a", name="data")
    node.start()
    create(node, "CREATE User John /Root")
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    environ = environment(QCORE_DATA_DIR=str(node.folder), PATH=path)
    answers: list[str] = []
    for command in (each for each in examples() if each.startswith("wal-tool ")):
        running = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        with running:
            if "--follow" not in command:
                out, err = running.communicate(timeout=60)
                assert (running.returncode, err) == (0, "")
            else:
                assert running.stdout is not None
                out = running.stdout.readline()
                running.send_signal(signal.SIGINT)
                running.communicate(timeout=60)
                assert running.returncode == 130
        answers.append(out)
    everything, of_2023, followed, info = answers
    assert " create        /Root/John (User)" in everything
    assert of_2023 == ""
    assert followed.split()[1] in [line.split()[1] for line in everything.splitlines()]
    assert info.startswith(f"{node.data_dir}\n  node       1, machine qos-a, cluster ")
