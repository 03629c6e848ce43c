"""Announces this node by mDNS and hears of others, on threads of its own.

Whatever goes wrong here is a warning: nodes that know each other's addresses need no multicast.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from typing import Protocol

import msgspec
import zeroconf
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

from qcore.cluster import budgets
from qcore.cluster.discovery.interfaces import Interface, announced, here
from qcore.cluster.discovery.records import SERVICE, Announcement, Sighting, joined, read
from qcore.model.hosts import host_address

__all__ = ["Discovery", "DiscoveryHost"]


class DiscoveryHost(Protocol):
    """What hears of it; on threads of the discovery, and must not block."""

    def announced(self, instance: str, address: str) -> None:
        """This node is announced, at this address among others."""

    def sighted(self, sighting: Sighting) -> None:
        """A node was heard of, or says something else of itself. This node hears of itself, too."""

    def withdrawn(self, name: str) -> None:
        """The node behind a service is gone."""

    def discovery_failed(self, problem: str) -> None:
        """Nobody can be found for now; it is tried again."""


class Discovery:
    """From `start` to `stop` of a node that listens at `host` and tells others to come to `advertised`.

    The latter may be a name or a wildcard: then the addresses of the interfaces are announced.
    """

    def __init__(
        self,
        announcement: Announcement,
        host: str,
        advertised: str,
        listener: DiscoveryHost,
        interfaces: Callable[[], list[Interface]] = here,
    ) -> None:
        self._announcement = announcement
        self._host = host
        self._advertised = host_address(advertised)
        self._listener = listener
        self._interfaces = interfaces
        self._stopping = False
        self._changed = threading.Event()
        """There is something else to announce, or the node stops."""
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def announce(self, cluster: str, state: str) -> None:
        """Say something else of this node from now on."""
        self._announcement = msgspec.structs.replace(self._announcement, cluster=cluster, state=state)
        self._changed.set()

    def stop(self, limit: float) -> bool:
        """Withdraw, and end in `limit` seconds at the most; whether everything has ended."""
        self._stopping = True
        self._changed.set()
        if self._thread.ident is not None:
            self._thread.join(limit)
        return not self._thread.is_alive()

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        problem = ""
        while not self._stopping:
            before, problem = problem, self._session()
            if problem and problem != before:
                self._listener.discovery_failed(problem)
            if problem and not self._stopping:
                self._changed.wait(budgets.INTERFACE_LOOK_SECONDS)
                self._changed.clear()

    def _session(self) -> str:
        """Announce and listen as long as the interfaces stay as they are; returns what went wrong."""
        try:
            found = announced(self._host, self._interfaces())
            if not found:
                return f"no network interface has the address {self._host}"
            with contextlib.closing(self._open(found)) as mdns:
                browser = ServiceBrowser(mdns, SERVICE, handlers=[self._on_change])
                try:
                    self._keep_announced(mdns, found)
                finally:
                    browser.cancel()
        except (OSError, RuntimeError, zeroconf.Error) as exc:
            return f"{type(exc).__name__}: {exc}" if not isinstance(exc, OSError) else exc.strerror or str(exc)
        return ""

    def _open(self, found: list[Interface]) -> Zeroconf:
        if ":" not in found[0].host:
            return Zeroconf(interfaces=[each.host for each in found], ip_version=IPVersion.V4Only)
        indexes = dict.fromkeys(each.index for each in found)
        return Zeroconf(interfaces=list(indexes), ip_version=IPVersion.V6Only)

    def _keep_announced(self, mdns: Zeroconf, found: list[Interface]) -> None:
        said = self._announcement
        info = self._info(said, found, _free_name(mdns, said.instance))
        mdns.register_service(info, allow_name_change=True)
        first = found[0].host if self._told is None else self._told
        self._listener.announced(said.instance, joined(first, said.port))
        while not self._stopping:
            self._changed.wait(budgets.INTERFACE_LOOK_SECONDS)
            self._changed.clear()
            if announced(self._host, self._interfaces()) != found:
                break
            if self._announcement != said and not self._stopping:
                said = self._announcement
                mdns.update_service(self._info(said, found, info.name))
        mdns.unregister_all_services()

    @property
    def _told(self) -> str | None:
        """The only address to announce, None for those of the interfaces."""
        told = self._advertised
        return None if told is None or told.is_unspecified else str(told)

    def _info(self, said: Announcement, found: list[Interface], name: str) -> ServiceInfo:
        hosts = [each.host for each in found] if self._told is None else [self._told]
        return ServiceInfo(
            SERVICE,
            name,
            port=said.port,
            properties=said.properties(),
            server=f"{said.instance}-{said.port}.{_label(socket.gethostname())}.local.",
            parsed_addresses=hosts,
        )

    # -- threads of zeroconf -------------------------------------------------------------------------------

    def _on_change(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if self._stopping:
            return
        if state_change is ServiceStateChange.Removed:
            self._listener.withdrawn(name)
            return
        info = zeroconf.get_service_info(service_type, name, budgets.RESOLVE_MILLISECONDS)
        if info is not None:
            sighting = read(name, info.parsed_scoped_addresses(), info.port, info.properties)
            if sighting is not None:
                self._listener.sighted(sighting)


def _free_name(mdns: Zeroconf, instance: str) -> str:
    """The instance, with a number if a node of another cluster has the name: zeroconf's own check does not see that."""
    for number in itertools.count(2):
        name = f"{instance}.{SERVICE}"
        if mdns.get_service_info(SERVICE, name, budgets.PROBE_MILLISECONDS) is None:
            break
        instance = f"{instance.partition(' ')[0]} ({number})"
    return name


def _label(name: str) -> str:
    """The first label of a host name, as DNS takes it."""
    return name.partition(".")[0][:40] or "host"
