from __future__ import annotations

from typing import Any

from qcore.engine.openraft.roles import Roles
from qcore.model.entry import LogId

SELF, OTHER = 65_536, 2 * 65_536


class Told(Roles):
    """Roles whose words are kept."""

    def __init__(self) -> None:
        self.words: list[tuple[Any, ...]] = []
        super().__init__(
            SELF,
            lambda term: self.words.append(("leading", term)),
            lambda leader, term: self.words.append(("following", leader, term)),
        )

    def lead(self, term: int, stretch: int) -> None:
        self.heard("leader", term, SELF, True, [SELF, OTHER], stretch)

    def open(self, term: int) -> None:
        self.committed(LogId(term, SELF, term))


def test_a_leadership_is_told_once_its_first_entry_is_committed() -> None:
    roles = Told()
    roles.lead(3, 1)
    assert not roles.words
    roles.open(3)
    roles.open(3)
    assert roles.words == [("leading", 3)]


def test_an_entry_that_is_committed_before_the_role_is_heard_counts() -> None:
    roles = Told()
    roles.open(3)
    roles.lead(3, 1)
    assert roles.words == [("leading", 3)]


def test_a_start_that_leads_at_last_never_follows_nobody() -> None:
    roles = Told()
    roles.heard("learner", 0, None, False, [], 0)
    roles.heard("candidate", 1, None, False, [SELF], 1)
    assert not roles.words


def test_a_leader_without_a_quorum_follows_nobody_and_leads_anew_in_the_same_term() -> None:
    roles = Told()
    roles.open(3)
    roles.lead(3, 1)
    roles.heard("leader", 3, None, False, [SELF, OTHER], 2)
    roles.lead(3, 3)
    assert roles.words == [("leading", 3), ("following", None, 3), ("leading", 3)]


def test_a_later_term_of_its_own_is_another_leadership() -> None:
    roles = Told()
    roles.open(3)
    roles.lead(3, 1)
    roles.lead(5, 2)
    assert roles.words == [("leading", 3)]
    roles.open(5)
    assert roles.words == [("leading", 3), ("leading", 5)]


def test_each_leader_and_each_of_its_terms_is_told() -> None:
    roles = Told()
    roles.heard("follower", 4, OTHER, False, [SELF, OTHER], 1)
    roles.heard("follower", 4, OTHER, False, [SELF, OTHER], 1)
    roles.heard("follower", 5, OTHER, False, [SELF, OTHER], 2)
    roles.heard("candidate", 6, None, False, [SELF, OTHER], 3)
    assert roles.words == [("following", 2, 4), ("following", 2, 5), ("following", None, 6)]


def test_who_is_the_only_member_is_alone() -> None:
    roles = Told()
    roles.heard("leader", 1, SELF, True, [SELF], 1)
    assert roles.alone
    roles.heard("leader", 1, SELF, True, [SELF, OTHER], 1)
    assert not roles.alone
