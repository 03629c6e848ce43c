from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from qcore.cluster.formation.automatic import Automatic
from qcore.cluster.formation.machine import Formation
from qcore.cluster.formation.messages import (
    Action,
    Ask,
    InitDone,
    Initialize,
    Note,
    Propose,
    Save,
    Send,
    Standing,
    decode,
    encode,
)
from qcore.disk.identity import Identity, forget_promise
from qcore.model.errors import BadParams, Conflict, Forbidden, NoQuorum, RequestError, Timeout
from qcore.model.initial_cluster import InitialCluster
from tests.cluster.formation.explorer import candidate, identity


class Nodes:
    """Nodes that are linked, on disks that write at once; messages are delivered when a test says so."""

    def __init__(self, count: int, *, linked: bool = True) -> None:
        self.sent: list[tuple[int, int, bytes]] = []
        self.done: dict[int, list[RequestError | None]] = {}
        self.initialized: list[tuple[int, InitialCluster]] = []
        self.notes: list[str] = []
        self.nodes: dict[int, Formation] = {}
        for id in range(1, count + 1):
            self.start(identity(id))
        if linked:
            for id in self.nodes:
                self.link(id)

    def start(self, disk: Identity, *, joins: bool = False) -> Formation:
        peers = [candidate(id).addr for id in (1, 2, 3)]
        node = self.nodes[disk.node] = Formation(disk, candidate(disk.node).addr, peers, joins=joins)
        node.met(node.own, "", node.own.addr)
        return node

    def link(self, id: int) -> None:
        """Let a node meet all others, and these it."""
        for other in self.nodes:
            if other != id:
                self.nodes[id].met(candidate(other), self.nodes[other].identity.cluster, candidate(other).addr)
                self.nodes[other].met(candidate(id), self.nodes[id].identity.cluster, candidate(id).addr)

    def carry_out(self, id: int) -> None:
        node = self.nodes[id]
        while actions := node.take_actions():
            for action in actions:
                self._carry_out(id, node, action)

    def _carry_out(self, id: int, node: Formation, action: Action) -> None:
        match action:
            case Save():
                node.saved()
            case Send(to, message):
                self.sent.append((id, to // 65_536, encode(message)))
            case Initialize(initial):
                self.initialized.append((id, initial))
                node.initialized(None)
            case InitDone(error):
                self.done.setdefault(id, []).append(error)
            case Note(event):
                self.notes.append(f"{id} {event}")

    def deliver(self, wanted: Callable[[int, int], bool] = lambda sender, receiver: True) -> None:
        """Deliver until nothing is on its way; what is not `wanted` is lost."""
        for id in self.nodes:
            self.carry_out(id)
        while self.sent:
            sender, receiver, data = self.sent.pop(0)
            if receiver in self.nodes and wanted(sender, receiver):
                self.nodes[receiver].receive(candidate(sender), decode(data))
                self.carry_out(receiver)

    def init(self, id: int, *ids: int) -> None:
        self.nodes[id].init(ids)
        self.carry_out(id)

    def states(self) -> list[str]:
        return [node.state for node in self.nodes.values()]

    def cluster(self) -> str:
        """The one cluster that all belong to."""
        (cluster,) = {node.identity.cluster for node in self.nodes.values()}
        return cluster


def test_an_init_forms_a_cluster_of_all_peers() -> None:
    nodes = Nodes(3)
    nodes.init(2)
    nodes.deliver()
    assert nodes.states() == ["member", "member", "member"]
    assert nodes.done == {2: [None]}
    ((initializer, initial),) = nodes.initialized
    assert (initializer, initial.ids, initial.cluster) == (2, [1, 2, 3], nodes.cluster())
    assert list(initial.membership().nodes) == [65_536, 2 * 65_536, 3 * 65_536]


def test_with_ids_exactly_those_are_asked() -> None:
    nodes = Nodes(3)
    nodes.init(1, 1, 2)
    nodes.deliver()
    assert nodes.states() == ["member", "member", "blank"]


def test_a_node_forms_no_cluster_without_itself() -> None:
    with pytest.raises(BadParams, match="node 1 forms no cluster without itself"):
        Nodes(3).init(1, 2, 3)


def test_an_id_given_twice_is_refused_as_another_one_was_meant() -> None:
    nodes = Nodes(3)
    with pytest.raises(BadParams, match="ids: node 2 is given twice"):
        nodes.init(1, 1, 2, 2)
    assert nodes.states() == ["blank", "blank", "blank"]


def test_a_cluster_of_one_needs_its_id() -> None:
    nodes = Nodes(1, linked=False)
    nodes.init(1, 1)
    nodes.deliver()
    assert nodes.states() == ["blank"], "peers may still be reached, and belong to a cluster"
    assert nodes.nodes[1].waiting() == "a cluster is being formed: peers that were not reached yet may still answer"
    for _ in range(3):
        nodes.nodes[1].tick()
    nodes.deliver()
    assert nodes.states() == ["member"]


def test_a_peer_that_does_not_answer_is_waited_for_and_named() -> None:
    nodes = Nodes(3, linked=False)
    nodes.nodes[1].met(candidate(2), "", candidate(2).addr)
    nodes.init(1)
    nodes.deliver()
    assert nodes.states() == ["blank"] * 3
    assert nodes.nodes[1].waiting() == "a cluster is being formed: 127.0.0.1:8003 was not reached"
    error = nodes.nodes[1].give_up()
    assert isinstance(error, Timeout)
    assert error.data == {"applied": "no"}
    assert error.message == "nothing was formed: 127.0.0.1:8003 was not reached"
    nodes.nodes[1].met(candidate(3), "", candidate(3).addr)
    nodes.deliver()
    assert nodes.states() == ["blank"] * 3


def test_an_old_answer_is_none() -> None:
    nodes = Nodes(2)
    nodes.nodes[1].receive(candidate(2), Standing())
    nodes.nodes[1].init((1, 2))
    assert not any(isinstance(action, Save) for action in nodes.nodes[1].take_actions())


def test_nothing_is_said_before_it_is_on_the_disk() -> None:
    node = Formation(identity(2), candidate(2).addr)
    node.receive(candidate(1), Ask())
    node.take_actions()
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    node.receive(candidate(1), Propose(initial))
    node.receive(candidate(1), Ask())
    node.tick()
    (save,) = node.take_actions()
    assert isinstance(save, Save)
    assert save.identity.promise == initial
    node.saved()
    said = [action.message for action in node.take_actions() if isinstance(action, Send)]
    assert said == [Standing(promise=initial)]


def test_of_two_inits_at_once_the_lower_node_s_goes_on() -> None:
    nodes = Nodes(3)
    for id in (3, 1):
        nodes.nodes[id].init()
        for other in {1, 2, 3} - {id}:
            nodes.nodes[id].receive(candidate(other), Standing())
        nodes.carry_out(id)
    assert nodes.states() == ["proposing", "blank", "proposing"]
    nodes.deliver()
    for node in nodes.nodes.values():
        node.tick()
    nodes.deliver()
    assert nodes.states() == ["member"] * 3
    assert nodes.initialized[0][1].proposer == candidate(1).incarnation
    assert nodes.done[1] == [None]
    (refused,) = nodes.done[3]
    assert isinstance(refused, Conflict)
    assert "node 1 (127.0.0.1:8001) has promised to form cluster" in refused.message


def test_a_promise_is_kept_over_a_restart_and_goes_on() -> None:
    nodes = Nodes(3)
    nodes.init(1)
    nodes.deliver(lambda sender, receiver: receiver != 2 or sender != 1 or nodes.states()[0] == "blank")
    assert nodes.states() == ["proposing", "blank", "promised"]
    nodes.start(nodes.nodes[1].identity)
    nodes.start(nodes.nodes[3].identity)
    assert nodes.states() == ["proposing", "blank", "promised"]
    waiting = nodes.nodes[1].waiting()
    assert waiting is not None
    assert "node 2 (127.0.0.1:8002)" in waiting
    for id in (1, 3):
        nodes.link(id)
    nodes.deliver()
    assert nodes.states() == ["member"] * 3


def test_a_dead_proposer_holds_nobody_up() -> None:
    nodes = Nodes(3)
    nodes.init(1)
    nodes.deliver(lambda sender, receiver: not (sender == 1 and receiver == 3 and nodes.states()[0] == "proposing"))
    assert nodes.states() == ["proposing", "promised", "blank"]
    del nodes.nodes[1]
    nodes.nodes[2].tick()
    nodes.deliver()
    assert nodes.states() == ["member", "member"]


def test_a_member_that_dies_before_its_promise_is_waited_for_until_the_operator_forgets() -> None:
    nodes = Nodes(3)
    nodes.init(1)
    nodes.deliver(lambda sender, receiver: receiver != 3 or nodes.states()[0] == "blank")
    assert nodes.states() == ["proposing", "promised", "blank"]
    for _ in range(100):
        nodes.nodes[1].tick()
        nodes.nodes[2].tick()
        nodes.deliver(lambda sender, receiver: receiver != 3)
    assert nodes.states() == ["proposing", "promised", "blank"]
    for id in (1, 2):
        nodes.start(forget_promise(nodes.nodes[id].identity))
        nodes.link(id)
    assert nodes.states() == ["blank"] * 3
    nodes.init(1)
    nodes.deliver()
    assert nodes.states() == ["member"] * 3
    assert nodes.nodes[1].identity.proposed == 2


def test_a_refusal_frees_those_who_have_promised_and_is_kept() -> None:
    nodes = Nodes(3)
    nodes.start(identity(3), joins=True)
    nodes.link(3)
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    for id in (1, 2):
        nodes.start(identity(id, promise=initial, proposed=int(id == 1)))
        nodes.link(id)
    nodes.deliver()
    for node in nodes.nodes.values():
        node.tick()
    nodes.deliver()
    assert nodes.states() == ["blank"] * 3
    assert {node.identity.refused.get(initial.proposer) for node in nodes.nodes.values()} == {1}
    nodes.nodes[2].receive(candidate(1), Propose(initial))
    nodes.deliver()
    assert nodes.states() == ["blank"] * 3


def test_a_refusal_of_a_node_that_is_not_named_is_none() -> None:
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    node = Formation(identity(2, promise=initial), candidate(2).addr)
    node.receive(candidate(4), Standing(refused={initial.proposer: 1}))
    other_disk = msgspec.structs.replace(candidate(3), incarnation="ff" * 16)
    node.receive(other_disk, Standing(refused={initial.proposer: 1}))
    assert (node.state, node.take_actions()) == ("promised", [])


def test_who_sees_a_blank_node_that_is_not_listed_refuses_unless_an_operator_has_chosen() -> None:
    for chosen, state in ((False, "blank"), (True, "member")):
        nodes = Nodes(3)
        initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2))), chosen)
        nodes.start(identity(1, promise=initial, proposed=1))
        nodes.link(1)
        nodes.nodes[1].tick()
        nodes.deliver()
        assert nodes.states()[:2] == [state, state]


