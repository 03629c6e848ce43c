from __future__ import annotations

from collections.abc import Callable

from qcore.server.supervision.watchdog import Watchdog, WatchedThread


class Thread:
    """What is asked, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def probe(self, done: Callable[[], None]) -> None:
        self.asked.append(done)

    def answer(self) -> None:
        for done in self.asked:
            done()
        self.asked.clear()


def test_a_part_that_answers_between_two_looks_moves() -> None:
    link = Thread()
    watchdog = Watchdog([WatchedThread("link", link.probe, 14.0)])
    for now in (0.0, 15.0, 30.0):
        assert watchdog.look(now) == []
        assert len(link.asked) == 1
        link.answer()


def test_a_part_without_an_answer_until_the_next_look_is_named_and_not_asked_again() -> None:
    link = Thread()
    watchdog = Watchdog([WatchedThread("link", link.probe, 14.0), WatchedThread("other", lambda done: done(), 14.0)])
    assert watchdog.look(0.0) == []
    assert watchdog.look(15.0) == ["link"]
    assert watchdog.look(30.0) == ["link"]
    assert len(link.asked) == 1


def test_a_part_that_moves_again_is_forgiven() -> None:
    link = Thread()
    watchdog = Watchdog([WatchedThread("link", link.probe, 14.0)])
    watchdog.look(0.0)
    assert watchdog.look(15.0) == ["link"]
    link.answer()
    assert watchdog.look(30.0) == []


def test_a_disk_may_take_longer() -> None:
    disk = Thread()
    watchdog = Watchdog([WatchedThread("disk", disk.probe, 300.0)])
    watchdog.look(0.0)
    assert watchdog.look(285.0) == []
    assert watchdog.look(300.0) == ["disk"]


def test_who_waits_for_the_disk_has_its_own_time_from_the_moment_that_the_disk_answers() -> None:
    thread, core = Thread(), Thread()
    disk = WatchedThread("disk", thread.probe, 300.0)
    watchdog = Watchdog([disk, WatchedThread("core", core.probe, 14.0, waits_for=disk)])
    watchdog.look(0.0)
    assert watchdog.look(150.0) == []
    thread.answer()
    assert watchdog.look(163.0) == []
    thread.answer()
    assert watchdog.look(165.0) == ["core"]


def test_a_core_that_hangs_without_the_disk_is_named() -> None:
    core = Thread()
    disk = WatchedThread("disk", lambda done: done(), 300.0)
    watchdog = Watchdog([disk, WatchedThread("core", core.probe, 14.0, waits_for=disk)])
    watchdog.look(0.0)
    assert watchdog.look(15.0) == ["core"]


def test_a_disk_past_its_time_excuses_nobody() -> None:
    thread, core = Thread(), Thread()
    disk = WatchedThread("disk", thread.probe, 300.0)
    watchdog = Watchdog([disk, WatchedThread("core", core.probe, 14.0, waits_for=disk)])
    watchdog.look(0.0)
    assert watchdog.look(290.0) == []
    assert watchdog.look(305.0) == ["disk", "core"]
