"""Which process has a socket? Asked of the kernel by the socket's local address. Linux only, TCP over IPv4 only."""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["holds_socket", "socket_inode"]


def socket_inode(host: str, port: int) -> int | None:
    """The inode of the connected socket whose own end is there, None if there is none."""
    wanted = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == wanted and fields[9] != "0":
            return int(fields[9])
    return None


def holds_socket(pid: int, inode: int) -> bool:
    """Whether a process has that socket open; False if it is gone."""
    name = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as files:
            return any(_link(file) == name for file in files)
    except OSError:
        return False


def _link(file: os.DirEntry[str]) -> str:
    try:
        return os.readlink(file.path)
    except OSError:
        return ""
