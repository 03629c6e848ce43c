"""What can be set on a node: one flat model, and a description of each of its fields.

The model is the only definition. Flags (options.py), ``QCORE_*`` variables and TOML keys (sources.py) and the commented
settings file (config.py) are produced from `SETTINGS`, which is read off the model's fields. Where values come from and
which wins is not decided here.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from pydantic import AfterValidator, Field, JsonValue, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from qcore.model.entry import FEATURE_LEVEL

__all__ = ["SETTINGS", "Setting", "Settings", "check_origin", "split_addr"]

_ADDR = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(?:\[[0-9a-f:.]+\]|[^/\s?#@*:]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = (("http", "80"), ("https", "443"))
"""Browsers leave these out of an origin."""


def split_addr(addr: str) -> tuple[str, int]:
    """Split ``host:port`` (an IPv6 host in brackets, answered without them); ValueError when it is no such thing."""
    match = _ADDR.fullmatch(addr)
    if match is None or int(match[3]) > 65_535:
        raise ValueError(f"expected host:port, given {addr!r}")
    if match[1]:
        ipaddress.IPv6Address(match[1])
    elif not re.search("[A-Za-z_]", match[2]):
        ipaddress.IPv4Address(match[2])
    return match[1] or match[2], int(match[3])


def _listen_addr(addr: str) -> str:
    split_addr(addr)
    return addr


def _peer_addr(addr: str) -> str:
    if split_addr(addr)[1] == 0:
        raise ValueError("port 0 cannot be dialled")
    return addr


def check_origin(origin: str) -> str:
    """Return a web origin as browsers send it; ValueError where none would send that."""
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None or (match[1], match[2]) in _DEFAULT_PORTS:
        raise ValueError("no origin")
    return match[0]


def _machine_name(name: str) -> str:
    if not 1 <= len(name) <= 255 or not name.isprintable() or name != name.strip():
        raise ValueError("no machine name")
    return name


def _cluster_id(id: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", id):
        raise ValueError("no cluster id")
    return id


def _path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("no path")
    return path


def _setting(
    default: Any,
    about: str,
    *,
    group: str,
    unit: str = "",
    expected: str = "",
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    """Declare a field; `unit` is that of its number (or the form of its text), `expected` what an error asks for."""
    extra: dict[str, JsonValue] = {"group": group, "unit": unit, "expected": expected}
    return Field(default, description=about, json_schema_extra=extra, ge=ge, le=le)


_ADDRESS = "host:port with a port of {low}..65535 and an IPv6 host in brackets"


class Settings(BaseSettings):
    """Everything that can be set on a node; ``Settings(id=2)`` takes defaults for the rest and looks nowhere else."""

    model_config = SettingsConfigDict(env_prefix="QCORE_", extra="forbid", frozen=True, allow_inf_nan=False)

    id: int = _setting(1, "Number of this node, unique in its cluster.", group="Node", ge=1, le=65_535)
    machine: Annotated[str, AfterValidator(_machine_name)] | None = _setting(
        None,
        "Name of this machine. Unset: the hostname, with -<id> after it when the id is above 1.",
        group="Node",
        unit="name",
        expected="1 to 255 printable characters without spaces around them",
    )
    ws_addr: Annotated[str, AfterValidator(_listen_addr)] = _setting(
        "127.0.0.1:8080",
        "Address to serve the API and HTTP on; port 0 picks a free one.",
        group="Node",
        unit="host:port",
        expected=_ADDRESS.format(low=0),
    )
    data_dir: Annotated[Path, AfterValidator(_path)] = _setting(
        Path("./raft_data"), "Folder of the data; the node keeps its own in node_<id> below.", group="Node", unit="path"
    )
    config_file: Annotated[Path, AfterValidator(_path)] | None = _setting(
        None,
        "YAML file with schemas and a tree, loaded once into a fresh store. Unset: a bare Root.",
        group="Node",
        unit="path",
    )
    engine: Literal["auto", "openraft", "embedded"] = _setting(
        "auto", "What orders and replicates the log; auto is embedded, as a node alone needs no more.", group="Node"
    )

    max_feature_level: int | None = _setting(
        None,
        "Feature level up to which this node raises the store when it leads; while it is below the version's own, an "
        "upgrade can be taken back. Unset: the version's own.",
        group="Node",
        ge=1,
        le=1_000_000,
    )

    enable_discovery: bool = _setting(False, "Find other nodes on the local network by mDNS.", group="Cluster")
    peers: tuple[Annotated[str, AfterValidator(_peer_addr)], ...] = _setting(
        (),
        "Addresses of the other nodes of the cluster, where they are not found by discovery.",
        group="Cluster",
        unit="host:port",
        expected=_ADDRESS.format(low=1),
    )
    advertise: Annotated[str, AfterValidator(_peer_addr)] | None = _setting(
        None,
        "Address at which other nodes and clients reach this one, where it is not that of ws_addr (containers, NAT).",
        group="Cluster",
        unit="host:port",
        expected=_ADDRESS.format(low=1),
    )
    cluster_secret_file: Annotated[Path, AfterValidator(_path)] | None = _setting(
        None,
        "File with the secret that all nodes of the cluster know; a second line while it is changed: both are taken.",
        group="Cluster",
        unit="path",
    )
    bootstrap: Literal["new", "join"] = _setting(
        "new", "What a blank node may do: form a new cluster or join one, or only join.", group="Cluster"
    )
    cluster_id: Annotated[str, AfterValidator(_cluster_id)] | None = _setting(
        None,
        "The only cluster that this node may belong to, as INFO shows it; with it a blank node only joins.",
        group="Cluster",
        unit="id",
        expected="32 digits of 0-9 and a-f",
    )
    witness: bool = _setting(
        False,
        "Be a witness: vote and keep the log, but no state, and serve no client; it needs a directory of its own.",
        group="Cluster",
    )
    auto_init: bool = _setting(
        False, "Form the cluster without CLUSTER INIT, once enough blank nodes are found.", group="Cluster"
    )
    min_nodes: int = _setting(
        1,
        "Least blank nodes, this one included, of which auto_init forms a cluster. Two clusters cannot form only where "
        "it is more than half of all nodes that are ever started blank.",
        group="Cluster",
        unit="nodes",
        ge=1,
        le=1000,
    )
    settle_time: float = _setting(
        3.0,
        "So long auto_init listens for other nodes before it forms a cluster.",
        group="Cluster",
        unit="seconds",
        ge=1,
        le=3600,
    )
    discovery_timeout: float = _setting(
        30.0,
        "A node that is in no cluster after this time says what it waits for, and goes on waiting.",
        group="Cluster",
        unit="seconds",
        ge=1,
        le=86_400,
    )
    max_voters: int = _setting(
        5, "Most nodes that vote; later ones have the data and no vote.", group="Cluster", unit="nodes", ge=1, le=99
    )
    heartbeat_ms: int = _setting(
        200, "Time between two heartbeats of a leader.", group="Cluster", unit="ms", ge=10, le=60_000
    )
    election_timeout_min_ms: int = _setting(
        400,
        "Least silence of a leader after which another one is elected; at least twice heartbeat_ms.",
        group="Cluster",
        unit="ms",
        ge=20,
        le=600_000,
    )
    election_timeout_max_ms: int = _setting(
        700,
        "Longest such silence; each node draws its own between the two, so that they do not stand at the same time.",
        group="Cluster",
        unit="ms",
        ge=30,
        le=600_000,
    )

    max_log_files: int = _setting(
        1000,
        "Most entries kept in the log; a snapshot is taken in time, and what two snapshots hold goes.",
        group="Storage",
        unit="files",
        ge=10,
        le=10_000_000,
    )
    max_log_size_mb: int = _setting(
        100, "Most bytes of entries kept in the log, likewise.", group="Storage", unit="MB", ge=1, le=1_048_576
    )
    log_cleanup_interval: int = _setting(
        100, "Entries between two looks at these limits.", group="Storage", unit="entries", ge=1, le=1_000_000
    )
    disk_reserve_mb: int | None = _setting(
        None,
        "Free disk space below which writes but deletions are refused. Unset: 5 % of the file system, at most 512 MB.",
        group="Storage",
        unit="MB",
        ge=0,
        le=1_048_576,
    )

    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "Least important level that is logged.", group="Log"
    )
    log_format: Literal["auto", "text", "json"] = _setting(
        "auto",
        "Form of log lines; auto is the journal under systemd, text on a terminal and JSON lines elsewhere.",
        group="Log",
    )
    slow_request_ms: int = _setting(
        300, "A request that takes longer is logged as slow.", group="Log", unit="ms", ge=1, le=3_600_000
    )
    slow_fsync_ms: int = _setting(
        100, "A disk write that takes longer is logged as slow.", group="Log", unit="ms", ge=1, le=3_600_000
    )
    slow_apply_ms: int = _setting(
        100, "A command whose apply takes longer is logged as slow.", group="Log", unit="ms", ge=1, le=3_600_000
    )

    max_depth: int = _setting(
        100,
        "Deepest place of an entity in the tree.",
        group="Limits",
        ge=1,
        le=10_000,
    )
    max_list: int = _setting(100_000, "Most ids in one list.", group="Limits", ge=1, le=10_000_000)
    max_message_mb: int = _setting(
        16, "Largest message from a client; past it the connection is closed.", group="Limits", unit="MB", ge=1, le=1024
    )
    max_batch: int = _setting(
        10_000, "Most requests in one JSON-RPC batch array.", group="Limits", unit="requests", ge=1, le=1_000_000
    )
    max_pipeline: int = _setting(
        1000,
        "Most commands in one pipeline or transaction; nobody else is served while it is applied.",
        group="Limits",
        unit="commands",
        ge=1,
        le=100_000,
    )
    max_page: int = _setting(10_000, "Most items in one page.", group="Limits", unit="items", ge=1, le=10_000)
    max_connections: int = _setting(10_000, "Most clients at a time.", group="Limits", ge=1, le=1_000_000)
    max_pending: int = _setting(
        100_000,
        "Most writes waiting for the disk, with 256 MB together; more are answered busy.",
        group="Limits",
        ge=1,
        le=10_000_000,
    )
    max_entry_mb: int = _setting(4, "Largest entry of the log.", group="Limits", unit="MB", ge=1, le=1024)
    max_exports: int = _setting(
        8,
        "Most JSON snapshots that clients read at a time; each keeps what changes meanwhile.",
        group="Limits",
        ge=1,
        le=1000,
    )
    max_upload_mb: int = _setting(
        256, "Most text of JSON snapshots that clients have handed in.", group="Limits", unit="MB", ge=1, le=65_536
    )
    request_timeout: float = _setting(
        10.0, "Time a request may take unless it says otherwise.", group="Limits", unit="seconds", ge=0.001, le=3600
    )
    send_queue_mb: int = _setting(
        64,
        "Unsent answers after which a client that does not read is cut off.",
        group="Limits",
        unit="MB",
        ge=1,
        le=4096,
    )

    max_subscriptions: int = _setting(1000, "Most listeners of one client.", group="Events", ge=1, le=100_000)
    watch_queue_mb: int = _setting(
        8,
        "Unsent events after which a client that does not read loses its listeners.",
        group="Events",
        unit="MB",
        ge=1,
        le=4096,
    )
    watch_history: int = _setting(
        100_000,
        "Events kept in memory, for listeners that go on where they were.",
        group="Events",
        unit="events",
        ge=1000,
        le=100_000_000,
    )
    watch_history_mb: int = _setting(
        64, "Memory that these events may take.", group="Events", unit="MB", ge=1, le=1_048_576
    )

    ping_interval: float = _setting(
        20.0, "Silence after which a client is pinged.", group="Connections", unit="seconds", ge=0.01, le=3600
    )
    ping_timeout: float = _setting(
        20.0, "Time a client has to answer a ping.", group="Connections", unit="seconds", ge=0.01, le=3600
    )
    allow_origin: tuple[Annotated[str, AfterValidator(check_origin)], ...] = _setting(
        (),
        "Web origins whose pages may connect beside the node's own, such as https://console.example.org.",
        group="Connections",
        unit="origin",
        expected="scheme://host[:port] as browsers send it: no path, no wildcard, not the scheme's own port",
    )
    insecure: bool = _setting(
        False, "Serve clients from other machines, although nobody has to log in.", group="Connections"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The ready-made sources cannot tell where a value came from; sources.py can, and hands over what it found.
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Keep true from passing for 1, take choices in any case, and an empty text as unset where that is possible."""
        setting = next(s for s in SETTINGS if s.name == info.field_name)
        if isinstance(value, bool) and setting.kind != "bool":
            raise ValueError("a truth value")
        if value == "" and not setting.many:
            if not setting.optional:
                raise ValueError("an empty text")
            return None
        return value.lower() if setting.choices and isinstance(value, str) else value

    @property
    def feature_level(self) -> int:
        """The highest feature level that this version knows and `max_feature_level` allows."""
        return min(FEATURE_LEVEL, self.max_feature_level or FEATURE_LEVEL)

    @property
    def directory(self) -> Path:
        """The node's own directory in `data_dir`."""
        return self.data_dir / f"node_{self.id}"

    @property
    def has_others(self) -> bool:
        """Whether this node is to be one of a cluster."""
        return bool(self.peers) or self.enable_discovery


