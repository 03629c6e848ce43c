"""Settings that are good one by one and not together, and those that do not fit the data directory."""

from __future__ import annotations

from qcore.disk.identity import Identity
from qcore.model.errors import ConfigError
from qcore.model.hosts import host_address, is_wildcard
from qcore.server.config.settings import Settings, split_addr

__all__ = ["check_identity", "contradictions"]


def contradictions(settings: Settings) -> list[str]:
    """Say what is wrong, a sentence for each; empty if the settings go together."""
    return [*_times(settings), *_addresses(settings), *_witness(settings)]


def check_identity(settings: Settings, identity: Identity) -> None:
    """Refuse a start that would take a node out of its cluster, or begin a second one in its place.

    Raises:
        ConfigError: says why.
    """
    _check_kind(settings, identity)
    wanted, alone = settings.cluster_id, not settings.has_others
    if wanted and identity.cluster and wanted != identity.cluster:
        raise ConfigError(f"node {identity.node} belongs to cluster {identity.cluster}, cluster_id says {wanted}")
    if alone and not identity.cluster and (wanted or settings.bootstrap == "join"):
        said = "cluster_id is set" if wanted else "bootstrap = join"
        raise ConfigError(
            f"node {identity.node} is blank and may only join a cluster ({said}), but has nobody to ask: "
            "give peers or enable_discovery"
        )
    if alone and identity.admitted:
        raise ConfigError(
            f"node {identity.node} was taken in by cluster {identity.cluster}, has nothing of it yet, and would begin "
            "another one alone: give peers or enable_discovery"
        )
    if alone and identity.promise is not None:
        raise ConfigError(
            f"node {identity.node} has promised to form {identity.promise}, and would begin another one alone: "
            "give its peers or enable_discovery"
        )


def _check_kind(settings: Settings, identity: Identity) -> None:
    if settings.witness and not identity.witness:
        raise ConfigError(
            f"node {identity.node} has a directory with data: a witness begins on an empty one, so move this one away "
            "or start without --witness"
        )
    if identity.witness and not settings.witness:
        raise ConfigError(
            f"node {identity.node} has the directory of a witness, which keeps no state: start it with --witness, or "
            "move the directory away to begin as a node with data"
        )


def _witness(settings: Settings) -> list[str]:
    if not settings.witness:
        return []
    problems = []
    if not settings.has_others:
        problems.append("witness: it votes beside others: give peers or enable_discovery")
    if settings.engine == "embedded":
        problems.append("witness: it needs engine openraft (or auto)")
    return problems


def _times(settings: Settings) -> list[str]:
    heartbeat, least, most = (
        settings.heartbeat_ms,
        settings.election_timeout_min_ms,
        settings.election_timeout_max_ms,
    )
    problems = []
    if least < 2 * heartbeat:
        problems.append(
            f"election_timeout_min_ms: expected at least twice heartbeat_ms ({heartbeat}), given {least}: "
            "one late heartbeat would end a leadership"
        )
    if most <= least:
        problems.append(f"election_timeout_max_ms: expected more than election_timeout_min_ms ({least}), given {most}")
    return problems


def _addresses(settings: Settings) -> list[str]:
    problems = []
    host, others = split_addr(settings.ws_addr)[0], settings.peers
    told = host if settings.advertise is None else split_addr(settings.advertise)[0]
    far = [peer for peer in others if not _is_loopback(split_addr(peer)[0])]
    if settings.advertise is not None and is_wildcard(told):
        problems.append(f"advertise: {settings.advertise} is no address that others can reach")
    elif others and not settings.enable_discovery and is_wildcard(told):
        problems.append(f"advertise: with ws_addr {settings.ws_addr} other nodes have to be told where this one is")
    elif far and _is_loopback(told):
        name = "ws_addr" if settings.advertise is None else "advertise"
        problems.append(f"{name}: {told} is this machine only, and {far[0]} is on another one")
    reached = far or ((others or settings.enable_discovery) and not _is_loopback(host))
    if reached and settings.cluster_secret_file is None and not settings.insecure:
        problems.append(
            "cluster_secret_file: expected a secret, as nodes talk between machines; "
            "insecure does without one, where everybody on the network is trusted"
        )
    return problems


def _is_loopback(host: str) -> bool:
    address = host_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback
