"""Trees as lines and as JSON."""

from __future__ import annotations

import json

from qcore_tools.tree.drawing import ASCII, LINES, Labels, draw, json_pieces
from qcore_tools.tree.reading import Forest, Node


def forest(*nodes: Node, tops: tuple[int, ...] = (1,)) -> Forest:
    return Forest(list(tops), {node.id: node for node in nodes})


SMALL = forest(
    Node(1, "Root", "Root", [2, 4]),
    Node(2, "Folder", "a", [3]),
    Node(3, "Folder", "漢", []),
    Node(4, "Folder", "b", []),
)


def test_a_tree_has_lines_to_each_child() -> None:
    assert list(draw(SMALL, Labels(), LINES)) == [
        "Root",
        "├── a",
        "│   └── 漢",
        "└── b",
        "",
        "4 entities, depth 2",
    ]


def test_ascii_types_and_ids_are_shown_on_request() -> None:
    assert list(draw(SMALL, Labels(types=True, ids=True), ASCII))[:4] == [
        "Root (Root) [1]",
        "|-- a (Folder) [2]",
        "|   `-- 漢 (Folder) [3]",
        "`-- b (Folder) [4]",
    ]


def test_trees_without_a_parent_follow_one_after_the_other() -> None:
    lines = list(draw(forest(Node(1, "Root", "Root"), Node(9, "Folder", "lost"), tops=(1, 9)), Labels(), LINES))
    assert lines == ["Root", "lost", "", "2 entities, depth 0"]


def test_missing_children_and_cycles_are_marked_and_not_followed() -> None:
    twisted = forest(Node(1, "Root", "Root", [2, 7]), Node(2, "Folder", "a", [1]))
    assert list(draw(twisted, Labels(), LINES)) == [
        "Root",
        "├── a",
        "│   └── Root (cycle, not followed)",
        "└── (missing) 7",
        "",
        "2 entities, depth 1",
    ]
    found = json.loads("".join(json_pieces(twisted)))
    assert found["trees"][0]["children"][1] == {"id": 7, "missing": True}
    assert found["trees"][0]["children"][0]["children"] == [{"id": 1, "cycle": True}]


def test_fields_stand_behind_the_name_unless_the_entity_has_no_such_field() -> None:
    absent = {"error": {"kind": "not_found", "message": "no field"}}
    node = Node(1, "Root", "Root", [], {"Age": 3, "Lead": {"missing": 4}, "Nope": absent})
    assert Labels().of(node) == "Root {Age: 3, Lead: (missing) 4}"


def test_json_nests_children_and_counts() -> None:
    found = json.loads("".join(json_pieces(SMALL)))
    assert (found["entities"], found["depth"]) == (4, 2)
    assert found["trees"][0]["children"][0]["children"][0] == {"id": 3, "type": "Folder", "name": "漢", "children": []}


def test_a_tree_of_any_depth_is_drawn() -> None:
    deep = forest(*(Node(id, "Folder", "f", [id + 1] if id < 3000 else []) for id in range(1, 3001)))
    assert list(draw(deep, Labels(), ASCII))[-1] == "3,000 entities, depth 2999"
    assert "".join(json_pieces(deep)).count('"children":[') == 3000


def test_no_entity_is_no_error() -> None:
    assert list(draw(forest(tops=()), Labels(), LINES)) == ["", "0 entities, depth 0"]
    assert json.loads("".join(json_pieces(forest(tops=())))) == {"trees": [], "entities": 0, "depth": 0}
