from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from qcore.disk.directory import Directory
from qcore.disk.log.record import encode, encode_body
from qcore.engine.base import Engine
from qcore.engine.factory import EngineName, available_engines, make_engine
from qcore.model.entry import FEATURE_LEVEL, EntryBody, LogId, Vote, raft_node_id
from qcore.model.initial_cluster import Candidate, InitialCluster
from qcore.server.main import main
from qcore.server.recovery import load
from qcore.store.state.state import State
from tests.disk.samples import open_node
from tests.server.offline.member import CLUSTER, EPOCH, NS, START, disk_of, member, members
from tests.server.running import running

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def qcore(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run qcore in this process; returns exit code, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("QCORE_")]:
        monkeypatch.delenv(name)

    def run_here(*args: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        return main([str(arg) for arg in args]), *capsys.readouterr()

    return run_here


def force(folder: Path, *flags: str) -> list[str | Path]:
    return ["--data-dir", folder, *flags, "recover", "--force-new-cluster"]


def looked_at(path: Path) -> tuple[Directory, State]:
    """A directory that was closed again, and the state in its newest snapshot."""
    with closing(Directory.look(path)) as looked:
        looked.refuse_damaged()
        return looked, load(looked)[0]


def contents(path: Path) -> dict[str, bytes]:
    """All files but the lock, which every process that opens a directory writes."""
    files = (each for each in path.rglob("*") if each.is_file() and each.name != "lock")
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


# -- the plan ----------------------------------------------------------------------------------------------


def test_a_plan_compares_by_term_and_index_and_says_what_may_be_missing(tmp_path: Path, qcore: Run) -> None:
    one = member(tmp_path / "a", 1, users=9, term=4, committed=10, membership=members(1, 2, 3, 4, 5))
    two = member(tmp_path / "b", 2, users=6, term=5, committed=5, membership=members(1, 2, 3, 4, 5))
    before = contents(tmp_path)
    code, out, err = qcore("recover", "--plan", tmp_path / "a", two)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{two}: cluster {CLUSTER}, term 5, index 7, revision 7, 2 of its entries not known to be committed; "
        "may be missing: everything after 2023-11-14T22:13:24Z",
        f"{one}: cluster {CLUSTER}, term 4, index 10, revision 10; "
        "may be missing: everything after 2023-11-14T22:13:29Z",
        f"Cluster {CLUSTER}: {two} has the most",
    ]
    assert contents(tmp_path) == before


def test_a_plan_says_that_a_majority_needs_no_recovery(tmp_path: Path, qcore: Run) -> None:
    paths = [member(tmp_path / str(id), id) for id in (1, 2)]
    code, out, _ = qcore("recover", "--plan", *paths)
    assert code == 0
    assert out.splitlines()[2:] == [
        f"Cluster {CLUSTER}: {paths[0]} and {paths[1]} have the most",
        "A majority of its voters is here: if none is an older copy, start them, and nothing is missing",
    ]


@pytest.mark.parametrize(("joint", "is_majority"), [(False, True), (True, False)])
def test_a_majority_of_a_joint_membership_is_one_of_both(
    tmp_path: Path, qcore: Run, joint: bool, is_majority: bool
) -> None:
    known = members(1, 2, 3, 4)
    voters = [raft_node_id(id, 0) for id in (1, 2, 3)]
    later = [raft_node_id(id, 0) for id in (2, 3, 4)]
    known = msgspec.structs.replace(known, configs=[voters, later] if joint else [voters])
    paths = [member(tmp_path / str(id), id, membership=known) for id in (1, 2)]
    assert ("A majority of its voters" in qcore("recover", "--plan", *paths)[1]) == is_majority


def test_copies_of_one_disk_and_other_disks_make_no_majority(tmp_path: Path, qcore: Run) -> None:
    one = member(tmp_path / "a", 1)
    shutil.copytree(one, tmp_path / "b" / "node_1")
    other = member(tmp_path / "c", 2)
    with closing(Directory.open(other.parent, 2)) as directory:
        directory.save_identity(msgspec.structs.replace(directory.identity, incarnation="ff" * 16))
    code, out, _ = qcore("recover", "--plan", tmp_path / "a", tmp_path / "b", other)
    assert code == 0
    assert "majority" not in out
    assert "no member any more" in out


