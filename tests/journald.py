"""A real journald with a journal of its own, and real nodes that log to it: in a mount namespace, beside the machine's.

Needs root and Debian's package systemd; nothing of the machine's own journal is read or written.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.process import DAEMON, DEADLINE

__all__ = ["WITHOUT_JOURNALD", "Journald"]

DAEMON_PATH = "/lib/systemd/systemd-journald"

CATALOG = Path(__file__).parent.parent / "packaging" / "systemd" / "qcore.catalog"

WITHOUT_JOURNALD = (
    None
    if os.geteuid() == 0 and Path(DAEMON_PATH).exists() and shutil.which("systemd-cat") and shutil.which("nsenter")
    else "a journald of the test's own needs root and the package systemd"
)
"""Why there is none here, None if there can be one."""

SET_UP = f"""
set -e
mkdir -p /etc/systemd /lib/systemd/catalog /var/lib/systemd
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd /run/log
mount -t tmpfs tmpfs /etc/systemd
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitBurst=0\\n' > /etc/systemd/journald.conf
if ! [ -s /etc/machine-id ]; then
    echo 0123456789abcdef0123456789abcdef > /run/machine-id
    touch /etc/machine-id
    mount --bind /run/machine-id /etc/machine-id
fi
mount -t tmpfs tmpfs /lib/systemd/catalog
mount -t tmpfs tmpfs /var/lib/systemd
mkdir /var/lib/systemd/catalog
cp "$1" /lib/systemd/catalog/
journalctl --update-catalog
exec {DAEMON_PATH}
"""
"""What belongs to the machine is hidden from journald, and journald from the machine."""


WITH_STREAM = 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"'
"""What systemd tells a service of its stderr; its own `systemd-cat` does not."""


class Journald:
    """Runs from the beginning until it is closed. `inside` begins a command that sees it in place of the machine's."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", SET_UP, "sh", str(CATALOG)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.inside = ("nsenter", "--mount", "-t", str(self._process.pid))
        end = time.monotonic() + DEADLINE
        while self._process.poll() is None and self._run("test", "-S", "/run/systemd/journal/socket").returncode:
            assert time.monotonic() < end, "journald does not listen"
            time.sleep(0.02)
        assert self._process.poll() is None, self._process.communicate()

    @property
    def daemon(self) -> Sequence[str]:
        """Starts a daemon with stderr in the journal, as a unit does."""
        return (*self.inside, "systemd-cat", "-t", "qcore", "sh", "-c", WITH_STREAM, "sh", *DAEMON)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The lines that a `journalctl` command as people type it finds, with all their fields."""
        words = shlex.split(query)
        assert words[0] == "journalctl"
        self._run("journalctl", "--sync")
        done = self._run(*words, "--output=json", "--all", "--no-pager")
        assert done.returncode == 0 or not done.stderr.strip(), f"{query}: {done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    def show(self, query: str) -> str:
        """What such a command shows to people."""
        self._run("journalctl", "--sync")
        return self._run(*shlex.split(query), "--no-pager").stdout

    def wait_for(self, query: str) -> dict[str, Any]:
        """Wait until a query finds something; returns its first line."""
        end = time.monotonic() + DEADLINE
        while not (found := self.ask(query)):
            assert time.monotonic() < end, f"{query}: nothing, of {self.show('journalctl')}"
            time.sleep(0.05)
        return found[0]

    def close(self) -> None:
        """End it, with its journal."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=DEADLINE)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.inside, *command], capture_output=True, text=True)
