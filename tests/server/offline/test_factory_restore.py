from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qcore.disk.directory import Directory
from qcore.engine.base import Engine
from qcore.engine.factory import EngineName, available_engines, make_engine
from qcore.model.documents.document import Document
from qcore.model.documents.password import verify_password
from qcore.model.documents.text import read_document
from qcore.model.entry import FEATURE_LEVEL
from qcore.model.errors import AlreadyRunning, Conflict, DiskFailed, RequestError
from qcore.model.wire import encode_json
from qcore.server.config.settings import Settings
from qcore.server.offline import new_directory as module
from qcore.server.offline.factory_restore import factory_restore
from qcore.server.recovery import load
from qcore.store.documents.export import export
from qcore.store.state.state import State
from tests.disk.samples import open_node
from tests.server.running import running

USER = {
    "entityType": "User",
    "inheritsFrom": ["Object"],
    "fields": [{"name": "Age", "dataType": "Int"}, {"name": "Secret", "dataType": "String"}],
}


def document(*children: dict[str, Any], next_id: int = 90) -> Document:
    tree = {"entityType": "Root", "id": 1, "Name": "Root", "Children": list(children)}
    return read_document(encode_json({"schemas": [USER], "tree": tree, "nextId": next_id}))


def user(id: int, **fields: Any) -> dict[str, Any]:
    return {"entityType": "User", "id": id, "Name": f"u{id}", **fields}


SOME = document(user(7, Age=3), user(41))


def settings(folder: Path, **given: Any) -> Settings:
    return Settings(data_dir=folder, **given)


def state_in(path: Path) -> State:
    with closing(Directory.look(path)) as looked:
        looked.refuse_damaged()
        state, _ = load(looked)
        return state


def text(state: State) -> bytes:
    view = state.pin()
    try:
        return b"".join(export(view))
    finally:
        view.release()


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """The directory of a node that has lived."""
    open_node(tmp_path).close()
    return tmp_path / "node_1"


def test_the_directory_holds_what_the_document_says(tmp_path: Path) -> None:
    made = factory_restore(SOME, settings(tmp_path, machine="barn"))
    assert (made.path, made.backup, made.machine, made.entities) == (tmp_path / "node_1", None, "barn", 3)
    state = state_in(made.path)
    assert sorted(state.entities) == [1, 7, 41]
    assert state.entities[7].name == "u7"
    assert (state.next_id, state.revision, state.level) == (90, 1, FEATURE_LEVEL)
    found = read_document(text(state))
    assert (found.entities, found.next_id) == (SOME.entities, SOME.next_id)
    assert [schema.entity_type for schema in found.schemas] == ["User"]
    assert os.listdir(tmp_path) == ["node_1"]


def test_no_schema_file_and_no_history_come_along(tmp_path: Path) -> None:
    state = state_in(factory_restore(SOME, settings(tmp_path)).path)
    assert state.mark
    assert (len(state.epochs), state.sessions.next_number) == (0, State().sessions.next_number)
    assert not state.staged.open


@pytest.mark.parametrize("name", ["embedded", "openraft"])
async def test_a_node_starts_on_it_and_takes_writes(tmp_path: Path, name: EngineName) -> None:
    if name not in available_engines():
        pytest.skip("the OpenRaft extension is not built")
    made = factory_restore(SOME, settings(tmp_path))

    def engine(directory: Directory) -> Engine:
        return make_engine(name, directory, "127.0.0.1:8080", 1.0, lambda _: None)

    for id in (90, 91):
        async with running(tmp_path, engine=engine) as run:
            client = run.client()
            info = await client.result("info")
            assert (info["cluster"], info["leader"]) == (made.cluster, 1)
            assert (await client.result("create", type="User", name="new"))["id"] == id
            assert (await client.result("get", id=7, fields=["Age"]))["fields"]["Age"]["value"] == 3


def test_two_restores_are_two_clusters(tmp_path: Path) -> None:
    one, other = factory_restore(SOME, settings(tmp_path)), factory_restore(SOME, settings(tmp_path, id=2))
    assert one.cluster != other.cluster
    assert other.path == tmp_path / "node_2"
    found = [open_node(tmp_path), Directory.open(tmp_path, 2)]
    assert len({each.identity.incarnation for each in found}) == 2
    assert [each.identity.cluster for each in found] == [one.cluster, other.cluster]
    for each in found:
        each.close()


