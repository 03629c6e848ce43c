"""Applying a restore: the plan, carried out under one revision through the state's primitives.

Deletions come first, so that their labels and types are free; then types, entities, values, order.
"""

from __future__ import annotations

from collections.abc import Iterable

from qcore.model.ids import ROOT_ID
from qcore.model.requests.restore import Restore, Restored
from qcore.model.schema import CompleteSchema
from qcore.model.values import Kind
from qcore.model.work import Pace, Work
from qcore.store.context import Context
from qcore.store.delete import subtree
from qcore.store.documents.plan import Plan, Write, planning, preparing
from qcore.store.fitting import misfit_count, refuse_resets
from qcore.store.schemas import RESET_LEVEL, field_count, replace_types, reset_labels
from qcore.store.state.entity import CHILDREN, NAME, PARENT, Entity
from qcore.store.state.state import State
from qcore.store.write import stamp

__all__ = ["RESTORED", "restore"]

RESTORED = "restored"
"""The mark of a store that was restored before it loaded a schema file: it never will."""


def restore(state: State, command: Restore, context: Context) -> Work[Restored]:
    """Apply `snapshot.restore`; the caller rolls back when this raises. Nothing to do is no write.

    Raises:
        RequestError: as `plan` does.
        InUse: values would go that the document does not mention, and the command does not say `reset`.
    """
    prepared = yield from preparing(command.document)
    if context.garbage is not None:
        context.garbage.add(prepared.tree.taking_apart())
    limits = {"max_depth": command.max_depth, "max_list": command.max_list}
    work = yield from planning(state, prepared, prune=command.prune, **limits)
    if context.garbage is not None:
        context.garbage.add(work.taking_apart())
    if work.empty and state.mark:
        return Restored(False, state.revision, {})
    if state.level >= RESET_LEVEL and not command.reset:
        refuse_resets(work.reset)
    counts = work.counts()
    state = context.workspace(state, _size(state, command, work))
    yield from _Restorer(state, command, work, context).run()
    context.wrote = True
    return Restored(True, context.revision, counts)


def _size(state: State, command: Restore, work: Plan) -> int:
    """Entities and fields that it touches, or that were looked at to find that out."""
    size = len(command.document.entities) + len(work.doomed)
    if work.types is not None:
        size += misfit_count(state, work.types) + field_count(command.document.schemas)
    return size


class _Restorer:
    def __init__(self, state: State, command: Restore, work: Plan, context: Context) -> None:
        self._state = state
        self._entities = command.document.entities
        self._work = work
        self._context = context
        self._touched: set[int] = set()
        """Entities whose Children change."""
        self._pace = Pace()

    def run(self) -> Work[None]:
        state, work = self._state, self._work
        yield from self._delete()
        yield from self._clear()
        if work.types is not None:
            if state.level >= RESET_LEVEL:
                yield from reset_labels(state, work.types)
            yield from replace_types(state, work.types)
        yield from self._create()
        yield from self._write()
        yield from self._arrange()
        for id in sorted(self._touched - {0}):
            stamp(state, state.entities[id], CHILDREN, self._context)
            if self._pace.is_due():
                yield
        state.reserve_ids(work.next_id)
        state.set_mark(state.mark or RESTORED)

    def _delete(self) -> Work[None]:
        """Last siblings first: a list gives up its end more easily than its beginning."""
        for id in reversed(self._work.deleted):
            doomed = yield from subtree(self._state, self._state.entities[id])
            self._state.unlink(doomed[0])
            self._touched.add(doomed[0].parent)
            for entity in doomed:
                self._state.remove(entity)
                if self._pace.is_due(len(entity.values)):
                    yield

    def _clear(self) -> Work[None]:
        """Unset what is to be unset, and labels that the new types no longer have."""
        types = self._work.types
        for place, writes in self._work.writes.items():
            entity = self._state.entities.get(self._work.ids[place])
            if entity is not None:
                schema = types.of(entity.type) if types is not None else None
                self._unset(entity, [write[0] for write in writes if _goes(entity, schema, write)])
            if self._pace.is_due(len(writes)):
                yield

    def _unset(self, entity: Entity, names: list[str]) -> None:
        for name in names:
            self._state.put(entity, entity.schema.by_name[name].slot, None, 0, 0)

    def _create(self) -> Work[None]:
        """Create by ascending id; an entity whose parent has a higher id stands alone until that is there."""
        state, work = self._state, self._work
        now, revision = self._context.time, self._context.revision
        early: list[tuple[Entity, int]] = []
        for place in sorted(work.created, key=work.ids.__getitem__):
            source = self._entities[place]
            parent = 0 if source.parent is None else work.ids[source.parent]
            entity = Entity(work.ids[place], state.types.of(source.type))
            entity.values[NAME] = source.name
            if parent in state.entities or not parent:
                state.add(entity, parent)
            else:
                state.add(entity, 0)
                early.append((entity, parent))
            state.put(entity, NAME, source.name, now, revision)
            self._touched.add(parent)
            if self._pace.is_due(3):
                yield
        for entity, parent in reversed(early):
            state.move(entity, parent)
            if self._pace.is_due(2):
                yield
        for place in work.created:
            parent = state.entities[work.ids[place]].parent
            if parent:
                state.put(state.entities[work.ids[place]], PARENT, parent, now, revision)
            if self._pace.is_due():
                yield

    def _write(self) -> Work[None]:
        now, revision = self._context.time, self._context.revision
        for place, writes in self._work.writes.items():
            entity = self._state.entities[self._work.ids[place]]
            for name, value in writes:
                if value is not None:
                    slot = entity.schema.by_name[name].slot
                    time = max(now, entity.time(slot) + 1) if entity.revision(slot) else now
                    self._state.put(entity, slot, value, time, revision)
            if self._pace.is_due(1 + len(writes)):
                yield

    def _arrange(self) -> Work[None]:
        orders = (yield from self._orders_by_document()) if self._work.keeps_ids else self._work.orders
        for parent, wanted in orders.items():
            if self._pace.is_due(1 + len(wanted) // 8):
                yield
            if list(self._state.children(parent)) == wanted:
                continue
            if parent:
                self._state.reorder(self._state.entities[parent], wanted)
                self._touched.add(parent)
            else:
                self._arrange_top(wanted)

    def _arrange_top(self, wanted: Iterable[int]) -> None:
        for id in wanted:
            if id != ROOT_ID:
                self._state.move(self._state.entities[id], 0)

    def _orders_by_document(self) -> Work[dict[int, list[int]]]:
        orders: dict[int, list[int]] = {}
        for place, entity in enumerate(self._entities):
            parent = 0 if entity.parent is None else self._work.ids[entity.parent]
            orders.setdefault(parent, []).append(self._work.ids[place])
            if self._pace.is_due():
                yield
        return orders


def _goes(entity: Entity, schema: CompleteSchema | None, write: Write) -> bool:
    """Whether a field is emptied before the types change: it is unset, or its label is no more."""
    name, value = write
    if value is None:
        return True
    old = entity.schema.by_name.get(name)
    if schema is None or old is None or old.kind is not Kind.Choice or entity.values[old.slot] is None:
        return False
    new = schema.field(name)
    return new.kind is Kind.Choice and entity.values[old.slot] not in new.labels
