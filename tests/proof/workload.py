"""The load: clients on the SDK that do one thing after the other, chosen by chance, and record all of it.

What each client chooses depends on the seed and its number alone; how the clients interleave, nobody decides.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from qcore.client import Get, QcoreError, SetFields, Store, connect
from qcore.model.requests.queries import Consistency
from tests.process import DEADLINE
from tests.proof.data import Data, element_text, read_value
from tests.proof.history import History, Operation, Step

__all__ = ["Client", "Load", "read_all"]

EXPECTED = frozenset({"conflict", "timeout", "no_quorum", "busy", "unreachable", "disk_full"})
"""Kinds of errors that faults explain; any other is a finding."""

THINKING = 0.004
"""Seconds that a client thinks at most between two operations."""

STAY = (50, 200)
"""How many operations a client does before it connects anew."""

TIMEOUT = 5.0
"""Seconds that an operation may take: less than some faults last together, so that outcomes stay unknown."""

Act = Callable[[], Awaitable[Sequence[Any]]]


class Load:
    """What all clients of a run share.

    Attributes:
        lost: how often a client's connection was lost.
        surprises: errors that no fault explains.
        stopped: set to have the clients finish what they do, and end.
    """

    def __init__(self, history: History, data: Data, numbers: Iterator[int]) -> None:
        self.history = history
        self.data = data
        self.numbers = numbers
        self.lost = 0
        self.surprises: list[str] = []
        self.stopped = asyncio.Event()

    async def record(self, client: int, steps: Sequence[Step], act: Act) -> Operation:
        """Do something and record what came of it."""
        operation = self.history.invoke(client, steps)
        try:
            self.history.ok(operation, await act())
        except QcoreError as exc:
            self._failed(operation, exc)
        return operation

    def _failed(self, operation: Operation, error: QcoreError) -> None:
        applied = error.data.get("applied")
        if not operation.writes or applied == "no":
            self.history.failed(operation, error.kind, error.data.get("value"))
        else:
            self.history.unknown(operation, error.kind)
        expected = error.kind in EXPECTED or "upload" in error.data  # which was on the node that was struck
        if not expected or (operation.writes and applied not in ("no", "unknown")):
            self.surprises.append(f"{error.kind} (applied: {applied}): {error.message}")


class Client:
    """One client, number `number` of the load. It stays for a while, and comes again to a server chosen by chance.

    Otherwise all clients would come together on the nodes that are struck least.
    """

    def __init__(self, number: int, load: Load, seed: int, urls: Mapping[int, str]) -> None:
        self._number = number
        self._load = load
        self._places = load.data.places
        self._chance = random.Random(f"{seed} client {number}")
        self._urls = urls
        self._lost = 0
        self._seen: dict[str, tuple[Any, int]] = {}
        """Value and revision of registers, as this client last heard of them."""

    async def run(self) -> None:
        """Go on until the load is stopped."""
        name = f"proof {self._number}"
        while not self._load.stopped.is_set():
            urls = self._chance.sample(list(self._urls.values()), len(self._urls))
            async with connect(urls, client=name, timeout=TIMEOUT, wait=DEADLINE, on_lost=self._on_lost) as store:
                await self._stay(store)

    async def _stay(self, store: Store) -> None:
        for _ in range(self._chance.randint(*STAY)):
            if self._load.stopped.is_set():
                return
            (choice,) = self._chance.choices(list(CHOICES), list(CHOICES.values()))
            await choice(self, store)
            await asyncio.sleep(self._chance.uniform(0, THINKING))

    async def read(self, store: Store) -> None:
        """By a quorum or by the leader's lease: in these runs clocks run at the same speed."""
        key = self._key("register")
        id, field = self._places[key]
        consistency: Consistency = "leader" if self._chance.random() < 0.3 else "linearizable"

        async def act() -> list[Any]:
            found = await store.get(id, field, consistency=consistency)
            self._seen[key] = found[field], found.fields[field].revision
            return [found[field]]

        await self._record(act, Step("read", key))

    async def write(self, store: Store) -> None:
        key, value = self._key("register"), next(self._load.numbers)

        async def act() -> list[Any]:
            done = await store.set(*self._places[key], value)
            self._seen[key] = value, done.revision
            return []

        await self._record(act, Step("write", key, value))

    async def write_once(self, store: Store) -> None:
        """A write without a number, which nobody sends again: its outcome is unknown where the answer is lost."""
        key, value = self._key("register"), next(self._load.numbers)
        id, field = self._places[key]

        async def act() -> list[Any]:
            await store.call("set", id=id, field=field, value=value, session=0)
            return []

        await self._record(act, Step("write", key, value))

    async def compare_and_set(self, store: Store) -> None:
        """By value or by revision; values are never written twice, so that both mean the same."""
        key = self._key("register")
        if key not in self._seen:
            return await self.read(store)
        (before, revision), value = self._seen[key], next(self._load.numbers)
        expect = {"value": before} if revision == 0 or self._chance.random() < 0.5 else {"revision": revision}

        async def act() -> list[Any]:
            done = await store.set(*self._places[key], value, expect=expect)
            self._seen[key] = value, done.revision
            return []

        operation = await self._record(act, Step("cas", key, value, before))
        if operation.error == "conflict":
            del self._seen[key]
        return None

    async def add(self, store: Store) -> None:
        key = self._key("counter")

        async def act() -> list[Any]:
            await store.set(*self._places[key], 1, mode="add")
            return []

        await self._record(act, Step("add", key, 1))

    async def read_counter(self, store: Store) -> None:
        key = self._key("counter")
        id, field = self._places[key]

        async def act() -> list[Any]:
            return [(await store.get(id, field))[field]]

        await self._record(act, Step("read", key))

    async def append_and_read(self, store: Store) -> None:
        """A transaction over several lists of several entities.

        Where it was sent twice, its writes keep their place, but the server reads when it answers the second time.
        """
        steps: list[Step] = []
        commands: list[SetFields | Get] = []
        for _ in range(self._chance.randint(1, 4)):
            key = self._key("list")
            id, field = self._places[key]
            if self._chance.random() < 0.5:
                steps.append(Step("append", key, next(self._load.numbers)))
                commands.append(SetFields(id, field, element_text(steps[-1].value), mode="add"))
            else:
                steps.append(Step("read", key))
                commands.append(Get(id, [field]))

        async def act() -> list[Any]:
            results = (await store.transaction(commands)).results
            return [self._value_of(step, result) for step, result in zip(steps, results, strict=True)]

        lost = self._lost
        operation = await self._record(act, *steps)
        if operation.outcome == "ok":  # done, though the server may have had no time left to read
            operation.steps = [step for step in operation.steps if step.kind != "read" or step.result is not None]
        if self._lost > lost and operation.outcome == "ok" and operation.writes:
            self._load.history.part_reads(operation)

    async def read_lists(self, store: Store) -> None:
        """Several lists in one read, without a transaction."""
        keys = self._load.data.neighbours(self._key("list"))
        id = self._places[keys[0]].id

        async def act() -> list[Any]:
            found = await store.get(id, *(self._places[key].field for key in keys))
            return [read_value(key, found[self._places[key].field]) for key in keys]

        await self._record(act, *(Step("read", key) for key in keys))

    async def transfer(self, store: Store) -> None:
        """Move an amount between two accounts."""
        source, target = self._chance.sample(self._load.data.keys("account"), 2)
        amount = self._chance.randint(1, 9)
        (from_id, from_field), (to_id, to_field) = self._places[source], self._places[target]

        async def act() -> list[Any]:
            taken = SetFields(from_id, from_field, amount, mode="subtract")
            await store.transaction([taken, SetFields(to_id, to_field, amount, mode="add")])
            return []

        await self._record(act, Step("add", source, -amount), Step("add", target, amount))

    async def read_accounts(self, store: Store) -> None:
        """All accounts at once."""
        keys = self._load.data.keys("account")
        places = [self._places[key] for key in keys]

        async def act() -> list[Any]:
            found = (await store.transaction([Get(id, [field]) for id, field in places])).results
            for late in (result for result in found if isinstance(result, QcoreError)):
                raise late
            return [entity[field] for entity, (_, field) in zip(found, places, strict=True)]

        await self._record(act, *(Step("read", key) for key in keys))

    def _value_of(self, step: Step, result: Any) -> Any:
        """What a step of a transaction read, None if it is a write or the read failed."""
        if step.kind != "read" or isinstance(result, QcoreError):
            return None
        return read_value(step.key, result[self._places[step.key].field])

    def _on_lost(self, _reason: str) -> None:
        self._lost += 1
        self._load.lost += 1

    def _key(self, kind: str) -> str:
        return self._chance.choice(self._load.data.keys(kind))

    async def _record(self, act: Act, *steps: Step) -> Operation:
        return await self._load.record(self._number, steps, act)