def test_no_cluster_is_formed_beside_one_that_is_seen() -> None:
    nodes = Nodes(3)
    nodes.nodes[1].met(candidate(3), "cd" * 16, candidate(3).addr)
    nodes.init(1, 1, 2)
    (error,) = nodes.done[1]
    assert isinstance(error, Forbidden)
    assert "node 3 (127.0.0.1:8003) belongs to cluster cdcd" in error.message
    assert nodes.nodes[2].state == "blank"


def test_a_node_that_only_joins_forms_nothing_and_is_taken_in() -> None:
    node = Formation(identity(1), candidate(1).addr, joins=True)
    with pytest.raises(Forbidden, match="only joins"):
        node.init()
    assert not node.accepts("ab" * 16)
    assert node.admit("ab" * 16)
    assert not node.admit("cd" * 16)
    (save,) = node.take_actions()
    assert isinstance(save, Save)
    node.saved()
    assert (node.state, node.identity.cluster) == ("member", "ab" * 16)
    assert node.accepts("ab" * 16)


def test_who_is_taken_in_as_another_generation_is_that_from_then_on() -> None:
    node = Formation(identity(1), candidate(1).addr)
    assert node.admit("ab" * 16, 3)
    assert node.admit("ab" * 16, 4), "the first word counts"
    node.saved()
    assert (node.identity.cluster, node.identity.generation, node.identity.admitted) == ("ab" * 16, 3, True)
    node.established()
    node.saved()
    assert not node.identity.admitted, "its log is there"


