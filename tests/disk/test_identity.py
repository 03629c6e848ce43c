from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from qcore.disk.identity import default_machine, load_identity, new_identity, store_identity
from qcore.model.errors import Damaged
from tests.disk.samples import Unsynced


def test_an_identity_is_stored_and_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "node.json")
    identity = msgspec.structs.replace(new_identity(3, "press"), cluster="ab" * 16, generation=2)
    store_identity(Unsynced(), path, identity)
    assert load_identity(Unsynced(), path, 3) == identity


def test_a_new_disk_is_generation_0_of_no_cluster_with_an_incarnation_of_its_own() -> None:
    one, two = new_identity(1, "press"), new_identity(1, "press")
    assert (one.generation, one.cluster, one.promise) == (0, "", None)
    assert len(one.incarnation) == 32
    assert one.incarnation != two.incarnation


def test_the_machine_is_called_like_the_host_and_nodes_that_share_it_are_told_apart() -> None:
    host = os.uname().nodename
    assert default_machine(1) == host
    assert default_machine(2) == f"{host}-2"
    assert new_identity(2, None).machine == f"{host}-2"


def test_another_node_s_identity_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "node.json")
    store_identity(Unsynced(), path, new_identity(2, "press"))
    with pytest.raises(Damaged, match="expected node 1 by the folder's name, found node 2"):
        load_identity(Unsynced(), path, 1)