CHOICES = {
    Client.read: 20,
    Client.write: 12,
    Client.write_once: 4,
    Client.compare_and_set: 12,
    Client.add: 12,
    Client.read_counter: 6,
    Client.append_and_read: 18,
    Client.read_lists: 6,
    Client.transfer: 6,
    Client.read_accounts: 4,
}
"""What clients do, and how often of a hundred times."""


async def read_all(load: Load, client: int, url: str) -> None:
    """Read every key through one node, as a client of its own; whatever was acknowledged must be there."""
    async with connect(url, client=f"proof {client}", timeout=DEADLINE, wait=DEADLINE) as store:
        for kind in {key.partition(":")[0]: None for key in load.data.places}:
            for keys in {tuple(load.data.neighbours(key)): None for key in load.data.keys(kind)}:
                await _read_together(load, client, store, keys)


async def _read_together(load: Load, client: int, store: Store, keys: Sequence[str]) -> None:
    places = [load.data.places[key] for key in keys]

    async def act() -> list[Any]:
        found = await store.get(places[0].id, *(place.field for place in places))
        return [read_value(key, found[place.field]) for key, place in zip(keys, places, strict=True)]

    operation = await load.record(client, [Step("read", key) for key in keys], act)
    assert operation.outcome == "ok", f"the last read of {', '.join(keys)} failed: {operation.error}"
