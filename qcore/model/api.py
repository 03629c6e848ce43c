"""The methods of the API: for each its params, its result and whether it writes.

This table is what the server dispatches on and what documents of the API are made from.
"""

from __future__ import annotations

from typing import Any

import msgspec

from qcore.model import commands, queries, results
from qcore.model.schema import EntitySchema

__all__ = ["METHODS", "SUBPROTOCOL", "Method"]

SUBPROTOCOL = "qcore.v1"


class Method(msgspec.Struct, frozen=True):
    """`params` is the typed record of the request, `result` the type of the answer.

    A method that `writes` is a command that goes through the log.
    """

    name: str
    params: type[Any]
    result: Any
    writes: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "writes", issubclass(self.params, commands.Command))

    @property
    def summary(self) -> str:
        """One sentence on what the method does."""
        return (self.params.__doc__ or "").strip().splitlines()[0]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("ping", queries.Ping, str),
        Method("info", queries.Info, results.InfoResult),
        Method("machine", queries.Machine, results.MachineResult),
        Method("session.open", commands.SessionOpen, results.SessionOpened),
        Method("create", commands.Create, results.Created),
        Method("delete", commands.Delete, results.Deleted),
        Method("exists", queries.Exists, bool),
        Method("get", queries.Get, results.Entity),
        Method("set", commands.SetFields, results.SetDone),
        Method("find", queries.Find, results.Page),
        Method("types", queries.TypesList, results.TypesPage),
        Method("schema.get", queries.SchemaGet, EntitySchema),
        Method("schema.complete", queries.SchemaComplete, EntitySchema),
        Method("schema.set", commands.SchemaSet, results.SchemaDone),
        Method("schema.delete", commands.SchemaDelete, results.SchemaDone),
        Method("digest", queries.Digest, results.DigestNow),
    )
}
