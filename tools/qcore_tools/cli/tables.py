"""Results that are lists of records, as tables with columns for people. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qcore_tools.cli.views import Params, Table, View
from qcore_tools.forms import bare, cell, columns

__all__ = ["CLIENTS", "SLOW_LOG"]


class ListView(View):
    """A list of records, all with the keys `keys`: a row each."""

    keys: tuple[str, ...] = ()
    none = ""
    """What people are told where the list is empty."""

    def human(self, result: Any, params: Params) -> Iterable[str]:
        if not result["items"]:
            return [self.none]
        header = [key.replace("_", " ").upper() for key in self.keys]
        return columns(header, [[self.shown(key, item[key]) for key in self.keys] for item in result["items"]])

    def shown(self, key: str, value: Any) -> str:
        """A cell for people."""
        return bare(value) if value not in ("", None) else "-"

    def table(self, result: Any) -> Table:
        return self.keys, [[cell(item[key]) for key in self.keys] for item in result["items"]]

    def raw(self, result: Any) -> Iterable[str]:
        return [" ".join(bare(item[key]) for key in self.keys) for item in result["items"]]


class ClientsView(ListView):
    """Who is connected."""

    keys = ("name", "address", "since", "subscriptions", "queue", "requests")
    none = "No client is connected"

    def raw(self, result: Any) -> Iterable[str]:
        return [item["address"] for item in result["items"]]


class SlowLogView(ListView):
    """The requests that took long; durations in milliseconds for people."""

    keys = ("time", "method", "seconds", "waited", "carried_out", "client", "address", "size", "error", "params")

    def human(self, result: Any, params: Params) -> Iterable[str]:
        if not result["items"]:
            return [f"No request took longer than {result['threshold'] * 1000:g} ms"]
        return super().human(result, params)

    def shown(self, key: str, value: Any) -> str:
        return f"{value * 1000:.0f} ms" if key in ("seconds", "waited", "carried_out") else super().shown(key, value)


CLIENTS, SLOW_LOG = ClientsView(), SlowLogView()
