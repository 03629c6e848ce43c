"""``SET id field @file``: the bytes of a file as the value of a Blob field.

A word that begins with @ may be an id or plain text just as well. So it is a file's only where the field is a Blob, as
no base64 begins with one; the schema is asked.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcore.client import Store
from qcore.model.errors import RequestError
from qcore.model.values import Kind
from qcore_tools.console import FileError

__all__ = ["fill_blobs"]


async def fill_blobs(store: Store, params: dict[str, Any], created: Mapping[str, str]) -> dict[str, Any]:
    """Return the params of `set` with each `@file` of a Blob field replaced by the file's bytes in base64.

    `created` has the types of entities that commands before this one create, by ``$n``.

    Raises:
        FileError: the file cannot be read.
    """
    values = params["fields"] if "fields" in params else {params["field"]: params["value"]}
    files = {path: Path(value[1:]) for path, value in values.items() if _may_name_file(value)}
    filled = {path: _read(file) for path, file in files.items() if await _is_blob(store, params["id"], path, created)}
    if not filled:
        return params
    return params | ({"fields": values | filled} if "fields" in params else {"value": filled[params["field"]]})


def _may_name_file(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("@")


async def _is_blob(store: Store, id: str, path: str, created: Mapping[str, str]) -> bool:
    try:
        type, name = await _owner(store, id, path, created)
        schema = await store.schema_complete(type)
    except RequestError:
        return False  # the command itself will be told what is wrong
    return any(field.name == name and field.data_type is Kind.Blob for field in schema.fields)


async def _owner(store: Store, id: str, path: str, created: Mapping[str, str]) -> tuple[str, str]:
    """Type and field that a path ends in."""
    *hops, name = path.split("->")
    if id in created and not hops:
        return created[id], name
    owner = await store.get(id, "->".join(hops) or "Name")
    if hops:
        owner = await store.get(owner["->".join(hops)], "Name")
    return owner.type, name


def _read(file: Path) -> str:
    try:
        return base64.b64encode(file.read_bytes()).decode("ascii")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise FileError(f"cannot read {file}: {reason}") from None