def test_a_plan_tells_clusters_apart(tmp_path: Path, qcore: Run) -> None:
    one, two = member(tmp_path / "a", 1), member(tmp_path / "b", 2, cluster="cd" * 16, users=1)
    code, out, _ = qcore("recover", "--plan", one, two)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == [str(two), str(one)]
    assert "the most" not in out


def test_a_plan_goes_through_all_directories_and_fails_if_one_cannot_be_read(tmp_path: Path, qcore: Run) -> None:
    one, two, three = (member(tmp_path / str(id), id) for id in (1, 2, 3))
    (one / "logs" / "2.json").write_bytes(b"x" * 4096)
    with closing(Directory.open(two.parent, 2)):
        code, out, err = qcore("recover", "--plan", one, two, tmp_path / "none", three)
    assert code == 65
    assert out.startswith(f"{three}: cluster")
    assert len(out.splitlines()) == 1
    assert f"qcore: {one}/logs/2.json is damaged" in err
    assert f"qcore: {two} is in use by the process with pid {os.getpid()}" in err
    assert f"qcore: {tmp_path}/none is no node's directory" in err


def test_without_names_a_plan_is_of_the_nodes_own_directory(tmp_path: Path, qcore: Run) -> None:
    path = member(tmp_path, 3)
    assert qcore("--data-dir", tmp_path, "--id", "3", "recover", "--plan")[1].startswith(f"{path}: cluster")


def test_a_plan_names_learners_and_who_is_alone(tmp_path: Path, qcore: Run) -> None:
    learner = member(tmp_path / "a", 4, membership=members(1, 2, 3, learners=[4]))
    assert "without a vote; may be missing" in qcore("recover", "--plan", learner)[1]
    lone = member(tmp_path / "b", 1, membership=members(1))
    assert "; it is alone and needs no others\n" in qcore("recover", "--plan", lone)[1]


# -- the way out -------------------------------------------------------------------------------------------


def test_a_survivor_becomes_a_cluster_of_one_that_has_all_its_log_had(tmp_path: Path, qcore: Run) -> None:
    path = member(tmp_path, users=5, committed=3)
    before = contents(path)
    code, out, err = qcore(*force(tmp_path))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(
        f"{path}: was cluster {CLUSTER}, term 4, index 6, revision 6, 3 of its entries not known"
    )
    assert lines[0].endswith("; may be missing: everything after 2023-11-14T22:13:22Z")
    found = re.fullmatch(rf"OK: {path} is cluster ([0-9a-f]{{32}}): 6 entities at revision 6", lines[1])
    assert found
    backup = Path(lines[2].removesuffix(": what was there before"))
    assert lines[3] == (
        "Refused from now on: the disks of node 2 (127.0.0.1:8082), node 3 (127.0.0.1:8083); on empty ones these nodes "
        "join again"
    )
    assert contents(backup) == before
    assert sorted(os.listdir(tmp_path)) == ["node_1", backup.name]
    directory, state = looked_at(path)
    own = directory.identity
    assert (own.cluster, own.machine, own.generation) == (found[1], "box-1", 0)
    assert own.cluster != CLUSTER
    assert own.incarnation != disk_of(1)
    assert directory.vote == Vote(5, raft_node_id(1, 0), committed=True)
    assert directory.log.last == LogId(5, raft_node_id(1, 0), 8)
    header = directory.snapshots.found[0].header
    assert header.membership.is_alone(raft_node_id(1, 0))
    assert (state.applied, state.revision, state.time) == (8, 6, (START + 5) * NS)
    assert state.epochs.current == EPOCH
    assert (len(state.sessions.dump()), state.sessions.next_number) == (1, 2)
    assert state.removed.nodes == {disk_of(id): raft_node_id(id, 0) for id in (1, 2, 3)}


