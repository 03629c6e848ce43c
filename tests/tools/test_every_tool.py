"""What holds for every tool that talks to a server, each run as a process."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

from qcore.version import VERSION
from tests.process import NodeProcess
from tests.tools.running import command, environment, run

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
SCRIPTS = tomllib.loads(PROJECT.read_text())["project"]["scripts"]
TOOLS = [name for name in SCRIPTS if name != "qcore"]

READERS = {"tree": [], "select": ["--entity-type", "User"], "snapshot": ["take", "--output", "-"]}
"""For each tool that shows what the store holds the words that make it read all of it."""

ARGS = READERS | {"benchmark": ["--requests", "20", "--keyspace", "10", "--warmup", "0", "--test", "PING,SET"]}
"""For each tool the words that make it write to standard output."""

tools = pytest.mark.parametrize("tool", list(ARGS))
readers = pytest.mark.parametrize("tool", list(READERS))


@pytest.mark.parametrize("script", TOOLS)
def test_each_console_script_tells_its_name_version_and_options(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    module, _, name = SCRIPTS[script].partition(":")
    main = getattr(importlib.import_module(module), name)
    assert main(["-V"]) == 0
    assert capfd.readouterr().out == f"{script} {VERSION}\n"
    assert main(["-h"]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: {script} [OPTIONS]")


@tools
@pytest.mark.parametrize("words", [["--nonsense"], ["--url", "http://a"], ["--wait", "-1"]])
def test_wrong_usage_is_one_line_and_2(tool: str, words: list[str]) -> None:
    done = run(tool, *ARGS[tool], *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{tool}-tool: ")
    assert done.stderr.count("\n") == 1


@tools
def test_without_a_server_it_is_3_and_each_url_is_named(tool: str) -> None:
    done = run(tool, *ARGS[tool], "--url", "127.0.0.1:1,127.0.0.1:2")
    assert (done.returncode, done.stdout) == (3, "")
    assert "ws://127.0.0.1:1 (connection refused), ws://127.0.0.1:2 (connection refused)" in done.stderr


@tools
def test_the_next_url_is_tried_when_one_does_not_answer(tool: str, node: NodeProcess) -> None:
    done = run(tool, *ARGS[tool], "--wait", "60", url=f"127.0.0.1:1,{node.url}")
    assert done.returncode == 0
    assert ("Alice" if tool in READERS else node.url) in done.stdout


@tools
@pytest.mark.parametrize(
    ("redirect", "reason"),
    [
        ("> /dev/full", "cannot write to standard output: No space left on device"),
        (">&-", "standard output is closed"),
    ],
)
def test_output_that_is_not_taken_is_one_line_and_a_failure(
    tool: str, node: NodeProcess, redirect: str, reason: str
) -> None:
    done = run(tool, *ARGS[tool], url=node.url, redirect=redirect)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tool}-tool: {reason}")
    assert done.stderr.count("\n") == 1


@readers
def test_a_character_that_the_output_does_not_have_is_a_failure(tool: str, node: NodeProcess) -> None:
    assert run("cli", "CREATE", "User", "Zoë", "/Root", url=node.url).returncode == 0
    flags = ["--ascii"] if tool == "tree" else []
    done = run(tool, *ARGS[tool], *flags, url=node.url, PYTHONIOENCODING="ascii")
    reason = "cannot write to standard output: its encoding ascii has no U+00EB"
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tool}-tool: {reason}")
    assert done.stderr.count("\n") == 1


@tools
def test_a_closed_pipe_is_no_error(tool: str, node: NodeProcess) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*command(tool), *ARGS[tool]],
            env=environment(QCORE_URL=node.url),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@tools
def test_control_c_ends_with_130_and_says_nothing(tool: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        running = subprocess.Popen(
            [*command(tool), *ARGS[tool], "--url", url, "--wait", "600"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with running:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                running.send_signal(signal.SIGINT)
                assert running.communicate(timeout=60) == ("", "")
    assert running.returncode == 130


@pytest.mark.parametrize("tool", ["tree", "select"])
def test_what_stands_in_the_store_cannot_command_a_terminal(tool: str, node: NodeProcess) -> None:
    assert run("cli", "SET", "9", "Email", "a\x1b[2J\u202eb", url=node.url).returncode == 0
    done = run(tool, *ARGS[tool], "--fields", "Email", url=node.url)
    assert done.returncode == 0
    assert "a\\u001b[2J\\u202eb" in done.stdout.replace("\\\\", "\\")