def test_who_has_promised_is_taken_in_by_no_other_cluster() -> None:
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    node = Formation(identity(2, promise=initial), candidate(2).addr)
    assert not node.admit("cd" * 16)
    assert not node.accepts("cd" * 16)
    assert node.accepts("ab" * 16)


def test_a_cluster_takes_nobody_in_whose_promise_is_on_its_way_to_the_disk() -> None:
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    node = Formation(identity(2), candidate(2).addr)
    node.receive(candidate(1), Propose(initial))
    assert not node.admit("cd" * 16)
    node.saved()
    node.receive(candidate(3), Standing(refused={initial.proposer: 1}))
    node.saved()
    assert (node.state, node.identity.cluster) == ("blank", "")


def test_a_node_with_a_cluster_id_joins_that_one_alone() -> None:
    node = Formation(identity(1), candidate(1).addr, cluster_id="ab" * 16)
    with pytest.raises(Forbidden, match="only joins"):
        node.init()
    assert not node.admit("cd" * 16)
    assert node.admit("ab" * 16)
    assert not node.accepts("ab" * 16)
    node.saved()
    assert node.accepts("ab" * 16)


def test_a_member_forms_no_other_cluster() -> None:
    node = Formation(identity(1, cluster="ab" * 16), candidate(1).addr)
    with pytest.raises(Forbidden, match="node 1 belongs to cluster abab"):
        node.init()


