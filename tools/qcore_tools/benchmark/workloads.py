"""The tests: what each one sends, and how a good answer to it is told. No I/O."""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from qcore_tools.benchmark.frames import request_frame
from qcore_tools.benchmark.messages import Prepare

__all__ = ["PAGE", "WORKLOADS", "Workload", "delete_frames", "listen_frame", "text_of"]

PAGE = 10
"""Entities on a page of FIND and FINDPAG."""

MOST_FRAMES, MOST_BYTES = 10_000, 16 << 20
"""How many different requests a process makes ready: so many, or so many bytes of them."""

Request = tuple[str, dict[str, Any]]
Draw = Callable[[Prepare, random.Random, int], Request]
"""Makes one request; the number tells requests of a test apart."""


@dataclass(frozen=True)
class Workload:
    """What a test sends: `methods` are those that it calls, `expected` is in every answer that is as it should be.

    `draw` makes one request; DELETE has none, as what it deletes is given with each round. A test that `listens` is
    over with a write when its event is there.
    """

    name: str
    what: str
    methods: tuple[str, ...]
    expected: bytes
    draw: Draw | None
    listens: bool = False

    def frames(self, given: Prepare, client: int = 0) -> Iterator[bytes]:
        """Requests, again and again, the same ones for the same seed; to listen each client has its own entity."""
        if self.draw is None:
            return iter(())
        if self.listens:
            given = msgspec.structs.replace(given, ids=[given.ids[client]])
        rng = random.Random(f"{given.seed} {self.name} {given.number} {client}")
        first = request_frame(0, *self.draw(given, rng, 0))
        count = max(1, min(MOST_FRAMES, MOST_BYTES // len(first)) // (given.clients if self.listens else 1))
        return itertools.cycle([request_frame(number, *self.draw(given, rng, number)) for number in range(count)])


def text_of(size: int, number: int) -> str:
    """A text of so many ASCII letters and digits, another one for each number as far as there is room."""
    head = f"{number:x}"[-size:] if size else ""
    filler = string.ascii_letters
    return head + (filler * (size // len(filler) + 1))[: size - len(head)]


def listen_frame(entity: int) -> bytes:
    """Asks for the events of an entity's text."""
    return request_frame(0, "listen", {"target": entity, "field": "Text"})


def delete_frames(stock: Sequence[int]) -> Iterator[bytes]:
    """Delete each of these once."""
    return iter([request_frame(entity, "delete", {"id": entity}) for entity in stock])


def _read(given: Prepare, params: dict[str, Any]) -> dict[str, Any]:
    """Params of a read; the consistency stands there only where it is not the one that holds anyway."""
    return params if given.consistency == "linearizable" else {**params, "consistency": given.consistency}


def _ping(given: Prepare, rng: random.Random, number: int) -> Request:
    return "ping", {}


def _exists(given: Prepare, rng: random.Random, number: int) -> Request:
    return "exists", _read(given, {"id": rng.choice(given.ids)})


def _get(given: Prepare, rng: random.Random, number: int) -> Request:
    return "get", _read(given, {"id": rng.choice(given.ids), "fields": ["Text"]})


def _set(given: Prepare, rng: random.Random, number: int) -> Request:
    text = text_of(given.data_size, rng.getrandbits(32))
    return "set", {"id": rng.choice(given.ids), "field": "Text", "value": text}


def _create(given: Prepare, rng: random.Random, number: int) -> Request:
    fields = {"Number": number, "Text": text_of(given.data_size, number)}
    parent = given.folders[number % len(given.folders)]
    return "create", {"type": given.new_type, "name": f"new {number}", "parent": parent, "fields": fields}


def _find(given: Prepare, rng: random.Random, number: int) -> Request:
    return "find", _read(given, {"type": given.type, "limit": PAGE})


def _find_page(given: Prepare, rng: random.Random, number: int) -> Request:
    """The pages in their order, each process from another one on."""
    pages = ["", *given.cursors]
    cursor = pages[(number + given.number * len(pages) // 7) % len(pages)]
    return "find", _read(given, {"type": given.type, "limit": PAGE} | ({"cursor": cursor} if cursor else {}))


def _search(given: Prepare, rng: random.Random, number: int) -> Request:
    wanted = rng.randrange(len(given.ids))
    return "find", _read(given, {"type": given.type, "filter": f"Number == {wanted}"})


def _mix(given: Prepare, rng: random.Random, number: int) -> Request:
    drawn = rng.random()
    draw = _get if drawn < 0.75 else _set if drawn < 0.95 else _find_page
    return draw(given, rng, number)


WORKLOADS: dict[str, Workload] = {
    each.name: each
    for each in (
        Workload("PING", "nothing but an answer", ("ping",), b'"result":"PONG"', _ping),
        Workload("EXISTS", "ask for an entity", ("exists",), b'"result":true', _exists),
        Workload("GET", "read a field", ("get",), b'"fields":{"Text":{"value":', _get),
        Workload("SET", "write a field", ("set",), b'"applied":true', _set),
        Workload("CREATE", "create an entity", ("create",), b'"result":{"id":', _create),
        Workload("DELETE", "delete an entity", ("delete",), b'"deleted":1,', None),
        Workload("FIND", f"the first {PAGE} entities of a type", ("find",), b'"items":[{', _find),
        Workload("FINDPAG", f"page by page, {PAGE} entities each", ("find",), b'"items":[{', _find_page),
        Workload("SEARCH", "find one entity by a filter", ("find",), b'"items":[{', _search),
        Workload("LISTEN", "from a write to the event of it", ("set",), b'"applied":true', _set, listens=True),
        Workload("MIX", "75 % GET, 20 % SET, 5 % FINDPAG", ("get", "set", "find"), b'"result":{', _mix),
    )
}
