"""Three etcd members on loopback, and their load client, which is a Go program built when it is needed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.cluster.members import COUNT, Case, addresses
from benchmarks.cluster.usage import Usage, metrics, process_usage
from benchmarks.load import Measured
from benchmarks.peers import ENTITIES, FOLDER, START_DEADLINE, free_addresses

__all__ = ["EtcdCluster", "missing"]

SOURCE = Path(__file__).with_name("etcd_load")
OPERATIONS = {"write": "put", "read": "get"}

_LEADS = "etcd_server_is_leader"
_FLUSHES = ("etcd_disk_wal_fsync_duration_seconds_count", "etcd_disk_backend_commit_duration_seconds_count")


def missing() -> str | None:
    """What etcd cannot be measured without, None if everything is there."""
    if shutil.which("etcd") is None:
        return "etcd is not installed (Debian: apt install etcd-server)"
    if shutil.which("go") is None:
        return "Go, which makes etcd's load client, is not installed (Debian: apt install golang-go)"
    return None


def build(folder: Path) -> Path:
    """Make the load client in `folder` unless it is there and newer than its source; return the program.

    Raises:
        RuntimeError: it could not be made; Go's own words.
    """
    program = folder / "etcd_load"
    newest = max(file.stat().st_mtime for file in SOURCE.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-o", str(program.resolve()), "."]
        done = subprocess.run(command, cwd=SOURCE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"etcd's load client cannot be built; it needs its Go modules:\n{done.stderr}")
    return program


class EtcdCluster:
    """Members m1 to m3 with their data in `folder`, and `ENTITIES` keys."""

    name = "etcd"

    def __init__(self, folder: Path) -> None:
        self._program = build(FOLDER)
        self._folder = folder
        self._clients = free_addresses(COUNT)
        self._peers = free_addresses(COUNT)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for place in range(COUNT):
                process = self._start(place)
                stack.callback(process.wait)
                stack.callback(process.kill)
                self._processes.append(process)
            end = time.monotonic() + START_DEADLINE
            while not all(self._healthy(place) for place in range(COUNT)):
                if time.monotonic() > end:
                    raise RuntimeError(f"etcd did not start, see {self._folder}/*.log")
                time.sleep(0.05)
            self._run("-keys", str(ENTITIES), "fill", self._clients[0])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def leader(self) -> int:
        """See `Cluster.leader`."""
        end = time.monotonic() + START_DEADLINE
        while time.monotonic() < end:
            for place in range(COUNT):
                if metrics(self._clients[place])[_LEADS]:
                    return place
            time.sleep(0.02)
        raise RuntimeError("no member of etcd leads")

    def press(self, case: Case, seconds: float) -> Measured:
        """See `Cluster.press`."""
        where = addresses(self._clients, self.leader(), case.target)
        shape = ("-clients", str(case.load.connections), "-depth", str(case.load.depth), "-keys", str(ENTITIES))
        return msgspec.json.decode(
            self._run(*shape, "-seconds", str(seconds), OPERATIONS[case.operation], where), type=Measured
        )

    def usage(self, place: int) -> Usage:
        """See `Cluster.usage`."""
        found = metrics(self._clients[place])
        return process_usage(self._processes[place].pid, sum(found[name] for name in _FLUSHES))

    def describe(self) -> str:
        """See `Cluster.describe`."""
        said = subprocess.run(["etcd", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        return f"{said.split()[2]}, flushes its log before it answers"

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        cluster = ",".join(f"m{n + 1}=http://{address}" for n, address in enumerate(self._peers))
        clients, peers = f"http://{self._clients[place]}", f"http://{self._peers[place]}"
        name = f"m{place + 1}"
        command = ["etcd", "--name", name, "--data-dir", str(self._folder / name), "--logger", "zap"]
        command += ["--listen-client-urls", clients, "--advertise-client-urls", clients]
        command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        command += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _healthy(self, place: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._clients[place]}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False

    def _run(self, *arguments: str) -> bytes:
        return subprocess.run([str(self._program), *arguments], check=True, stdout=subprocess.PIPE).stdout
