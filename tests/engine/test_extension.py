"""Whether the extension can be used, and what is said where it cannot."""

from __future__ import annotations

import sys
import types

import pytest

from qcore.engine.factory import available_engines, refuse_cluster
from qcore.engine.openraft.extension import BORDER_VERSION, extension_problem
from qcore.model.errors import ExtensionMissing


def test_the_extension_is_there() -> None:
    problem = extension_problem()
    if problem is not None:
        pytest.skip(problem)
    assert available_engines() == ["embedded", "openraft"]


def test_without_the_extension_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qcore_openraft", None)
    assert available_engines() == ["embedded"]
    with pytest.raises(ExtensionMissing, match=r"^--engine openraft .*qcore_openraft .* apt install cargo-web"):
        refuse_cluster("openraft", discovery=False, peers=False)


def test_an_extension_of_another_version_is_refused_and_says_what_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    other = types.ModuleType("qcore_openraft")
    other.BORDER_VERSION = BORDER_VERSION + 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "qcore_openraft", other)
    with pytest.raises(ExtensionMissing, match=rf"border version {BORDER_VERSION + 1}.*`make run` builds"):
        refuse_cluster("openraft", discovery=False, peers=False)


@pytest.mark.parametrize(("discovery", "flag"), [(True, "--enable-discovery"), (False, "--peers")])
def test_a_cluster_is_refused_by_the_flag_that_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, discovery: bool, flag: str
) -> None:
    monkeypatch.setitem(sys.modules, "qcore_openraft", None)
    with pytest.raises(ExtensionMissing, match=f"^{flag} needs OpenRaft"):
        refuse_cluster("auto", discovery=discovery, peers=not discovery)


def test_with_the_extension_a_cluster_is_not_refused() -> None:
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    refuse_cluster("auto", discovery=True, peers=True)


@pytest.mark.parametrize(("discovery", "flag"), [(True, "--enable-discovery"), (False, "--peers")])
def test_the_engine_of_one_node_is_refused_in_a_cluster(discovery: bool, flag: str) -> None:
    with pytest.raises(ExtensionMissing, match=f"^{flag} asks for a cluster, and --engine embedded is for one node"):
        refuse_cluster("embedded", discovery=discovery, peers=not discovery)
