"""The words to systemd, as they arrive at its socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcore.server.supervision.notifier import SystemdNotifier, watchdog_seconds

# sdnotify never closes its socket: a daemon has one for its lifetime.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_ready_comes_with_a_status(supervisor: socket.socket) -> None:
    SystemdNotifier().ready("Node 1 leads itself")
    assert supervisor.recv(1000) == b"READY=1\nSTATUS=Node 1 leads itself"


def test_the_status_may_change(supervisor: socket.socket) -> None:
    SystemdNotifier().status("Learner")
    assert supervisor.recv(1000) == b"STATUS=Learner"


def test_more_time_is_asked_for_in_microseconds(supervisor: socket.socket) -> None:
    SystemdNotifier().extend(1.5, "Reading the log")
    assert supervisor.recv(1000) == b"EXTEND_TIMEOUT_USEC=1500000\nSTATUS=Reading the log"


def test_stopping_is_told(supervisor: socket.socket) -> None:
    SystemdNotifier().stopping("Failed: disk")
    assert supervisor.recv(1000) == b"STOPPING=1\nSTATUS=Failed: disk"


def test_reloading_is_told_with_the_time_of_the_monotonic_clock(supervisor: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    SystemdNotifier().reloading()
    words = dict(line.split("=", 1) for line in supervisor.recv(1000).decode("ascii").splitlines())
    assert words["RELOADING"] == "1"
    assert before <= int(words["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_sign_of_life_leaves_the_status_as_it_is(supervisor: socket.socket) -> None:
    SystemdNotifier().alive()
    assert supervisor.recv(1000) == b"WATCHDOG=1"


@pytest.mark.parametrize("folder", ["/daten/größe", "/data/\udcff"])
def test_what_is_not_ascii_becomes_question_marks(supervisor: socket.socket, folder: str) -> None:
    SystemdNotifier().status(folder)
    assert supervisor.recv(1000) == b"STATUS=" + folder.encode("ascii", "replace")


def test_a_line_break_in_a_status_is_no_second_word(supervisor: socket.socket) -> None:
    SystemdNotifier().ready("data in /a\nMAINPID=1")
    assert supervisor.recv(1000) == b"READY=1\nSTATUS=data in /a MAINPID=1"


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = SystemdNotifier()
    notifier.ready("alone")
    assert not notifier.has_manager


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_watches_this_process_only_where_it_says_so(
    variables: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(variables) == seconds


def test_a_supervisor_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with contextlib.closing(SystemdNotifier()) as notifier:
        notifier.stopping("Stopping")
