"""The process: from settings to a serving node and back to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import functools
import gc
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable

import uvloop

from qcore.cluster.discovery.interfaces import announced, here
from qcore.cluster.discovery.records import joined
from qcore.cluster.hub import LinkSettings
from qcore.disk.directory import Directory
from qcore.engine.factory import make_engine, refuse_cluster
from qcore.model.errors import AlreadyRunning, ConfigError, Fatal
from qcore.model.hosts import is_wildcard
from qcore.model.requests.commands import Bootstrap
from qcore.model.schema_file.reader import parse_schema_file
from qcore.server.config.cluster_secret import read_secrets
from qcore.server.config.reload import changed, reloaded
from qcore.server.config.rules import check_identity
from qcore.server.config.settings import Settings, split_addr
from qcore.server.config.sources import Loaded
from qcore.server.front.http import FrontDoor
from qcore.server.front.websocket import Connection
from qcore.server.node import Node
from qcore.server.peers.peering import Peering
from qcore.server.recovery import find_snapshot, load
from qcore.server.runtime import budgets, logs
from qcore.server.runtime.collector import Collector, freeze_loaded
from qcore.server.runtime.timers import Periodic
from qcore.server.supervision.catch_up import CatchUp
from qcore.server.supervision.notifier import SystemdNotifier
from qcore.server.supervision.supervision import Supervision
from qcore.server.witness.node import WitnessNode
from qcore.store.state.state import State
from qcore.version import VERSION

__all__ = ["run"]

_DEFAULT_URL = "ws://127.0.0.1:8080"
"""Where the tools look by themselves."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""In the order in which they are caught: who sees the last one caught may send either."""

log = logs.get("qcore")


def run(loaded: Loaded, load_again: Callable[[], Loaded]) -> int:
    """Run the daemon until SIGTERM or SIGINT; returns the exit code 0. At SIGHUP settings are loaded again.

    Raises:
        Fatal: why it cannot start or go on; carries the exit code.
    """
    settings = loaded.settings
    logs.configure(settings.log_level, settings.log_format, settings.id)
    for warning in loaded.warnings:
        log.warning("settings_warning", message=warning)
    # Threads that wait for the interpreter's lock get it within half a millisecond, however busy the loop is.
    sys.setswitchinterval(0.0005)
    with contextlib.suppress(RuntimeError, OSError):  # stderr is nothing that it could write to
        faulthandler.enable()  # systemd's watchdog ends a process by SIGABRT: where each thread stood is told then
    with contextlib.closing(SystemdNotifier()) as notifier:
        _run_told(loaded, load_again, notifier)
    return 0


def _run_told(loaded: Loaded, load_again: Callable[[], Loaded], notifier: SystemdNotifier) -> None:
    """Run, and tell systemd and the journal why it ends, if it does so by itself."""
    settings = loaded.settings
    try:
        refuse_cluster(settings.engine, discovery=settings.enable_discovery, peers=bool(settings.peers))
        read_secrets(settings.cluster_secret_file)
        _run(settings, _read_schema_file(settings), load_again, notifier)
    except Fatal as error:
        notifier.status(f"Failed: {error.message}")
        if logs.goes_to_journal():
            _log_once(error)
        raise


def _log_once(error: Fatal) -> None:
    """Tell why the node ends, so that it can be searched for by its id."""
    if not error.logged:
        log.critical("fatal", message=error.message)
        error.logged = True


def _run(
    settings: Settings, bootstrap: Bootstrap | None, load_again: Callable[[], Loaded], notifier: SystemdNotifier
) -> None:
    """Run one node after the other in this process, as long as the one before asks for it."""
    anew = True
    while anew:
        notifier.extend(budgets.OPEN_SECONDS, "Opening the data directory")
        with contextlib.closing(_open(settings)) as directory:
            check_identity(settings, directory.identity)
            for warning in directory.warnings:
                log.warning("directory_warning", message=warning)
            daemon = _Daemon(settings, directory, bootstrap, load_again, notifier)
            uvloop.run(daemon.serve())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the loop has let go of it, and it must not end the next start
        anew, settings = daemon.anew, daemon.settings