def test_the_same_init_again_waits_for_the_same_cluster_and_another_is_refused() -> None:
    nodes = Nodes(3)
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    nodes.start(identity(2, promise=initial))
    with pytest.raises(Conflict, match="node 2 has promised to form cluster abababab of nodes 1, 2 and 3"):
        nodes.init(2, 2, 3)
    nodes.init(2, 1, 2, 3)
    nodes.link(2)
    nodes.deliver()
    nodes.start(msgspec.structs.replace(nodes.nodes[1].identity, promise=initial, proposed=1))
    nodes.link(1)
    nodes.deliver()
    assert nodes.done[2] == [None]


def test_the_promise_is_kept_until_the_log_is_there_and_the_cluster_is_begun_by_whoever_lives() -> None:
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2, 3))), chosen=True)
    nodes = Nodes(3)
    nodes.start(identity(2, promise=initial))
    nodes.nodes[2].met(candidate(1), initial.cluster)
    nodes.carry_out(2)
    assert (nodes.nodes[2].state, nodes.initialized) == ("member", [])
    for _ in range(5):
        nodes.nodes[2].tick()
    nodes.carry_out(2)
    assert nodes.initialized == [(2, initial)]
    assert nodes.nodes[2].identity.promise == initial
    nodes.nodes[2].established()
    nodes.carry_out(2)
    assert nodes.nodes[2].identity == identity(2, cluster=initial.cluster)


def test_a_start_goes_on_with_what_was_not_initialized() -> None:
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, tuple(map(candidate, (1, 2))), chosen=True)
    disk = identity(1, promise=initial, proposed=1, cluster=initial.cluster)
    node = Formation(disk, candidate(1).addr)
    node.start()
    assert node.take_actions() == [Initialize(initial)]
    known = Formation(disk, candidate(1).addr)
    known.established()
    known.start()
    assert [type(action) for action in known.take_actions()] == [Save]


def test_an_engine_that_cannot_begin_is_asked_again_and_the_operator_waits() -> None:
    initial = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, (candidate(1),), chosen=True)
    node = Formation(identity(1), candidate(1).addr, new_id=lambda: initial.cluster)
    node.init((1,))
    for _ in range(2):
        node.saved()
    assert Initialize(initial) in node.take_actions()
    node.initialized(NoQuorum("the engine is not ready"))
    assert [type(action) for action in node.take_actions()] == [Note]
    for _ in range(5):
        node.tick()
    assert Initialize(initial) in node.take_actions()
    node.initialized(None)
    assert node.take_actions() == [InitDone(None)]


