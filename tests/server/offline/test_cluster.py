from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from qcore.model.entry import raft_node_id
from qcore.model.initial_cluster import Candidate, InitialCluster
from qcore.server.main import main
from tests.disk.samples import open_node


def forget(folder: Path, *flags: str) -> int:
    return main(["--data-dir", str(folder), *flags, "cluster", "forget-bootstrap"])


def promised(folder: Path, cluster: str = "") -> None:
    """A node that has promised to form a cluster with node 2."""
    directory = open_node(folder)
    own = directory.identity
    members = (
        Candidate(raft_node_id(own.node, 0), own.incarnation, "127.0.0.1:8080"),
        Candidate(raft_node_id(2, 0), "b" * 32, "127.0.0.1:8081"),
    )
    promise = InitialCluster(own.incarnation, 1, "ab" * 16, members, chosen=True)
    directory.save_identity(msgspec.structs.replace(own, promise=promise, proposed=1, cluster=cluster))
    directory.close()


def test_a_promise_is_taken_back_and_the_others_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promised(tmp_path)
    assert forget(tmp_path) == 0
    said = capsys.readouterr().out
    assert "node 1 has taken back that it forms cluster abababab of nodes 1 and 2" in said
    assert "do the same on: node 2 (127.0.0.1:8081)" in said
    directory = open_node(tmp_path)
    assert directory.identity.promise is None
    assert directory.identity.proposed == 1, "its next proposal has another number"
    directory.close()


def test_what_is_not_promised_is_not_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_node(tmp_path).close()
    assert forget(tmp_path) == 2
    assert "node 1 has promised to form no cluster" in capsys.readouterr().err


def test_a_member_keeps_what_it_has_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promised(tmp_path, cluster="ab" * 16)
    assert forget(tmp_path) == 2
    assert "belongs to cluster abab" in capsys.readouterr().err


def test_a_running_node_and_one_that_is_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promised(tmp_path)
    running = open_node(tmp_path)
    assert forget(tmp_path) == 73
    running.close()
    assert forget(tmp_path, "--id", "7") == 2
    assert not (tmp_path / "node_7").exists()
    assert "node_7" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("has_promised", [True, False])
def test_root_leaves_all_files_to_whom_the_directory_belongs(tmp_path: Path, has_promised: bool) -> None:
    if has_promised:
        promised(tmp_path)
    else:
        open_node(tmp_path).close()
    (tmp_path / "node_1" / "lock").unlink()
    for each in tmp_path.rglob("*"):
        os.chown(each, 1234, 2345)
    assert forget(tmp_path) == (0 if has_promised else 2)
    assert {(each.stat().st_uid, each.stat().st_gid) for each in tmp_path.rglob("*")} == {(1234, 2345)}
