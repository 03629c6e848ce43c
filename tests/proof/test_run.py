from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.proof.history import History
from tests.proof.nodes import Nodes
from tests.proof.run import NODE_FLAGS, Plan, ProofFailed, prove, wanted_of
from tests.proof.schedule import Action, faults_for, make_schedule
from tests.proof.verdict import check_history

needs_extension = pytest.mark.skipif(find_spec("qcore_openraft") is None, reason="the OpenRaft extension is not built")

NODE_COUNTS = [1, pytest.param(3, marks=needs_extension)]
"""Of how many nodes the clusters are that all this is proved with."""

SEED = 20261128
CLIENTS = 8


@pytest.mark.parametrize("count", NODE_COUNTS)
async def test_clients_see_one_linearizable_store_through_all_faults(
    tmp_path: Path, fault_library: Path, count: int
) -> None:
    plan = Plan.of(SEED, count, CLIENTS, len(faults_for(count)))
    with Nodes(tmp_path, count, fault_library, NODE_FLAGS) as nodes:
        report = await prove(plan, nodes, tmp_path / "evidence")
    assert set(report.met) >= plan.wanted
    assert {what.partition(" ")[0] for what in report.met} >= set(faults_for(count))


@pytest.mark.parametrize("count", NODE_COUNTS)
async def test_clients_see_one_linearizable_store_through_kills_in_a_row(
    tmp_path: Path, fault_library: Path, count: int
) -> None:
    schedule = make_schedule(SEED, count, 5, ["kill"])
    plan = Plan(SEED, count, CLIENTS, schedule, wanted_of(schedule, count))
    with Nodes(tmp_path, count, fault_library, NODE_FLAGS) as nodes:
        report = await prove(plan, nodes, tmp_path / "evidence")
    kills = {"kill of leader"} if count == 1 else {"kill of leader", "kill of follower", "leader_change"}
    assert set(report.met) >= kills


async def test_a_run_fails_if_a_fault_that_it_wanted_did_not_happen(tmp_path: Path, fault_library: Path) -> None:
    wanted = frozenset({"reset_clients of nodes", "leader_change"})
    plan = Plan(SEED, 1, 2, [Action("reset_clients", 0, 0.1, 10)], wanted)
    evidence = tmp_path / "evidence"
    with Nodes(tmp_path, 1, fault_library) as nodes, pytest.raises(ProofFailed) as caught:
        await prove(plan, nodes, evidence)
    text = str(caught.value)
    assert text.startswith(f"seed {SEED}, 1 nodes")
    assert "this never happened: leader_change" in text
    assert "happened: reset_clients" not in text
    assert "--seed 20261128 --nodes 1 --clients 2 --actions 1 --minutes 0" in text
    assert "after 10 operations reset_clients of nodes for 0.10 s" in (evidence / "schedule.txt").read_text()
    begun, over = (evidence / "timeline.txt").read_text().splitlines()
    assert begun.endswith("reset_clients of nodes: node 1, node 1 leads in term 1")
    assert over.endswith("reset_clients is over")
    assert "listening" in (evidence / "logs.txt").read_text()
    history = History.load(evidence / "history.jsonl")
    assert len(history.operations) > 10
    assert check_history(history) == []


async def test_a_run_whose_faults_cannot_be_carried_out_fails(tmp_path: Path, fault_library: Path) -> None:
    """A fault that cannot be carried out: the followers of a lone node."""
    plan = Plan(SEED, 1, 2, [Action("kill", 1, 0.1, 10)], frozenset())
    with Nodes(tmp_path, 1, fault_library) as nodes, pytest.raises(ProofFailed, match="IndexError"):
        await prove(plan, nodes, tmp_path / "evidence")


def test_where_the_leader_is_restarted_another_one_is_wanted() -> None:
    restart = Action("restart", 0, 0.1, 10)
    assert wanted_of([restart], 1) == {"restart of leader"}
    assert wanted_of([restart], 3) == {"restart of leader", "leader_change"}
    assert wanted_of([restart._replace(target=1)], 3) == {"restart of follower"}
