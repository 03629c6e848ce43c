"""A process of its own that applies a log: entries on standard input, one a line; out come digest and a hash of all.

Started by tests with other environments; what it prints must not depend on them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from tests.store.samples import dump, replay

__all__ = ["main"]


def main() -> None:
    state = replay(sys.stdin.buffer.read().splitlines())
    everything = json.dumps(ordered(dump(state)), default=repr)
    sys.stdout.write(f"{state.digest()} {hashlib.sha256(everything.encode()).hexdigest()}\n")


def ordered(thing: Any) -> Any:
    """Dicts by key; lists as they are, as their order is part of what must agree."""
    if isinstance(thing, dict):
        return {str(key): ordered(thing[key]) for key in sorted(thing)}
    return [ordered(item) for item in thing] if isinstance(thing, list | tuple) else thing


if __name__ == "__main__":
    main()
