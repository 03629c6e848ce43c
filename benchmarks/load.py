"""Building and running the compiled load client, load.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

__all__ = ["Load", "Measured", "build", "measure"]

SOURCE = Path(__file__).with_name("load.c")
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")


class Load(msgspec.Struct, frozen=True):
    """How hard to press: `connections`, each with `depth` requests on the wire at a time."""

    connections: int
    depth: int = 1


class Measured(msgspec.Struct, frozen=True):
    """What the load client printed: answers per second, latencies in microseconds, answers that were errors.

    `answered` counts the warm-up, too, and `cpu_seconds` is what the client itself took for all of these.
    """

    rate: float
    requests: int
    seconds: float
    p50_us: int
    p99_us: int
    max_us: int
    errors: int
    closed: int
    answered: int
    cpu_seconds: float


def build(folder: Path) -> Path:
    """Compile load.c into `folder` unless it is there and newer than its source; return the program."""
    program = folder / "load"
    if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", *FLAGS, "-o", str(program), str(SOURCE)], check=True)
    return program


def measure(
    program: Path, protocol: str, addresses: str, messages: Path, load: Load, *limit: str, deadline: float | None = None
) -> Measured:
    """Run `program` against `addresses` (host:port, ...); `limit` is ("--seconds", "3") or ("--requests", "4000")."""
    shape = ("--connections", str(load.connections), "--depth", str(load.depth))
    arguments = [str(program), *shape, *limit, protocol, addresses, str(messages)]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, timeout=deadline)
    return msgspec.json.decode(done.stdout, type=Measured)