@pytest.mark.parametrize("name", ["embedded", "openraft"])
async def test_a_node_goes_on_from_there_and_tells_who_knew_more(tmp_path: Path, qcore: Run, name: EngineName) -> None:
    if name not in available_engines():
        pytest.skip("the OpenRaft extension is not built")
    member(tmp_path, users=5)
    assert qcore(*force(tmp_path))[0] == 0

    def engine(directory: Directory) -> Engine:
        return make_engine(name, directory, "127.0.0.1:8080", 1.0, lambda _: None)

    async with running(tmp_path, engine=engine) as run:
        client = run.client()
        assert (await client.result("count", type="User"))["count"] == 5
        known = {"id": 2, "field": "Name", "value": "x", "expect": {"revision": 2, "epoch": EPOCH}}
        assert (await client.result("set", **known))["revision"] == 7
        lost = {**known, "expect": {"revision": 7, "epoch": EPOCH}}
        assert await client.kind("set", **lost) == "conflict"
        told = await client.result("listen", target="User", since=7, epoch=EPOCH)
        (event,) = await client.told(told["token"], 1)
        assert (event["kind"], event["reason"]) == ("lost", "other_history")
        assert (await client.result("create", type="User", name="new"))["id"] == 7
    async with running(tmp_path, engine=engine) as run:
        assert (await run.client().result("count", type="User"))["count"] == 6


def test_a_store_of_a_lower_level_has_no_list_of_disks(tmp_path: Path, qcore: Run) -> None:
    path = member(tmp_path, level=5)
    assert qcore(*force(tmp_path))[0] == 0
    _, state = looked_at(path)
    assert (state.level, state.removed.nodes) == (5, {})
    assert FEATURE_LEVEL > 5


def test_what_is_made_of_a_witness_is_none_any_more_and_the_settings_are_told(tmp_path: Path, qcore: Run) -> None:
    path = member(tmp_path)
    with closing(Directory.open(tmp_path, 1)) as directory:
        directory.save_identity(msgspec.structs.replace(directory.identity, witness=True))
    assert ", a witness; may be missing" in qcore("recover", "--plan", path)[1]
    code, out, _ = qcore(*force(tmp_path, "--witness", "--peers", "127.0.0.1:8082"))
    assert code == 0
    assert out.splitlines()[-1] == (
        "It is no witness any more, but witness is still set (flag --witness): take that out before it starts"
    )
    assert not looked_at(path)[0].identity.witness


def test_the_settings_that_name_the_cluster_before_are_told(tmp_path: Path, qcore: Run) -> None:
    member(tmp_path)
    code, out, _ = qcore(*force(tmp_path, "--cluster-id", CLUSTER))
    assert code == 0
    new = re.search(r" is cluster ([0-9a-f]{32})", out)
    assert new
    assert f'cluster_id is still the one before (flag --cluster-id): set cluster_id = "{new[1]}"\n' in out
    assert qcore(*force(tmp_path, "--id", "2"))[0] == 2


def test_a_node_that_was_a_learner_or_is_no_member_any_more_can_go_on_too(tmp_path: Path, qcore: Run) -> None:
    member(tmp_path / "a", 4, membership=members(1, 2, 3, learners=[4]))
    member(tmp_path / "b", 5)
    for name, id, words in (("a", "4", "without a vote"), ("b", "5", "no member any more")):
        code, out, _ = qcore(*force(tmp_path / name, "--id", id))
        assert code == 0
        assert words in out
        directory, _ = looked_at(tmp_path / name / f"node_{id}")
        assert directory.snapshots.found[0].header.membership.is_alone(raft_node_id(int(id), 0))


# -- what is refused, and leaves everything as it was ------------------------------------------------------


def damage(path: Path) -> None:
    (path / "logs" / "2.json").write_bytes(b"x" * 4096)


