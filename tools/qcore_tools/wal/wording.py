"""How a line looks: for people, with names and in one line; as JSON, with ids and whole values. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from qcore.model.entry import public_id
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.times import NS, format_time
from qcore_tools.forms import as_json, width
from qcore_tools.terminal import visible
from qcore_tools.wal.changes import Change, FieldChange, TypeChange
from qcore_tools.wal.lines import Line
from qcore_tools.wal.values import cut_words, plain, plain_json

__all__ = ["Render", "for_people", "for_programs", "moment"]

Render = Callable[[Line], str]
"""Writes a line, its end included."""

_TIME = len("2026-11-28T09:00:00.000Z")
_KIND = len("schema.delete")
_INDEX = 6
_MOVED_IN = "    "
_MOST = 20
"""Changes, or fields of one, that people are shown."""


def moment(time: int | None) -> str:
    """A time to the millisecond, always as wide."""
    if time is None:
        return "-".ljust(_TIME)
    return f"{format_time(time - time % NS)[:-1]}.{time % NS // 1_000_000:03d}Z"


def for_people(line: Line, columns: int | None = None) -> str:
    """Time, index, term, kind, and what was done, in one line; or in several, where that has more `columns`."""
    id = line.entry.id
    words = [*cut_words([_change(line, change) for change in line.changes[:_MOST]], _MOST)]
    words += [f"and {len(line.changes) - _MOST:,} more"] * (len(line.changes) > _MOST)
    text = ": ".join(word for word in (line.words, "; ".join(words)) if word)
    if line.error is not None:
        text += f" (refused: {line.error[0]}: {line.error[1]})"
    elif line.applied is False and line.words:
        text = f"{'; '.join(words)} ({line.words})" if words else line.words
    pending = " (pending)" if line.pending else ""
    head = f"{moment(line.time)} {id.index:>{_INDEX}} t{id.term:<2} {line.kind:<{_KIND}}"
    told = visible(f"{head} {text}{pending}".rstrip())
    if columns is None or width(told) <= columns:
        return f"{told}\n"
    return "\n".join([head.rstrip(), *_folded(visible(f"{text}{pending}"), columns)]) + "\n"


def _folded(text: str, columns: int) -> Iterator[str]:
    """A text in lines that are moved in; a word is not broken."""
    line = _MOVED_IN
    for word in text.split(" "):
        longer = f"{line} {word}" if line.strip() else f"{_MOVED_IN}{word}"
        if line.strip() and width(longer) > columns:
            yield line
            longer = f"{_MOVED_IN}{word}"
        line = longer
    yield line


def _change(line: Line, change: Change | TypeChange) -> str:
    if isinstance(change, TypeChange):
        return _type(change)
    action = "" if change.action == line.kind else f"{change.action} "
    kind = f" ({change.type})" if change.type else ""
    below = f" and {change.below:,} below it" if change.below else ""
    fields = [_field(each) for each in change.fields[:_MOST]]
    fields += [f"and {len(change.fields) - _MOST:,} more"] * (len(change.fields) > _MOST)
    return f"{action}{change.path}{kind}{below} {', '.join(fields)}".rstrip()


def _field(change: FieldChange) -> str:
    sign = {"set": ":", "add": " +", "subtract": " -"}[change.mode]
    values = [value for value in (change.old, change.new) if value is not UNSET]
    return f"{change.name}{sign} {' -> '.join(values)}"


def _type(change: TypeChange) -> str:
    """A type and what is other than before: ``+Phone (String)``, ``-Age``, ``Email default: "" -> "none"``."""
    old, new = change.old, change.new
    if old is None and new is None:
        return change.type
    if new is None:
        return f"{change.type} deleted"
    words = [*_differences(old, new)]
    return f"{change.type} {', '.join(cut_words(words, _MOST))}".rstrip()


def _differences(old: EntitySchema | None, new: EntitySchema) -> Iterator[str]:
    before = {} if old is None else {field.name: field for field in old.fields}
    if (old is None and new.inherits_from) or (old is not None and old.inherits_from != new.inherits_from):
        yield f"inherits {', '.join(new.inherits_from) or 'nothing'}"
    for field in new.fields:
        known = before.pop(field.name, None)
        if known is None:
            yield f"+{field.name} ({field.data_type})"
        elif known != field:
            yield from _properties(known, field)
    yield from (f"-{name}" for name in before)


def _properties(old: FieldSchema, new: FieldSchema) -> Iterator[str]:
    for name in ("data_type", "default", "rank", "choices", "storage_scope"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"{new.name} {name.replace('_', ' ')}: {plain(before)} -> {plain(after)}"


def for_programs(line: Line) -> str:
    """An object with the same keys in each line; null where something is not known or does not apply."""
    id = line.entry.id
    found = {
        "time": None if line.time is None else format_time(line.time),
        "index": id.index,
        "term": id.term,
        "node": public_id(id.node),
        "command": line.number or None,
        "step": line.step,
        "kind": line.kind,
        "within": line.within or None,
        "revision": line.revision,
        "applied": line.applied,
        "pending": line.pending,
        "changes": [_change_json(change) for change in line.changes],
        "note": line.words or None,
        "error": None if line.error is None else {"kind": line.error[0], "message": line.error[1]},
    }
    return as_json(found) + "\n"


def _change_json(change: Change | TypeChange) -> dict[str, Any]:
    if isinstance(change, TypeChange):
        both = [None if each is None else plain_json(msgspec.to_builtins(each)) for each in (change.old, change.new)]
        return {"action": "type", "type": change.type, "old": both[0], "new": both[1]}
    fields = {each.name: _field_json(each) for each in change.fields}
    about = {"action": change.action, "id": change.id, "type": change.type or None, "path": change.path}
    return about | {"fields": fields, "below": change.below}


def _field_json(change: FieldChange) -> dict[str, Any]:
    known = {"old": change.old, "new" if change.mode == "set" else change.mode: change.new}
    return {name: value for name, value in known.items() if value is not UNSET}