def test_passwords_are_hashed(tmp_path: Path) -> None:
    state = state_in(factory_restore(document(user(7, Secret="__hashpw__(sesame)")), settings(tmp_path)).path)
    slot = state.types.of("User").field("Secret").slot
    assert verify_password(str(state.entities[7].values[slot]), "sesame")


def test_a_directory_that_is_there_is_refused(tmp_path: Path, lived: Path) -> None:
    before = sorted(each.name for each in lived.rglob("*"))
    with pytest.raises(Conflict, match=f"{lived} is there already; --force"):
        factory_restore(SOME, settings(tmp_path))
    assert sorted(each.name for each in lived.rglob("*")) == before


def test_with_force_the_old_one_is_kept_each_time(tmp_path: Path, lived: Path) -> None:
    identity = (lived / "node.json").read_bytes()
    first = factory_restore(SOME, settings(tmp_path), force=True)
    second = factory_restore(SOME, settings(tmp_path), force=True)
    assert first.backup is not None
    assert second.backup is not None
    assert (first.backup / "node.json").read_bytes() == identity
    assert len(state_in(lived).entities) == 3
    assert sorted(os.listdir(tmp_path)) == sorted(["node_1", first.backup.name, second.backup.name])
    assert first.backup.name.startswith("node_1.bak-")


@pytest.mark.parametrize("force", [True, False])
def test_a_directory_in_use_is_refused(tmp_path: Path, force: bool) -> None:
    with closing(open_node(tmp_path)), pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
        factory_restore(SOME, settings(tmp_path), force=force)
    assert os.listdir(tmp_path) == ["node_1"]


@pytest.mark.parametrize(
    ("limits", "words"), [({"max_depth": 1}, "2 levels deep"), ({"max_list": 1, "max_depth": 1}, "levels")]
)
def test_what_no_store_could_hold_is_refused_before_anything_is_written(
    tmp_path: Path, limits: dict[str, int], words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        factory_restore(SOME, settings(tmp_path, **limits))
    assert os.listdir(tmp_path) == []


def test_what_an_attempt_before_has_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".node_1.restoring" / "node_1"
    left.mkdir(parents=True)
    (left / "vote.json").write_text("half")
    factory_restore(SOME, settings(tmp_path))
    assert os.listdir(tmp_path) == ["node_1"]


def test_two_at_a_time_do_not_meet(tmp_path: Path) -> None:
    with closing(open_node(tmp_path / ".node_1.restoring")), pytest.raises(AlreadyRunning):
        factory_restore(SOME, settings(tmp_path))


def test_a_directory_that_does_not_give_it_back_is_not_put_in_place(
    tmp_path: Path, lived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = (lived / "node.json").read_bytes()
    write = module._write_snapshot

    def flip(directory: Directory, *rest: Any) -> None:
        write(directory, *rest)
        path = Path(directory.snapshots.found[0].path)
        path.write_bytes(path.read_bytes().replace(b"u41", b"u42"))

    monkeypatch.setattr(module, "_write_snapshot", flip)
    with pytest.raises(DiskFailed, match="does not give back what was written"):
        factory_restore(SOME, settings(tmp_path), force=True)
    assert (lived / "node.json").read_bytes() == identity
    assert os.listdir(tmp_path) == ["node_1"]


def test_a_data_directory_that_is_missing_is_made(tmp_path: Path) -> None:
    made = factory_restore(SOME, settings(tmp_path / "var" / "lib"))
    assert made.path == tmp_path / "var" / "lib" / "node_1"
    assert len(state_in(made.path).entities) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_data_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 2345)
    made = factory_restore(SOME, settings(tmp_path))
    found = [made.path, *made.path.rglob("*")]
    assert {(each.stat().st_uid, each.stat().st_gid) for each in found} == {(1234, 2345)}
    assert len(found) > 8


def test_the_owner_is_not_given_by_who_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "_owner_of", lambda folder: (1234, 2345))
    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(DiskFailed, match="cannot give"):
        factory_restore(SOME, settings(tmp_path))
    assert os.listdir(tmp_path) == []