def _open(settings: Settings) -> Directory:
    return Directory.open(settings.data_dir, settings.id, machine=settings.machine, witness=settings.witness)


def _read_schema_file(settings: Settings) -> Bootstrap | None:
    if settings.config_file is None:
        return None
    try:
        text = settings.config_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else f"it is no UTF-8 text: {exc}"
        raise ConfigError(f"cannot read the schema file {settings.config_file}: {reason}") from None
    parsed = parse_schema_file(text, str(settings.config_file))
    return Bootstrap(parsed.schemas, parsed.tree, parsed.digest)


class _Stopped(Exception):
    """A signal to stop came before there was a node."""


class _Daemon:
    """One run of the daemon."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        bootstrap: Bootstrap | None,
        load_again: Callable[[], Loaded],
        notifier: SystemdNotifier,
    ) -> None:
        self.settings = settings
        self.anew = False
        """Whether to start again in this process."""
        self._load_again = load_again
        self._directory = directory
        self._bootstrap = bootstrap
        self._node: Node | None = None
        self._supervision = Supervision(notifier, self._status_line)
        self._stop = asyncio.Event()
        self._announced = False
        self._stopped_reading = False
        """Whether a signal to stop came while snapshot and log were read: the loop stands still then."""
        self._fatal: Fatal | None = None
        self._secrets = read_secrets(settings.cluster_secret_file)
        self._peering: Peering | None = None

    async def serve(self) -> None:
        """Start, serve, stop."""
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop_reading)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._supervision.reload(self._reload))
        most = _most_connections(self.settings.max_connections)
        backlog = min(budgets.BACKLOG_CONNECTIONS, most)
        sockets = _bind(self.settings.ws_addr, backlog)
        addr = _shown(sockets[0])
        try:
            node = self._start_node(addr)
        except _Stopped:
            for sock in sockets:
                sock.close()
            self._supervision.stop("Stopped")
            log.info("stopped", message="Stopped while snapshot and log were read; nothing was written")
            return
        self._node = node
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop_for_good)
        if self._stopped_reading:
            self._stop.set()
        front = FrontDoor(node)
        front.max_connections = most
        peering = self._peering = self._make_peering(node, addr)
        collector = Collector(lambda: node.last_activity, lambda: node.is_followed)
        collector.start()
        servers = [await loop.create_server(lambda: Connection(front), sock=sock, backlog=backlog) for sock in sockets]
        node.run()
        if peering is not None:
            peering.start()
            front.take_peer = peering.accept
            self._announce(addr)
        self._supervision.watch(node.engine, None if peering is None else peering.probe)
        place = Periodic(budgets.PLACE_LOOK_SECONDS, lambda: self._is_in_place(node))
        place.start()
        await self._stop.wait()
        place.stop()
        self._supervision.stop(None if self.anew else self._why_stopping())
        collector.stop()
        await self._close(node, front, servers)
        if self._fatal is not None:
            raise self._fatal

    def _start_node(self, addr: str) -> Node:
        settings, directory = self.settings, self._directory
        engine = make_engine(
            settings.engine,
            directory,
            self._told(addr),
            settings.slow_fsync_ms / 1000,
            _warn_slow_disk,
            cluster=settings.has_others,
            timing=(settings.heartbeat_ms, settings.election_timeout_min_ms, settings.election_timeout_max_ms),
            witness=settings.witness,
        )
        begun = time.monotonic()
        gc.disable()
        if settings.witness:
            state, snapshot = State(), find_snapshot(directory, self._read_on)
        else:
            state, snapshot = load(directory, self._read_on)
        for problem in directory.snapshots.problems:
            log.warning(
                "snapshot_damaged", message=f"{problem.message} An older snapshot and the log are used instead."
            )
        ready = functools.partial(self._announce, addr)
        node = (WitnessNode if settings.witness else Node)(
            settings,
            state,
            engine,
            directory,
            addr,
            self._on_fatal,
            snapshot,
            self._bootstrap,
            ready,
            self._read_on,
        )
        node.start()
        freeze_loaded()
        self._warn_of_level(state.level)
        log.info(
            "log_replayed",
            message=f"Log read: {len(node.state.entities)} entities at revision {node.state.revision}",
            entities=len(node.state.entities),
            revision=node.state.revision,
            applied=node.state.applied,
            snapshot=None if snapshot is None else snapshot.header.last.index,
            seconds=round(time.monotonic() - begun, 3),
        )
        return node

    def _make_peering(self, node: Node, addr: str) -> Peering | None:
        """The link to other nodes, None for a node that is to be alone."""
        settings = self.settings
        if not settings.has_others:
            return None
        known = LinkSettings(secrets=self._secrets, insecure=settings.insecure)
        told = self._told(addr)
        others = [peer for peer in settings.peers if peer != told]
        peering = Peering(node, self._directory, told, others, known, self._on_fatal, self._start_anew)
        if settings.enable_discovery:
            peering.find(split_addr(addr)[0], self._secrets)
        if settings.auto_init and settings.enable_discovery and not self._directory.identity.cluster:
            self._warn_of_splitting()
        return peering

    def _stop_for_good(self) -> None:
        self.anew = False
        self._stop.set()

    def _start_anew(self) -> None:
        """Its cluster takes this node for another one from now on, as its disk is: be that."""
        log.info("starting_anew", message="This node has another place in its cluster now: starting anew")
        self.anew = not self._stop.is_set()
        self._stop.set()

    def _told(self, addr: str) -> str:
        """The address at which others reach this node, which listens at `addr`: with a wildcard the first one."""
        host, port = split_addr(addr)
        if self.settings.advertise is not None or not self.settings.enable_discovery or not is_wildcard(host):
            return self.settings.advertise or addr
        found = announced(host, here())
        return joined(found[0].host, port) if found else addr

    def _warn_of_splitting(self) -> None:
        least = self.settings.min_nodes
        log.warning(
            "min_nodes",
            message=f"Never start {2 * least} blank nodes or more with min_nodes {least}: they may form two clusters. "
            "min_nodes has to be more than half of all",
        )

    def _warn_of_level(self, level: int) -> None:
        most = self.settings.max_feature_level
        if most is not None and most < level:
            log.warning(
                "feature_level_is_higher",
                message=f"max_feature_level is {most}, but the store is at feature level {level} already, from which "
                "there is no way back: the setting has no effect, and versions that know less refuse the directory",
                level=level,
            )

    def _stop_reading(self, _number: int, _frame: object) -> None:
        self._stopped_reading = True

    def _read_on(self) -> None:
        if self._stopped_reading:
            raise _Stopped
        self._supervision.progress()

    def _status_line(self) -> str:
        return "Starting" if self._node is None else self._node.about.status_line()

    def _why_stopping(self) -> str:
        return "Stopping" if self._fatal is None else f"Failed: {self._fatal.message}"

    def _announce(self, addr: str) -> None:
        """Say once that the node serves."""
        if self._announced or self._stop.is_set():
            return
        self._announced = True
        url = f"ws://{addr}"
        whose = "is a witness" if self.settings.witness else "leads itself" if self._peering is None else "serves"
        status = f"Node {self.settings.id} {whose} on {url}, data in {self._directory.path}"
        log.info(
            "listening",
            message=f"{status}; talk to it with: {_client_words(url)}",
            url=url,
            data_dir=str(self._directory.path),
            version=VERSION,
            pid=os.getpid(),
        )
        node = self._node
        if node is None or self._peering is None or not self._directory.identity.cluster:
            self._supervision.ready()
        else:
            now = time.monotonic()
            is_led = functools.partial(_is_led, node)
            self._supervision.ready_after(CatchUp(node.ask_leader, lambda: node.state.applied, is_led, now))

    def _reload(self) -> None:
        """Take over what of the settings can change while the node runs, and say what cannot."""
        try:
            loaded = self._load_again()
        except ConfigError as error:
            log.error("reload_failed", message=f"Settings stay as they are: {error.message}")
            return
        now, later = changed(self.settings, loaded.settings)
        self.settings = reloaded(self.settings, loaded.settings)
        logs.configure(self.settings.log_level, self.settings.log_format, self.settings.id)
        for warning in loaded.warnings:
            log.warning("settings_warning", message=warning)
        if later:
            names = ", ".join(later)
            log.warning(
                "restart_needed", message=f"Changed, but in force after a restart only: {names}", settings=later
            )
        log.info("reloaded", message=f"Settings reloaded; changed: {', '.join(now) or 'nothing'}", settings=now)

    def _is_in_place(self, node: Node) -> bool:
        node.check_place()
        return self._fatal is None

    def _on_fatal(self, error: Fatal) -> None:
        if self._fatal is None:
            self._fatal = error
            log.critical("fatal", message=error.message)
            error.logged = logs.goes_to_journal()  # elsewhere it also stands on a line of its own, for people
        self._stop.set()

    async def _close(self, node: Node, front: FrontDoor, servers: list[asyncio.Server]) -> None:
        for server in servers:
            server.close()
        peering = self._peering
        if self._fatal is None:
            await node.stop()
        elif peering is not None:
            peering.abandon()
        await front.close(budgets.GOODBYE_SECONDS)
        if peering is not None:
            await peering.stop(budgets.GOODBYE_SECONDS)
        if self._fatal is None:
            log.info("stopped", message="Stopped; everything acknowledged is on disk")


def _is_led(node: Node) -> bool:
    reason = node.about.not_ready()
    return reason is None or reason.name not in ("no_leader", "no_quorum")


def _client_words(url: str) -> str:
    """The command to type for a client: by its name where the shell finds it, else by where it was installed."""
    found = shutil.which("qcore-cli") is not None
    installed = os.path.join(os.path.dirname(sys.argv[0]), "qcore-cli")
    command = "qcore-cli" if found or not os.path.exists(installed) else os.path.relpath(installed)
    return command if url == _DEFAULT_URL else f"{command} --url {url}"


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _most_connections(wanted: int) -> int:
    """Raise the limit of open files as far as needed and allowed; how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    needed = wanted + budgets.SPARE_FILES
    if soft == unlimited or soft >= needed:
        return wanted
    soft = needed if hard == unlimited else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == needed:
        return wanted
    most = max(1, soft - budgets.SPARE_FILES, soft // 4)
    log.warning(
        "few_open_files",
        message=f"This process may open {soft} files: there is room for {most} clients, not for {wanted} "
        f"(max_connections); allow it {needed} files",
    )
    return most


def _bind(ws_addr: str, backlog: int) -> list[socket.socket]:
    """Listening sockets for an address; a host name may have several.

    Raises:
        AlreadyRunning: the address is in use.
        ConfigError: it is not one of this machine.
    """
    host, port = split_addr(ws_addr)
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if sockets and port == 0:
                break
            sock = socket.socket(family, kind, proto)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(backlog)
            sock.setblocking(False)
    except OSError as exc:
        for sock in sockets:
            sock.close()
        if exc.errno in (98, 48):
            raise AlreadyRunning(f"{ws_addr} is in use by another process; choose another --ws-addr") from None
        raise ConfigError(f"cannot listen on {ws_addr}: {exc.strerror}") from None
    return sockets


def _warn_slow_disk(seconds: float) -> None:
    log.warning("slow_fsync", message="Storing a log entry took long", ms=round(seconds * 1000))
