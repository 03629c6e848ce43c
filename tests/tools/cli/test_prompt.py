"""The prompt: its completion by itself, the rest in a real terminal against a real node."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from qcore_tools.cli.prompt import WordCompleter, history_file
from tests.process import DEADLINE, NodeProcess

ROOT = Path(__file__).parents[3]
CONTROL_C, CONTROL_D = "\x03", "\x04"
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
"""Makes standard input the terminal that controls the process, so that Ctrl-C reaches it."""

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")


def completions(text: str) -> list[str]:
    return [found.text for found in WordCompleter().get_completions(Document(text), CompleteEvent())]


def test_names_of_commands_are_completed_in_the_case_they_begin_in() -> None:
    assert completions("FIND") == ["FIND", "FINDEX", "FINDPAG"]
    assert completions("del") == ["del", "delete"]
    assert completions("HELP GETC") == ["GETCSCH"]
    assert completions("Q") == ["QUIT"]
    assert completions("GET E") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PIPELINE CRE", ["CREATE"]),
        ("PIPELINE CREATE User a | se", ["set", "setfsch", "setsch"]),
        ("TX ", ["IF", "THEN"]),
        ("TX IF 12 EX", []),
        ("TX IF 12 EXISTS THEN DEL", ["DEL", "DELETE"]),
        ("SETFSCH User Age RE", ["REF", "REFLIST"]),
        ("PIPELINE SETFSCH User Age bo", ["bool", "boolean"]),
        ("SETFSCH User A", []),
        ("PIPELINE GET Q", []),
    ],
)
def test_commands_within_others_and_kinds_are_completed(text: str, expected: list[str]) -> None:
    assert completions(text) == expected


def test_history_is_kept_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "qcore" / "cli_history"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file() == tmp_path / ".local" / "state" / "qcore" / "cli_history"


class Terminal:
    """qcore-cli on a terminal of its own."""

    def __init__(self, url: str, home: Path, no_color: str = "1") -> None:
        self.home = home
        self._master, slave = pty.openpty()
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, sys.executable, "-m", "qcore_tools.cli", "--url", url],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={
                **os.environ,
                "PYTHONPATH": paths,
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",
                "XDG_STATE_HOME": str(home),
                "NO_COLOR": no_color,
            },
        )
        os.close(slave)
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait until the terminal shows the pattern after what was expected before; returns what it matched."""
        end = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self._seen)):
            assert self._read(end), f"{pattern!r} is not in {self._seen!r}"
        self._seen = self._seen[found.end() :]
        return found[0]

    def interrupt(self, pattern: str) -> None:
        """Press Ctrl-C until the terminal shows the pattern; the first may come before the command runs."""
        end = time.monotonic() + DEADLINE
        while not re.search(pattern, self._seen) and time.monotonic() < end:
            self.type(CONTROL_C)
            pause = time.monotonic() + 1
            while not re.search(pattern, self._seen) and self._read(pause):
                pass
        self.expect(pattern)

    def wait(self) -> int:
        end = time.monotonic() + DEADLINE
        while self._read(end):
            pass
        return self._process.wait(DEADLINE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self, end: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, 4096)
        except OSError:  # what Linux gives when the last process has left the terminal
            return False
        self._seen += ESCAPES.sub("", data.decode("utf-8", "replace"))
        return bool(data)


@pytest.fixture
def terminal(node: NodeProcess, tmp_path: Path) -> Iterator[Callable[[], Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(**kwargs: str) -> Terminal:
        opened.append(Terminal(node.url, tmp_path / "state", **kwargs))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def test_a_session_at_the_prompt_is_the_readmes(terminal: Callable[[], Terminal]) -> None:
    cli = terminal()
    cli.expect(">")
    cli.type("PING\r")
    cli.expect(r"\nPONG\r\n")
    cli.type("create User john@example.com\r")
    id = cli.expect(r"Created entity: \d+").split()[-1]
    cli.type(f'SET {id} Name "John Doe"\r')
    cli.expect(r"\nOK\r\n")
    cli.type(f"GET {id} Name\r")
    cli.expect(r'\n"John Doe"\r\n')
    cli.type("FROB\r")
    cli.expect(r"\(error\) usage: unknown command 'FROB'")
    cli.type("GET 'x\r")
    cli.expect(r"\(error\) usage: the quote ' is never closed")
    cli.type("quit\r")
    assert cli.wait() == 0
    assert "+PING" in (cli.home / "qcore" / "cli_history").read_text()


def test_control_c_clears_the_line_and_control_d_leaves(terminal: Callable[[], Terminal]) -> None:
    cli = terminal()
    cli.expect(">")
    cli.type("DELETE 1" + CONTROL_C)
    cli.expect(">")
    cli.type("PING\r")
    cli.expect(r"\nPONG\r\n")
    cli.expect(">")
    cli.type(CONTROL_D)
    assert cli.wait() == 0


def test_a_lost_connection_is_announced_and_healed(terminal: Callable[[], Terminal], node: NodeProcess) -> None:
    cli = terminal()
    cli.expect(">")
    node.kill()
    cli.expect("connection to ws://.* lost: ")
    node.start()
    cli.expect("connected to ws://")
    cli.type("PING\r")
    cli.expect(r"\nPONG\r\n")


def test_what_is_announced_at_the_prompt_is_red_and_shows_no_codes(
    terminal: Callable[..., Terminal], node: NodeProcess
) -> None:
    cli = terminal(no_color="")
    cli.expect(">")
    node.kill()
    assert "[31m" not in cli.expect(r"(\S*)connection to ws://.* lost: .*\n")


def test_control_c_ends_a_command_and_not_the_session(terminal: Callable[[], Terminal], node: NodeProcess) -> None:
    cli = terminal()
    cli.expect(">")
    node.pause()
    cli.type("PING")
    cli.expect("PING")
    cli.type("\r")
    cli.interrupt("interrupted")
    node.resume()
    cli.expect(">")
    cli.type("INFO\r")
    cli.expect("Current Leader: 1")


def test_control_c_ends_polling_and_the_prompt_is_back(terminal: Callable[[], Terminal], node: NodeProcess) -> None:
    cli = terminal()
    cli.expect(">")
    cli.type("CREATE User ann\r")
    id = cli.expect(r"Created entity: \d+").split()[-1]
    cli.type(f"LISTEN {id} Age\r")
    cli.expect("Listening to Age of")
    cli.type(f"SET {id} Age 30\r")
    cli.expect(r"\nOK\r\n")
    cli.type("POLL\r")
    cli.expect(f"{id} Age: 0 -> 30")
    cli.type(CONTROL_C)
    cli.type(f"UNLISTEN {id} Age\r")
    cli.expect(r"\nOK\r\n")
    cli.type("POLL\r")
    cli.expect("nothing is listened to")
