"""A real node as a child process, for tests and benchmarks: start, stop, kill, freeze, restart, read its log.

Plain blocking calls and one thread that reads standard error, so that it serves tests with and without a loop.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.engines import engine_name

__all__ = ["DAEMON", "DEADLINE", "SCHEMA_FILE", "NodeProcess", "adopt_orphans", "children"]

DEADLINE = 60.0
"""Seconds after which a wait for a condition is given up; generous, as it only bounds a failure."""

SCHEMA_FILE = Path(__file__).parent.parent / "schemas.yaml"
DAEMON = (sys.executable, "-m", "qcore.server.main")
PR_SET_CHILD_SUBREAPER = 36
INHERITED = ("JOURNAL_STREAM", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class NodeProcess:
    """One node on its own data directory `folder`; it may be started again on the same data after its end.

    The first start picks a free port; later ones listen on the same address, as a restarted service does.
    `flags` are added to the daemon's own, `env` to an environment without QCORE_* and systemd's variables,
    `command` starts the daemon (a console script, or Python with a profiler).

    Attributes:
        logged: how often it has logged which event, over all its starts; ``Traceback`` counts as one.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        node: int = 1,
        command: Sequence[str] = DAEMON,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.node = node
        self.flags = flags
        self.command = command
        self.env = env or {}
        self.address = "127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.logged: Counter[str] = Counter()
        self._lines: list[str] = []
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """`ws://host:port` of the running node."""
        return f"ws://{self.address}"

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def data_dir(self) -> Path:
        """The node's own directory, with logs/ and vote.json."""
        return self.folder / f"node_{self.node}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start the daemon and, unless told otherwise, wait until it listens; raises with its log if it ends first."""
        if self.running:
            raise RuntimeError(f"node {self.node} runs already, pid {self.pid}")
        self._lines = []
        own = ("--id", str(self.node), "--ws-addr", self.address, "--data-dir", str(self.folder))
        self._process = subprocess.Popen(
            [*self.command, *own, "--log-format", "json", *self.flags],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if wait:
            self._wait_until_listening()

    def wait_for_event(self, event: str, deadline: float = DEADLINE) -> dict[str, Any]:
        """Return the first log record whose `event` is this word, waiting for it up to `deadline` seconds."""
        self._wait(lambda: bool(self.events(event)) or not self._reading(), deadline, f"logged `{event}`")
        found = self.events(event)
        if not found:
            raise AssertionError(f"node {self.node} ended with {self.wait()} before it logged `{event}`:\n{self.log()}")
        return found[0]

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log records since the last start whose `event` is this word."""
        return [record for record in map(parse_record, self.log_lines()) if record.get("event") == event]

    def log_lines(self) -> list[str]:
        """What the node wrote to standard error since its last start."""
        with self._changed:
            return list(self._lines)

    def log(self) -> str:
        return "\n".join(self.log_lines())

    def kill(self) -> int | None:
        """SIGKILL, as `kill -9` does; returns the exit code when the process is gone. No error if it already is."""
        if self.running:
            self._started().kill()
        return None if self._process is None else self.wait()

    def stop(self, deadline: float = DEADLINE) -> int:
        """SIGTERM; returns the exit code."""
        self._started().terminate()
        return self.wait(deadline)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for the node's end and the last line of its log; returns the exit code."""
        code = self._started().wait(deadline)
        if self._reader is not None:
            self._reader.join(deadline)
        return code

    def pause(self) -> None:
        """SIGSTOP: the node hangs, its sockets stay open. Returns when it stands still."""
        self._started().send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self._started().send_signal(signal.SIGCONT)

    def resident_bytes(self) -> int:
        """Memory the process holds now (VmRSS)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(f"pid {self.pid} has no memory any more")

    def __enter__(self) -> NodeProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError(f"node {self.node} was not started")
        return self._process

    def _wait_until_listening(self) -> None:
        try:
            self.address = self.wait_for_event("listening")["url"].removeprefix("ws://").rstrip("/")
        except BaseException:
            self.kill()
            raise

    def _environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("QCORE_") and k not in INHERITED}
        return clean | {"QCORE_ENGINE": engine_name()} | dict(self.env)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self.logged[event_of(line)] += 1
                    self._changed.notify_all()

    def _reading(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def _wait(self, condition: Callable[[], bool], deadline: float, what: str) -> None:
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"node {self.node} has not {what} within {deadline} s:\n{self.log()}")
            with self._changed:
                self._changed.wait(0.05)


def parse_record(line: str) -> dict[str, Any]:
    """A log line as a record; a traceback's line or other text is a record without an event."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def event_of(line: str) -> str:
    """The event of a log line; the first word of what is no record."""
    return str(parse_record(line).get("event") or line.partition(" ")[0].rstrip("\n"))


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends, so that `children` sees them. Linux only."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> dict[int, str]:
    """Processes below this one, pid -> command line; those that ended and wait to be reaped are left out."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, after = stat.read_text().rpartition(")")
            state, parent = after.split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:
            continue
    return found
