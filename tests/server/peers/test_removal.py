from __future__ import annotations

import pytest

from qcore.server.peers.removal import Removal
from qcore.server.runtime import budgets
from tests.server.running import until


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "REMOVED_PATIENCE_SECONDS", 0.01)


async def test_who_hears_that_it_was_removed_stops_once_nobody_talks_to_it() -> None:
    said: list[str] = []
    linked = [True]
    looks: list[bool] = []

    def is_linked() -> bool:
        looks.append(linked[0])
        return linked[0]

    removal = Removal(is_linked, said.append)
    removal.hear("first")
    removal.hear("again")
    await until(lambda: looks)
    assert (looks, said) == ([True], []), "another member talks to it, so it is let in again"
    linked[0] = False
    removal.hear("second")
    await until(lambda: said)
    assert said == ["second"]


async def test_nothing_is_heard_after_the_end() -> None:
    said: list[str] = []
    removal = Removal(lambda: False, said.append)
    removal.hear("first")
    removal.end()
    removal.hear("second")
    other = Removal(lambda: False, said.append)
    other.hear("of another node")
    await until(lambda: said)
    assert said == ["of another node"]
