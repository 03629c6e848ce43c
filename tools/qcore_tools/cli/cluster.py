"""The words of CLUSTER, and how a cluster looks to people. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qcore_tools.cli.command import Params
from qcore_tools.cli.views import Params as Given
from qcore_tools.cli.views import RecordView, Table, View
from qcore_tools.console import UsageError
from qcore_tools.forms import bare, cell

__all__ = ["FORMED", "MEMBER", "STATUS", "TRANSFERRED", "read_ids", "read_node"]


def read_node(args: Sequence[str]) -> Params:
    """Read ``<node_id>``.

    Raises:
        UsageError: it is no id of a node.
    """
    return {"id": _node(args[0])}


def read_ids(args: Sequence[str]) -> Params:
    """Read ``[node_id...]``, which may be separated by commas, too.

    Raises:
        UsageError: one of them is no id of a node.
    """
    ids = [_node(id) for word in args for id in word.split(",") if id]
    return {"ids": ids} if ids else {}


def _node(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 5 and 1 <= int(text) <= 65_535):
        raise UsageError(f"node_id: expected a number from 1 to 65535, given {text!r}")
    return int(text)


class StatusView(View):
    """A cluster as one of its nodes sees it."""

    def human(self, result: Any, params: Given) -> Iterable[str]:
        leader = "none" if result["leader"] is None else result["leader"]
        yield f"Cluster: {result['cluster'] or 'none'}"
        yield f"Leader: {leader} (term {result['term']})"
        yield f"This node: {result['node']} ({result['role']})"
        for member in result["members"]:
            yield f"Member {member['node']}: {member['addr']} ({', '.join(_words(member))})"
        if result.get("waiting"):
            yield f"Waiting: {result['waiting']}"
        yield f"Outlook: {result['outlook']}"

    def table(self, result: Any) -> Table:
        keys = ["node", "addr", "role", "vote", "lag", "alive", "waiting", "disk", "witness"]
        return keys, [[cell(member.get(key)) for key in keys] for member in result["members"]]

    def raw(self, result: Any) -> Iterable[str]:
        keys = ["node", "addr", "role", "vote", "lag", "alive"]
        return [" ".join(bare(member[key]) for key in keys) for member in result["members"]]

    def notes(self, result: Any) -> Iterable[str]:
        return [result["waiting"] or result["outlook"]]


def _words(member: Any) -> Iterable[str]:
    yield member["role"]
    if member["vote"] != member["role"]:
        yield member["vote"]
    if member.get("witness"):
        yield "witness"
    yield f"lag {member['lag']}"
    yield "alive" if member["alive"] else "not reachable"
    if member.get("waiting"):
        yield member["waiting"]
    if member.get("disk"):
        yield member["disk"]


class FormedView(RecordView):
    """A cluster that begins."""

    def human(self, result: Any, params: Given) -> Iterable[str]:
        return [f"Formed cluster: {result['cluster']}"]

    def raw(self, result: Any) -> Iterable[str]:
        return [result["cluster"]]


class TransferredView(RecordView):
    """Leadership that was handed over."""

    def human(self, result: Any, params: Given) -> Iterable[str]:
        return [f"Current Leader: {result['leader']}"]


class MemberView(RecordView):
    """What a node is after an order."""

    def human(self, result: Any, params: Given) -> Iterable[str]:
        vote = "no member" if result["vote"] == "none" else result["vote"]
        yield f"Node {result['node']}: {vote}"
        if result.get("waiting"):
            yield f"Waiting: {result['waiting']}"


STATUS, FORMED, TRANSFERRED, MEMBER = StatusView(), FormedView(), TransferredView(), MemberView()
