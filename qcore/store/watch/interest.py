"""What a listener wants to hear: whether an event is for it, and what is said beside it.

Listeners that want the same share one `Interest`, so that each event is judged and written once for all of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from qcore.model.errors import BadParams, NotFound, RequestError, TooLarge, WrongKind
from qcore.model.ids import is_digits
from qcore.model.path import split_field_path
from qcore.model.quoting import quoted
from qcore.model.requests.results import FailedField, FieldError
from qcore.model.schema import CompleteSchema, Types
from qcore.model.values import Kind
from qcore.store.resolve import walk
from qcore.store.search.filter import Filter, FilterError
from qcore.store.state.entity import Entity
from qcore.store.state.view import Holder
from qcore.store.watch.events import CHANGED, DELETED, Event, PathEvent, Reading, reading_at, size_of
from qcore.store.watch.retyped import Retyped

__all__ = [
    "MAX_CONTEXT",
    "MAX_CONTEXT_SIZE",
    "MAX_HOPS",
    "STEPS",
    "Interest",
    "Wish",
    "check_wish",
    "field_names",
    "read_path",
]

MAX_CONTEXT = 32
"""Context paths of a listener."""

MAX_CONTEXT_SIZE = 8 << 20
"""Bytes of the values in the context of one event, as the store holds them; an id of a list counts for `_LINK`."""

_LINK = 80
"""An id in a list takes as long to write as so many bytes: it has to be looked up."""

MAX_HOPS = 8
"""Hops of a path that a listener names."""

STEPS = 10_000
"""What a filter may cost for one event: one to three milliseconds."""


_NO_ROOM = FieldError("too_large", f"the values of a context have at most {MAX_CONTEXT_SIZE} bytes in all")


class Wish(NamedTuple):
    """The params of a listener, its target resolved: an `entity`, or 0 for a `type` with its descendants."""

    entity: int
    type: str
    field: str | None = None
    change: bool = False
    context: tuple[str, ...] = ()
    filter: str | None = None

    @property
    def indirect(self) -> bool:
        """Whether the field is a path."""
        return self.field is not None and "->" in self.field

    @property
    def looks_back(self) -> bool:
        """Whether more of the store is read for an event than the event itself."""
        return self.filter is not None or bool(self.context) or self.indirect


def check_wish(wish: Wish, types: Types) -> None:
    """Refuse what can never be.

    Raises:
        NotFound: a field that no type of the target has, a further hop that no type has.
        WrongKind: a first hop that is no reference.
        TooLarge: over `MAX_CONTEXT` or `MAX_HOPS`.
        BadParams: an empty hop, a path through Children.
    """
    if len(wish.context) > MAX_CONTEXT:
        raise TooLarge(f"a listener has at most {MAX_CONTEXT} context paths, {len(wish.context)} given")
    for path in wish.context:
        _check_hops(path, with_last=True)
    if wish.field is not None:
        _check_hops(wish.field, with_last=False)
        names = [wish.type] if wish.entity else types.descendants[wish.type]
        _check_field(wish, wish.field, [types.of(name) for name in names], types)


def _check_hops(path: str, *, with_last: bool) -> None:
    hops = split_field_path(path)
    if len(hops) > MAX_HOPS:
        raise TooLarge(f"a path of a listener has at most {MAX_HOPS} hops, {len(hops)} given: {path[:80]!r}")
    if "Children" in (hops if with_last else hops[:-1]):
        raise BadParams(f"path {path[:80]!r}: an event has no value of Children, which may be long")


def _check_field(wish: Wish, path: str, candidates: list[CompleteSchema], types: Types) -> None:
    first, *more = split_field_path(path)
    found = [schema.by_name[first] for schema in candidates if first in schema.by_name]
    if not found:
        raise NotFound(f"type {wish.type} has no field {quoted(first)}")
    if more and all(field.kind not in (Kind.EntityReference, Kind.EntityList) for field in found):
        raise WrongKind(f"path {quoted(path)}: {first} of type {wish.type} is a {found[0].kind}, no reference")
    for name in field_names(path)[1:]:
        if not any(name in schema.by_name for schema in types.complete.values()):
            raise NotFound(f"path {quoted(path)}: no type has a field {quoted(name)}")


def field_names(path: str) -> list[str]:
    """The hops of a path that are fields, not places in a list."""
    return [hop for hop in path.split("->") if not is_digits(hop)]


class Interest:
    """One wish, and what judging by it has cost: filter `errors`, seconds `spent` as the shell counts them."""

    def __init__(self, wish: Wish, filter: Filter | None) -> None:
        self.wish = wish
        self.errors = 0
        self.spent = 0.0
        self._filter = filter

    def covers(self, id: int, schema: CompleteSchema) -> bool:
        """Whether an entity is the target or one of it."""
        wish = self.wish
        return id == wish.entity if wish.entity else wish.type in schema.ancestors

    def wants(self, event: Event) -> bool:
        """Whether an event is of the target and of the field; those of an indirect field are not asked about here."""
        schema, field = event.schema, self.wish.field
        if schema is None or (event.kind == CHANGED and field is not None and field != event.name):
            return False
        return self.covers(event.id, schema)

    def altered_by(self, change: Retyped) -> bool:
        """Whether a change of schemas makes what the listener knows untrue."""
        wish = self.wish
        field = None if wish.filter is not None or wish.context else wish.field
        if wish.indirect and change.hits_anywhere(field_names(str(wish.field))):
            return True
        if field is not None:
            field = field.partition("->")[0]
        return change.hits_entity(wish.type, field) if wish.entity else change.hits_type(wish.type, field)

    def passes(self, event: Event | PathEvent, view: Holder) -> bool:
        """Whether a wanted event is told; `view` is the state right behind it.

        Raises:
            BadFilter: the filter takes more than `STEPS`.
        """
        if event.kind == CHANGED and self.wish.change and not event.differs:
            return False
        if self._filter is None:
            return True
        subject = _subject(event, view)
        return subject is not None and self.matches(subject, view)

    def matches(self, entity: Entity, view: Holder) -> bool:
        """Whether an entity passes the filter; one for which it has no answer does not, and is counted.

        Raises:
            BadFilter: the filter takes more than `STEPS`.
        """
        if self._filter is None:
            return True
        try:
            return self._filter.matches(view, entity)
        except FilterError:
            self.errors += 1
            return False

    def context(self, event: Event | PathEvent, view: Holder) -> dict[str, Any]:
        """Path -> value or error, of the entity right behind the event, or of a deleted one as it last was."""
        subject = _subject(event, view)
        return {} if subject is None else self.context_of(subject, view)

    def context_of(self, entity: Entity, view: Holder) -> dict[str, Any]:
        """Path -> value or error, at most `MAX_CONTEXT_SIZE` of values."""
        found: dict[str, Any] = {}
        room = MAX_CONTEXT_SIZE
        for path in self.wish.context:
            read = read_path(view, entity, path)
            if isinstance(read, Reading):
                size = len(read.value) * _LINK if read.kind is Kind.EntityList and read.value else size_of(read.value)
                if size <= room:
                    room -= size
                    found[path] = read.written(view.entities.__contains__).value
                    continue
                read = _NO_ROOM
            found[path] = FailedField(read)
        return found


def read_path(view: Holder, entity: Entity, path: str) -> Reading | FieldError:
    """What stands at the end of a path, or why it ends nowhere."""
    try:
        return reading_at(walk(view, entity, path))
    except RequestError as exc:
        return FieldError(exc.kind, exc.message)


def _subject(event: Event | PathEvent, view: Holder) -> Entity | None:
    if event.kind == DELETED and isinstance(event, Event):
        return event.value  # type: ignore[no-any-return]
    return view.entities.get(event.id)
