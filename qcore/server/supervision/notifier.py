"""The words of the daemon to systemd, as `sd_notify(3)` has them; ASCII only."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import sdnotify

__all__ = ["SystemdNotifier", "watchdog_seconds"]


class SystemdNotifier:
    """Talks to the service manager where there is one (``$NOTIFY_SOCKET``), to nobody elsewhere.

    Attributes:
        has_manager: whether there is one.
    """

    def __init__(self) -> None:
        self._socket = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self.has_manager = self._socket is not None and self._socket.socket is not None

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None and self._socket.socket is not None:
            self._socket.socket.close()
            self._socket = None

    def ready(self, status: str) -> None:
        """The node takes requests, or has taken over its settings."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """One line that `systemctl status` shows."""
        self._send("", status)

    def extend(self, seconds: float, status: str) -> None:
        """Starting takes longer: it may take that much more time from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}", status)

    def reloading(self) -> None:
        """Settings are being loaded; `ready` ends that."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}", "Loading settings")

    def stopping(self, status: str) -> None:
        """The node has begun to stop."""
        self._send("STOPPING=1", status)

    def alive(self) -> None:
        """The threads of the node move: the watchdog begins anew."""
        self._send("WATCHDOG=1", "")

    def _send(self, words: str, status: str) -> None:
        line = " ".join(status.splitlines())  # a second line would be a second word
        state = f"{words}\nSTATUS={line}" if line else words
        if self._socket is not None:
            self._socket.notify(state.lstrip().encode("ascii", "replace").decode("ascii"))


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How long this process may be silent before systemd ends it; None where it does not watch it."""
    pid, limit = environ.get("WATCHDOG_PID"), environ.get("WATCHDOG_USEC", "")
    if (pid is not None and pid != str(os.getpid())) or not limit.isdecimal():
        return None
    return int(limit) / 1_000_000 or None