class Setting(msgspec.Struct, frozen=True):
    """One field of `Settings` as people meet it; `low` and `high` are inclusive bounds in `unit`.

    With `many` it is a list, and the rest describes one item of it.
    """

    name: str
    group: str
    help: str
    kind: Literal["bool", "int", "float", "text", "path"]
    default: Any
    unit: str
    expected: str
    choices: tuple[str, ...]
    many: bool
    optional: bool
    low: float | None
    high: float | None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "QCORE_" + self.name.upper()

    @property
    def bounds(self) -> str:
        """``1..65535 MB``, ``auto|text|json`` or the unit alone; empty if there is nothing to say."""
        if self.choices:
            return "|".join(self.choices)
        limits = "" if self.low is None else f"{self.low:g}..{self.high:.10g}"
        return " ".join(part for part in (limits, self.unit) if part)

    def plain(self, value: Any) -> Any:
        """Return a value of this field as TOML can hold it; unset is an empty text."""
        if value is None:
            return ""
        if isinstance(value, Path):
            return str(value) if value.is_absolute() or str(value).startswith(".") else f"./{value}"
        return list(value) if isinstance(value, tuple) else value


_KINDS: dict[Any, Literal["bool", "int", "float", "text", "path"]] = {
    bool: "bool",
    int: "int",
    float: "float",
    Path: "path",
}
_EXPECTED = {"bool": "true or false", "int": "a whole number", "float": "a number", "text": "a text", "path": "a path"}


def _describe(name: str, field: FieldInfo) -> Setting:
    annotation, many, optional = field.annotation, False, False
    if get_origin(annotation) is tuple:
        annotation, many = get_args(annotation)[0], True
    elif NoneType in get_args(annotation):
        annotation, optional = get_args(annotation)[0], True
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    kind = _KINDS.get(annotation, "text")
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    low = next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in field.metadata if hasattr(bound, "le")), None)
    expected = str(extra["expected"]) or (f"one of {', '.join(choices)}" if choices else _EXPECTED[kind])
    if low is not None:
        expected += f" from {low:g} to {high:.10g}"
    return Setting(
        name=name,
        group=str(extra["group"]),
        help=field.description or "",
        kind=kind,
        default=field.default,
        unit=str(extra["unit"]),
        expected=expected,
        choices=choices,
        many=many,
        optional=optional,
        low=low,
        high=high,
    )


SETTINGS: tuple[Setting, ...] = tuple(_describe(name, field) for name, field in Settings.model_fields.items())
"""The description of every setting, in the order they are shown."""
