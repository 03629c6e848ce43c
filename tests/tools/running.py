"""Runs a console tool as a process of its own, as people and scripts do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from qcore_tools.cli.main import main as cli
from tests.process import NodeProcess

__all__ = ["command", "create", "environment", "run"]

ROOT = Path(__file__).parents[2]


def command(tool: str) -> list[str]:
    """The command that starts a tool, `tree` for tree-tool."""
    return [sys.executable, "-m", f"qcore_tools.{tool}"]


def environment(**changed: str) -> dict[str, str]:
    """The environment of a tool, without settings of whoever runs the tests."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tools")]), "PYTHONUTF8": "1"}
    return {name: value for name, value in os.environ.items() if not name.startswith("QCORE_")} | paths | changed


def run(
    tool: str, *args: str, url: str = "", stdin: str = "", redirect: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; `redirect` is a shell's, such as ``> /dev/full``."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *command(tool), *args],
        input=stdin,
        capture_output=True,
        env=environment(**({"QCORE_URL": url} if url else {}), **environ),
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def create(node: NodeProcess, *commands: str) -> None:
    """Run commands of qcore-cli on a node."""
    words = [word for each in commands for word in ("-c", each)]
    assert cli(["--url", node.url, *words]) == 0
