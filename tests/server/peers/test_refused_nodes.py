from __future__ import annotations

from qcore.server.peers.refused_nodes import RefusedNodes
from qcore.server.runtime import budgets


def test_a_refusal_is_named_once_and_as_long_as_it_comes_again() -> None:
    now = 0.0
    refused = RefusedNodes(lambda: now)
    refused.note("one", "first")
    now = budgets.REFUSED_SECONDS - 1
    refused.note("two", "second")
    refused.note("two", "second again")
    assert refused.sentences() == ["first", "second again"]
    now += 2
    assert refused.sentences() == ["second again"]


def test_only_the_newest_are_kept() -> None:
    refused = RefusedNodes()
    for number in range(budgets.REFUSED_NODES + 1):
        refused.note(str(number), str(number))
    assert len(refused.sentences()) == budgets.REFUSED_NODES
    assert "0" not in refused.sentences()