def test_malformed_proposals_are_ignored() -> None:
    node = Formation(identity(2), candidate(2).addr)
    members = (candidate(1), candidate(2))
    good = InitialCluster(candidate(1).incarnation, 1, "ab" * 16, members, chosen=True)
    for change in (
        {"proposer": "ff" * 16},
        {"number": 0},
        {"cluster": ""},
        {"members": (candidate(1),)},
        {"members": (*members, candidate(2))},
    ):
        node.receive(candidate(1), Propose(msgspec.structs.replace(good, **change)))
        assert not any(isinstance(action, Save) for action in node.take_actions())


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc1", encode(Ask())[:-1]])
def test_bytes_that_are_no_message_are_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no message of formation"):
        decode(data)


def test_blank_nodes_are_those_that_are_linked() -> None:
    nodes = Nodes(3)
    node = nodes.nodes[2]
    assert [each.id for each in node.blank_nodes()] == [1, 2, 3]
    node.lost(candidate(1).node)
    assert [each.id for each in node.blank_nodes()] == [2, 3]


# -- without an operator -------------------------------------------------------------------------------------


def automatic(id: int, min_nodes: int, peers: tuple[str, ...] = (), *, joins: bool = False) -> Formation:
    """A blank node that proposes after two ticks."""
    node = Formation(identity(id), candidate(id).addr, peers, automatic=Automatic(min_nodes, 2), joins=joins)
    node.start()
    return node


def meet(node: Formation, id: int, standing: Standing | None = None, cluster: str = "") -> None:
    """Let a node meet another one, which answers."""
    node.met(candidate(id), cluster, candidate(id).addr)
    node.receive(candidate(id), Standing() if standing is None else standing)


def proposed(node: Formation) -> list[int] | None:
    """Tick as long as it takes; whom it proposes then."""
    for _ in range(5):
        node.tick()
    saves = [action for action in node.take_actions() if isinstance(action, Save)]
    return saves[0].identity.promise.ids if saves and saves[0].identity.promise is not None else None


def test_the_lowest_node_proposes_all_that_it_sees_once_it_has_settled() -> None:
    node = automatic(1, 2)
    meet(node, 2)
    meet(node, 3)
    node.tick()
    assert not any(isinstance(action, Save) for action in node.take_actions())
    assert proposed(node) == [1, 2, 3]


def test_what_was_found_is_counted_for_people_with_the_node_itself() -> None:
    node = automatic(1, 3)
    node.met(node.own, "", node.own.addr)
    meet(node, 2)
    node.met(candidate(2), "", "other:1")
    node.lost(candidate(2).node)
    meet(node, 2)
    meet(node, 3)
    notes = [action.message for action in node.take_actions() if isinstance(action, Note)]
    assert notes == ["Discovered node 2 (2/3)", "Discovered node 3 (3/3)"]


def test_nothing_settles_while_others_cannot_be_heard() -> None:
    node = automatic(1, 1)
    node.listen(False)
    assert proposed(node) is None
    node.listen(True)
    assert proposed(node) == [1]


@pytest.mark.parametrize(
    ("id", "seen", "waits"),
    [
        (1, {}, "1 of at least 2 nodes are there"),
        (2, {1: Standing()}, "about to be formed by node 1"),
        (1, {2: Standing(cluster="ab" * 16)}, "waits to be taken in by cluster abab"),
        (1, {2: Standing(joins=True)}, "1 of at least 2 nodes are there"),
        (
            1,
            {2: Standing(promise=InitialCluster("02" * 16, 1, "cd" * 16, (candidate(2),), chosen=False))},
            "node 2 (127.0.0.1:8002) has not answered",
        ),
    ],
)
def test_a_node_proposes_nothing_where_it_must_not(id: int, seen: dict[int, Standing], waits: str) -> None:
    node = automatic(id, 2)
    for other, standing in seen.items():
        meet(node, other, standing)
    assert proposed(node) is None
    assert waits in str(node.waiting())


