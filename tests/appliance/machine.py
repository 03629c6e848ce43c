"""A machine with a real systemd: PID 1 of its own namespaces, on a throw-away overlay of this one's root.

Nothing outside is touched: what is written goes to a tmpfs, the network is a loopback of its own, and the processes
lack the capabilities to reboot or to set the clock. Root, util-linux, iproute2 and a cgroup2 hierarchy are needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

__all__ = ["Machine", "missing"]

DEADLINE = 120.0
"""Seconds after which a wait is given up; generous, as it only bounds a failure."""

LEAVING = 60.0
"""Seconds that killed processes have to be gone."""

SYSTEMD = "/lib/systemd/systemd"
PROGRAMS = ("unshare", "nsenter", "setpriv", "pivot_root", "ip", "systemctl", "make")
PAUSE = 0.05

SETUP = """
mount -t tmpfs -o size=2g tmpfs "$1"; cd "$1"; mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root; cd root
mount -t proc proc proc; mount -t sysfs -o ro sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp; mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm; mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm; ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
ip link set lo up
rm -rf etc/systemd/system/*.wants usr/local/lib/qcore* usr/local/bin etc/qcore etc/default/qcore* var/lib/qcore
mkdir -p usr/local/bin
shift
while [ $# -gt 0 ]; do
    mkdir -p "./$2"; mount --bind "$1" "./$2"; mount -o remount,bind,ro "./$2"; shift 2
done
mkdir run/outside; pivot_root . run/outside; cd /; umount -l /run/outside; rmdir /run/outside; mount --make-rshared /
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    setpriv --bounding-set -sys_boot,-sys_time,-sys_module "$SYSTEMD" --unit=multi-user.target
"""


def missing() -> str | None:
    """Say what keeps a machine from being started here; None if nothing does."""
    if os.geteuid() != 0:
        return "a systemd of its own needs root"
    if not os.path.exists(SYSTEMD):
        return "systemd is not installed"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return None if _cgroups() else "no cgroup2 hierarchy is mounted"


def _cgroups() -> Path | None:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)


class Machine:
    """Boots on entering, is stopped on leaving; sees each of `folders`, read-only, in the place that is its value."""

    def __init__(self, folder: Path, folders: dict[Path, str]) -> None:
        self._folder = folder
        self._folders = folders
        self._group = (_cgroups() or folder) / f"qcore-test-{os.getpid()}"
        self._console = folder / "console.log"
        self._outer: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Machine:
        place = self._folder / "machine"
        place.mkdir()
        self._group.mkdir()
        try:
            with self._console.open("wb") as console:
                self._outer = self._start(place, console)
            self._init = self._wait_for_init()
            self.wait("systemctl is-system-running 2>/dev/null | grep -qE '^(running|degraded)$'")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        if self._outer is not None:
            if self._init:
                os.kill(self._init, signal.SIGRTMIN + 3)  # systemd: halt
            try:
                self._outer.wait(DEADLINE if self._init else 0)
            except subprocess.TimeoutExpired:
                self._outer.kill()  # unshare takes the namespaces' init along
                self._outer.wait()
        self._remove_group()

    def shell(self, command: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Run a command line as root; standard error comes with the output."""
        return subprocess.run(
            [*self._inside(), "/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    def run(self, command: str) -> str:
        """Run a command line that has to succeed; returns its output."""
        done = self.shell(command)
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{self.journal()}"
        return done.stdout.strip()

    def wait(self, condition: str) -> None:
        """Wait until a command line succeeds."""
        end = time.monotonic() + DEADLINE
        while (done := self.shell(condition)).returncode:
            assert self._outer is not None
            alive = self._outer.poll() is None
            assert alive, f"the machine has ended:\n{self._console.read_text(errors='replace')}"
            assert time.monotonic() < end, f"never: {condition}\n{done.stdout}\n{self.journal()}"
            time.sleep(PAUSE)

    def journal(self, words: str = "-n 60 -u 'qcore*'") -> str:
        """What the journal says; `words` are journalctl's."""
        return self.shell(f"journalctl --no-pager --quiet {words}").stdout

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --value --property {name} {unit}")

    def _start(self, place: Path, console: IO[bytes]) -> subprocess.Popen[bytes]:
        spaces = "--mount --pid --fork --kill-child --uts --ipc --cgroup --net --propagation private"
        mounts = [word for here, there in self._folders.items() for word in (str(here), there)]
        start = f'echo $$ >"$GROUP/cgroup.procs"; exec unshare {spaces} sh -euc "$SETUP" sh "$@"'
        return subprocess.Popen(
            ["sh", "-euc", start, "sh", str(place), *mounts],
            env={"PATH": os.environ["PATH"], "GROUP": str(self._group), "SETUP": SETUP, "SYSTEMD": SYSTEMD},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )

    def _remove_group(self) -> None:
        """Remove its cgroups, when the last process of it has ended: unshare does not wait for those it takes along."""
        end = time.monotonic() + LEAVING
        while "populated 1" in (self._group / "cgroup.events").read_text() and time.monotonic() < end:
            time.sleep(PAUSE)
        for path, names, _files in os.walk(self._group, topdown=False):
            for name in names:
                os.rmdir(os.path.join(path, name))
        self._group.rmdir()

    def _wait_for_init(self) -> int:
        """The process, as this machine numbers it, that is PID 1 there, once it is systemd."""
        assert self._outer is not None
        end = time.monotonic() + DEADLINE
        pid = self._outer.pid
        while self._outer.poll() is None and time.monotonic() < end:
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
            time.sleep(PAUSE)
        raise AssertionError(f"no systemd came up:\n{self._console.read_text(errors='replace')}")

    def _inside(self) -> list[str]:
        enter = ["nsenter", "-t", str(self._init), "-m", "-p", "-u", "-i", "-n", "-C"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, "env", "-i", path, "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"]
