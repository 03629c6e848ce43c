"""``SET id field @file``: the bytes of a file as the value of a Blob field.

A word that begins with @ may be an id or plain text just as well. So it is a file's only where there is such a file,
and the field is a Blob: then the schema is asked.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from qcore.client import Store
from qcore.model.values import Kind
from qcore_tools.console import FileError

__all__ = ["fill_blobs"]


async def fill_blobs(store: Store, params: dict[str, Any]) -> dict[str, Any]:
    """Return the params of `set` with each `@file` of a Blob field replaced by the file's bytes in base64.

    Raises:
        FileError: the file cannot be read.
    """
    values = params["fields"] if "fields" in params else {params["field"]: params["value"]}
    files = {path: Path(value[1:]) for path, value in values.items() if _names_file(value)}
    filled = {path: _read(file) for path, file in files.items() if await _is_blob(store, params["id"], path)}
    if not filled:
        return params
    return params | ({"fields": values | filled} if "fields" in params else {"value": filled[params["field"]]})


def _names_file(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("@") and Path(value[1:]).is_file()


async def _is_blob(store: Store, id: str, path: str) -> bool:
    *hops, name = path.split("->")
    owner = await store.get(id, "->".join(hops) or "Name")
    if hops:
        owner = await store.get(owner["->".join(hops)], "Name")
    schema = await store.schema_complete(owner.type)
    return any(field.name == name and field.data_type is Kind.Blob for field in schema.fields)


def _read(file: Path) -> str:
    try:
        return base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as exc:
        raise FileError(f"cannot read {file}: {exc.strerror}") from None