def newer(path: Path) -> None:
    log_id, body = LogId(4, raft_node_id(2, 0), 7), EntryBody(FEATURE_LEVEL + 1, 0, "blank")
    with closing(Directory.open(path.parent, 1)) as directory:
        directory.log.append(log_id, encode(log_id, encode_body(body)))


def blank(path: Path) -> None:
    shutil.rmtree(path)
    open_node(path.parent).close()


def promised(path: Path) -> None:
    blank(path)
    with closing(Directory.open(path.parent, 1)) as directory:
        own = directory.identity
        promise = InitialCluster(own.incarnation, 1, CLUSTER, (Candidate(65_536, own.incarnation, "h:1"),), chosen=True)
        directory.save_identity(msgspec.structs.replace(own, promise=promise, proposed=1))


def admitted(path: Path) -> None:
    blank(path)
    with closing(Directory.open(path.parent, 1)) as directory:
        directory.save_identity(msgspec.structs.replace(directory.identity, cluster=CLUSTER, admitted=True))


def lone(path: Path) -> None:
    shutil.rmtree(path)
    member(path.parent, membership=members(1))


def foreign(path: Path) -> None:
    other = member(path.parent, 2)
    shutil.rmtree(path)
    other.rename(path)


def missing(path: Path) -> None:
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (damage, 65, "logs/2.json is damaged: expected an entry's head"),
        (newer, 65, "logs/7.json was written by a newer qcore: it holds feature level"),
        (blank, 2, "belongs to no cluster: there is nothing to recover in it"),
        (promised, 2, "it has only promised to form one, which qcore cluster forget-bootstrap takes back"),
        (admitted, 2, f"has nothing yet of cluster {CLUSTER}, which has taken it in"),
        (lone, 2, f"node 1 is alone in cluster {CLUSTER} and needs no others: start it"),
        (foreign, 65, "expected node 1 by the folder's name, found node 2"),
        (missing, 2, "node_1 is no node's directory"),
    ],
)
def test_what_cannot_or_need_not_be_recovered_is_left_alone(
    tmp_path: Path, qcore: Run, change: Callable[[Path], None], code: int, words: str
) -> None:
    change(member(tmp_path))
    before = contents(tmp_path)
    found, out, err = qcore(*force(tmp_path))
    assert (found, out) == (code, "")
    assert words in err
    assert contents(tmp_path) == before
    assert os.listdir(tmp_path) == (["node_1"] if before else [])


def test_a_directory_in_use_is_refused(tmp_path: Path, qcore: Run) -> None:
    member(tmp_path)
    with closing(open_node(tmp_path)):
        code, _, err = qcore(*force(tmp_path))
    assert code == 73
    assert "in use by the process with pid" in err
    assert os.listdir(tmp_path) == ["node_1"]


@pytest.mark.parametrize(
    "words", [[], ["--plan", "--force-new-cluster"], ["--force-new-cluster", "/somewhere"], ["--nope"]]
)
def test_wrong_words_are_refused(tmp_path: Path, qcore: Run, words: list[str]) -> None:
    member(tmp_path)
    assert qcore("--data-dir", tmp_path, "recover", *words)[0] == 2
    assert os.listdir(tmp_path) == ["node_1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_data_directory(tmp_path: Path, qcore: Run) -> None:
    member(tmp_path)
    (tmp_path / "node_1" / "lock").unlink()
    for each in (tmp_path, *tmp_path.rglob("*")):
        os.chown(each, 1234, 2345)
    assert qcore(*force(tmp_path))[0] == 0
    assert {(each.stat().st_uid, each.stat().st_gid) for each in tmp_path.rglob("*")} == {(1234, 2345)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_in_a_data_directory_of_root_it_belongs_to_whom_the_one_before_did(tmp_path: Path, qcore: Run) -> None:
    path = member(tmp_path)
    for each in (path, *path.rglob("*")):
        os.chown(each, 1234, 2345)
    assert qcore(*force(tmp_path))[0] == 0
    assert {(each.stat().st_uid, each.stat().st_gid) for each in (path, *path.rglob("*"))} == {(1234, 2345)}
