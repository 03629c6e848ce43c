"""Tells systemd how the daemon fares: READY, STATUS, STOPPING, and that it needs more time. ASCII only."""

from __future__ import annotations

import sdnotify

__all__ = ["SystemdNotifier"]


class SystemdNotifier:
    """Talks to the service manager where there is one (``$NOTIFY_SOCKET``), to nobody elsewhere."""

    def __init__(self) -> None:
        self._socket = sdnotify.SystemdNotifier()

    def ready(self, status: str) -> None:
        """The node takes requests."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """One line that `systemctl status` shows."""
        self._send("", status)

    def extend(self, seconds: float, status: str) -> None:
        """Starting takes longer: ask for that much more time from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}", status)

    def stopping(self) -> None:
        """The node has begun to stop."""
        self._send("STOPPING=1", "Stopping")

    def _send(self, word: str, status: str) -> None:
        line = " ".join(status.splitlines())  # a second line would be a second word
        state = f"{word}\nSTATUS={line}".lstrip()
        self._socket.notify(state.encode("ascii", "replace").decode("ascii"))
