from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qcore.disk.checksummed import encode_checksummed
from qcore.disk.identity import Identity, default_machine, forget_promise, load_identity, new_identity, store_identity
from qcore.model.errors import Damaged, Newer
from qcore.model.initial_cluster import Candidate, InitialCluster
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


def forming() -> Identity:
    """The identity of a node that has promised."""
    members = tuple(Candidate(id * 65_536, f"{id:02x}" * 16, f"10.0.0.{id}:8080") for id in (1, 2))
    initial = InitialCluster(members[0].incarnation, 3, "ab" * 16, members, chosen=False)
    return msgspec.structs.replace(
        new_identity(1, "press"), promise=initial, proposed=3, refused={members[1].incarnation: 2}
    )


def test_a_promise_is_stored_in_a_format_that_earlier_versions_refuse_by_name(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    admitted = msgspec.structs.replace(new_identity(1, "press"), cluster="ab" * 16, admitted=True)
    for identity in (forming(), msgspec.structs.replace(forming(), promise=None, refused={}), admitted):
        store_identity(Unsynced(), str(path), identity)
        assert load_identity(Unsynced(), str(path), 1) == identity
        assert b'"format":3,' in path.read_bytes()


def test_the_format_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    identity = forming()
    fields = msgspec.structs.asdict(identity)
    del fields["admitted"], fields["witness"]
    before = msgspec.defstruct("Before", [(name, Any) for name in fields])
    path.write_bytes(encode_checksummed(before(**fields), format=2))
    assert load_identity(Unsynced(), str(path), 1) == identity


def test_without_a_promise_node_json_is_what_earlier_versions_read(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    store_identity(Unsynced(), str(path), Identity(1, "press", "ab" * 16, cluster="cd" * 16))
    assert path.read_bytes().partition(b",")[2] == (
        b'"format":1,"node":1,"machine":"press","incarnation":"abababababababababababababababab","generation":0,'
        b'"cluster":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","promise":null}\n'
    )


def test_the_directory_of_a_witness_has_a_format_that_earlier_versions_refuse_by_name(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    for identity in (new_identity(3, "box", witness=True), msgspec.structs.replace(forming(), witness=True)):
        store_identity(Unsynced(), str(path), identity)
        assert load_identity(Unsynced(), str(path), 1 if identity.promise else 3) == identity
        assert b'"format":4,' in path.read_bytes()


def test_a_later_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_bytes(encode_checksummed(forming(), format=5))
    with pytest.raises(Newer, match="it holds format 5, this version reads 4"):
        load_identity(Unsynced(), str(path), 1)


def test_forgetting_a_promise_refuses_nothing() -> None:
    forgotten = forget_promise(forming())
    assert (forgotten.promise, forgotten.proposed, forgotten.refused) == (None, 3, forming().refused)
