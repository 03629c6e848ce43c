"""Whether a node should get requests, and the name of the reason if not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from qcore.engine.base import EngineStatus
from qcore.server.operations.members import Cluster
from qcore.server.operations.readiness import REASONS, NotReady, readiness
from qcore.server.runtime import budgets
from tests.server.operations.test_members import cluster, status


def reason(found: EngineStatus, members: Cluster | None = None, applied: int = 9, **more: Any) -> NotReady | None:
    given = {"stopping": False, "set_up": True} | more
    return readiness(found, cluster(1) if members is None else members, applied, **given)


def changed(**fields: Any) -> EngineStatus:
    base = status()
    return EngineStatus(**{name: fields.get(name, getattr(base, name)) for name in base.__struct_fields__})


def test_a_leader_whose_writes_flow_is_ready_and_a_follower_that_is_caught_up() -> None:
    assert reason(status()) is None
    assert reason(status("follower", 2), cluster(3, leader=2), set_up=False) is None


@pytest.mark.parametrize(
    ("found", "more", "name"),
    [
        (status(), {"stopping": True}, "stopping"),
        (status("candidate", None), {}, "no_leader"),
        (changed(quorum_age=budgets.READY_QUORUM_SECONDS + 1), {}, "no_quorum"),
        (changed(role="follower", leader=2, quorum_age=budgets.READY_QUORUM_SECONDS + 1), {}, "no_leader"),
        (changed(role="follower", leader=2, quorum_age=None), {}, "no_leader"),
        (status(), {"set_up": False}, "setting_up"),
        (changed(committed=budgets.READY_LAG_ENTRIES + 10), {"applied": 9}, "behind"),
    ],
)
def test_each_reason_has_its_name(found: EngineStatus, more: dict[str, Any], name: str) -> None:
    not_ready = reason(found, **more)
    assert not_ready is not None
    assert not_ready.name == name
    assert name in REASONS


def test_the_names_are_documented() -> None:
    document = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
    rows = document.partition("## readyz")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == REASONS


def test_without_a_leader_it_says_how_many_can_be_reached() -> None:
    not_ready = reason(status("candidate", None), cluster(3, down=(2, 3), leader=None))
    assert not_ready is not None
    assert not_ready.sentence == "there is no leader: 1 of 3 voters can be reached, 2 are needed"
