"""What the user asked for. No I/O."""

from __future__ import annotations

import msgspec

from qcore.model.requests.queries import Consistency

__all__ = ["DEFAULT_REQUESTS", "Plan"]

DEFAULT_REQUESTS = 100_000


class Plan(msgspec.Struct, frozen=True):
    """How the tests are run: each with so many `requests`, or for so many `seconds`, whichever comes first.

    `pipeline` is how many requests of a client are under way at a time, `data_size` the bytes of a value that is
    written or read, `keyspace` how many entities there are, `warmup` the seconds before each test that do not count.
    The same `seed` gives the same requests; `processes` generate the load, None: as many as it takes.
    """

    tests: list[str]
    clients: int
    requests: int | None
    seconds: float | None
    pipeline: int
    data_size: int
    keyspace: int
    warmup: float
    consistency: Consistency
    seed: int
    processes: int | None
    keep: bool