def test_all_peers_have_to_be_met_first() -> None:
    node = automatic(1, 2, (candidate(1).addr, candidate(2).addr, candidate(3).addr))
    node.met(node.own, "", node.own.addr)
    meet(node, 2)
    assert proposed(node) is None
    assert "127.0.0.1:8003 was not reached" in str(node.waiting())
    meet(node, 3)
    assert proposed(node) == [1, 2, 3]


def test_a_peer_that_went_away_has_to_come_back_first() -> None:
    node = automatic(1, 2, (candidate(2).addr, candidate(3).addr))
    meet(node, 2)
    meet(node, 3)
    node.lost(candidate(3).node)
    assert proposed(node) is None
    assert "127.0.0.1:8003 was not reached" in str(node.waiting())


def test_a_node_that_has_met_a_cluster_waits_for_it_also_while_its_members_are_away() -> None:
    node = automatic(2, 1)
    meet(node, 1, Standing(cluster="ab" * 16), cluster="ab" * 16)
    node.lost(candidate(1).node)
    assert proposed(node) is None
    assert "waits to be taken in by cluster abab" in str(node.waiting())
    assert "cannot be reached" in str(node.waiting())


def test_a_node_that_only_joins_proposes_nothing() -> None:
    node = automatic(1, 1, joins=True)
    assert proposed(node) is None


def test_a_node_that_has_a_log_proposes_nothing() -> None:
    node = Formation(identity(1), candidate(1).addr, automatic=Automatic(1, 0))
    node.established()
    node.start()
    assert proposed(node) is None


def test_a_refused_proposal_is_made_anew_only_after_settling_again() -> None:
    node = automatic(1, 2)
    meet(node, 2)
    assert proposed(node) == [1, 2]
    node.saved()
    node.receive(candidate(2), Standing(refused={node.own.incarnation: 1}, objection="node 2 sees node 3"))
    node.saved()
    node.take_actions()
    node.tick()
    meet(node, 2, Standing(refused={node.own.incarnation: 1}))
    assert not any(isinstance(action, Save) for action in node.take_actions())
    meet(node, 3)
    assert proposed(node) == [1, 2, 3]


def test_a_node_that_sees_a_blank_one_that_is_not_on_the_list_refuses() -> None:
    node = automatic(2, 2)
    meet(node, 3)
    node.receive(candidate(1), Propose(InitialCluster("01" * 16, 1, "ab" * 16, (candidate(1), candidate(2)), False)))
    saves = [action for action in node.take_actions() if isinstance(action, Save)]
    assert [save.identity.refused for save in saves] == [{"01" * 16: 1}]


def test_a_blank_node_may_be_of_a_cluster_until_its_peers_were_met_or_had_time_to_be() -> None:
    node = Formation(identity(1), candidate(1).addr, [candidate(1).addr, candidate(2).addr])
    node.start()
    known = [node.knows_cluster]
    node.met(node.own, "", node.own.addr)
    known.append(node.knows_cluster)
    node.met(candidate(2), "", candidate(2).addr)
    assert [*known, node.knows_cluster] == [True, True, False]
    alone = Formation(identity(1), candidate(1).addr, [candidate(2).addr])
    alone.start()
    known = []
    for _ in range(4):
        known.append(alone.knows_cluster)
        alone.tick()
    assert known == [True, True, True, False]


def test_a_blank_node_knows_of_a_cluster_once_it_has_met_a_member_or_may_only_join() -> None:
    node = Formation(identity(1), candidate(1).addr)
    node.start()
    known = [node.knows_cluster]
    for peer, cluster in ((3, ""), (2, "ab" * 16)):
        node.met(candidate(peer), cluster)
        known.append(node.knows_cluster)
    node.lost(candidate(2).node)
    assert [*known, node.knows_cluster] == [False, False, True, True]
    assert Formation(identity(1), candidate(1).addr, joins=True).knows_cluster
    assert Formation(identity(1, cluster="ab" * 16), candidate(1).addr).knows_cluster
