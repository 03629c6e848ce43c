"""The message catalog of systemd's journal, made of the table of events: what `journalctl -x` shows beside a line.

``python -m qcore.server.runtime.catalog > packaging/systemd/qcore.catalog``
"""

from __future__ import annotations

import sys
import textwrap

from qcore.server.runtime.events import EVENTS, Event

__all__ = ["catalog"]

_COLUMNS = 100


def catalog() -> str:
    """The text of the catalog."""
    head = "# Made of qcore/server/runtime/events.py by qcore.server.runtime.catalog: change it there.\n"
    return head + "".join(_entry(name, event) for name, event in EVENTS.items())


def _entry(name: str, event: Event) -> str:
    action = f"{textwrap.fill(f'What to do: {event.action}', _COLUMNS)}\n" if event.action else ""
    return (
        f"\n-- {event.id}\nSubject: {event.subject}\nDefined-By: qcore\n\n"
        f"{textwrap.fill(event.cause, _COLUMNS)}\n{action}\nEvent {name}; node @QCORE_NODE@, @QCORE_ROLE@ in term "
        "@QCORE_TERM@.\n"
    )


if __name__ == "__main__":
    sys.stdout.write(catalog())
