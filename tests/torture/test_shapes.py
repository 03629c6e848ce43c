from __future__ import annotations

from itertools import chain

import pytest

from tests.proof.schedule import CLUSTER_FAULTS, FAULTS, LONG_FAULTS
from tests.torture.shapes import SHAPES, plan_of, shape_of


def test_the_shapes_take_turns() -> None:
    assert [shape_of(seed) for seed in range(7, 7 + len(SHAPES))] == [*SHAPES[2:], *SHAPES[:2]]


def test_every_fault_that_there_is_has_a_shape() -> None:
    assert set(chain(*(shape.faults for shape in SHAPES))) == {*FAULTS, *CLUSTER_FAULTS, *LONG_FAULTS}


@pytest.mark.parametrize("seed", range(len(SHAPES)))
def test_a_seed_makes_one_plan_in_which_each_fault_of_its_shape_comes_once(seed: int) -> None:
    plan = plan_of(seed)
    assert plan == plan_of(seed)
    assert sorted(action.fault for action in plan.schedule) == sorted(shape_of(seed).faults)
    assert len(plan_of(seed, 3).schedule) == 3
