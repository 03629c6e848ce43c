"""LISTEN, POLL and WATCH: their words, how events look, and a real node that tells of changes."""

from __future__ import annotations

import csv
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qcore.client import Event, blocking
from qcore.client.results import Reading
from qcore.model.requests.results import FieldError
from qcore_tools.cli.listening import Printer, read_listen, read_poll
from qcore_tools.cli.main import main
from qcore_tools.cli.views import Format
from qcore_tools.console import UsageError
from tests.process import DEADLINE, NodeProcess

ROOT = Path(__file__).parents[3]
TIME = "2024-01-01T00:00:00Z"


def reading(value: object) -> Reading:
    return Reading(value, TIME, None, 7)


def changed(field: str = "Age", **kwargs: object) -> Event:
    given = {"current": reading(30), "previous": reading(29), "id": 12, "type": "User", "field": field} | kwargs
    return Event("changed", 7, **given)  # type: ignore[arg-type]


def printed(format: Format, *events: Event) -> str:
    found: list[str] = []
    printer = Printer(format, found.append)
    for event in events:
        printer(event)
    return "".join(found)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (changed(), "12 Age: 29 -> 30"),
        (changed(current=reading("b"), previous=reading('a "x"')), '12 Age: "a \\"x\\"" -> "b"'),
        (changed(previous=None), "12 Age: 30"),
        (changed(current=reading(None), previous=reading({"missing": 4})), "12 Age: (missing) 4 -> null"),
        (changed("Children", current=reading(None)), "12 Children changed"),
        (
            changed("Dept->Name", current=None, error=FieldError("not_found", "Dept is null")),
            "12 Dept->Name: 29 -> (error) not_found: Dept is null",
        ),
        (
            changed(context={"Name": "ann", "Dept->Name": {"error": {"kind": "not_found", "message": "x"}}}),
            '12 Age: 29 -> 30  [Name: "ann", Dept->Name: (error) not_found]',
        ),
        (Event("initial", 7, 12, "User", "Age", reading(30)), "12 Age: 30"),
        (Event("created", 7, 12, "User"), "12 created (User)"),
        (Event("deleted", 7, 12, "User", context={"Name": "x"}), '12 deleted (User)  [Name: "x"]'),
        (Event("lost", 7, reason="compacted"), "(lost) compacted: changes up to revision 7 may be missing"),
    ],
)
def test_an_event_is_a_line_for_people(event: Event, line: str) -> None:
    assert printed("human", event) == line + "\n"


def test_in_json_each_event_is_one_line_with_all_its_keys() -> None:
    lines = printed("json", changed(), Event("deleted", 8, 12, "User")).splitlines()
    one, other = map(json.loads, lines)
    assert one["current"] == {"value": 30, "time": TIME, "writer": None, "revision": 7, "error": None}
    assert one.keys() == other.keys()
    assert (other["kind"], other["field"], other["current"]) == ("deleted", None, None)


def test_csv_has_its_header_once_for_a_stream() -> None:
    text = printed("csv", changed(context={"Name": "a,b"}), Event("created", 8, 13, "User"))
    rows = list(csv.DictReader(text.splitlines()))
    assert rows[0] == {
        "revision": "7",
        "kind": "changed",
        "id": "12",
        "type": "User",
        "field": "Age",
        "value": "30",
        "previous": "29",
        "time": TIME,
        "writer": "",
        "context": '{"Name":"a,b"}',
        "reason": "",
    }
    assert (rows[1]["kind"], rows[1]["field"], rows[1]["value"]) == ("created", "", "")


def test_raw_is_entity_field_and_bare_value() -> None:
    assert printed("raw", changed(current=reading("John Doe"))) == "12 Age John Doe\n"
    assert printed("raw", Event("created", 8, 13, "User")) == "created 13\n"
    assert printed("raw", Event("lost", 8, reason="slow")) == "lost 8 slow\n"
    assert printed("csv", Event("lost", 8, reason="slow")).splitlines()[1] == "8,lost,,,,,,,,,slow"


@pytest.mark.parametrize(
    "words",
    [
        ["T", "F", "WHERE"],
        ["T", "F", "SINCE"],
        ["T", "F", "SINCE", "x"],
        ["T", "F", "SINCE", "-1"],
        ["T", "F", "SINCE", "1", "SINCE", "2"],
        ["T", "F", "WHERE", "a", "WHERE", "b"],
        ["T", "F", "WHERE", "a", ">", "2"],
    ],
)
def test_words_that_are_no_grammar_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        read_listen(words)


def test_an_interval_is_a_number_of_milliseconds() -> None:
    for text in ("x", "-1", "1.5", "1e3"):
        with pytest.raises(UsageError, match="interval_ms"):
            read_poll([text])


# -- against a node ----------------------------------------------------------------------------------------


class Listening:
    """A qcore-cli process that listens; its lines are read as they come."""

    def __init__(self, url: str, *args: str, stdin: str | None = None) -> None:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qcore_tools.cli", "--url", url, *args],
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": paths},
        )
        if stdin is not None:
            assert self.process.stdin is not None
            self.process.stdin.write(stdin.encode())

    def line(self) -> str:
        """The next line of output, waited for."""
        stream = self.process.stdout
        assert stream is not None
        assert select.select([stream], [], [], DEADLINE)[0], "no line comes"
        return stream.readline().decode().rstrip("\n")

    def interrupt(self) -> tuple[int, str, str]:
        """Press Ctrl-C; returns exit code and what was still written."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
def listening(node: NodeProcess) -> Iterator[Callable[..., Listening]]:
    begun: list[Listening] = []

    def begin(*args: str, stdin: str | None = None) -> Listening:
        begun.append(Listening(node.url, *args, stdin=stdin))
        return begun[-1]

    yield begin
    for each in begun:
        each.process.kill()
        each.process.communicate()


def test_listen_alone_polls_until_control_c(node: NodeProcess, listening: Callable[..., Listening]) -> None:
    with blocking.connect(node.url) as store:
        user = store.create("User", "ann", fields={"Age": 29}).id
        cli = listening("-c", f"LISTEN {user} Age CHANGE Name")
        assert cli.line().startswith(f"Listening to Age of {user} from revision ")
        store.set(user, "Age", 29)
        store.set(user, "Age", 30)
        assert cli.line() == f'{user} Age: 29 -> 30  [Name: "ann"]'
    assert cli.interrupt() == (130, "", "")


def test_watch_is_listen_and_poll_in_one(node: NodeProcess, listening: Callable[..., Listening]) -> None:
    with blocking.connect(node.url) as store:
        revision = store.create("User", "before").revision
        cli = listening("-f", "raw", "WATCH", "User", "*", "SINCE", str(revision), "WHERE", "Age > 20")
        user = store.create("User", "ben", fields={"Age": 21}).id
        lines = {cli.line() for _ in range(3)}
        assert lines == {f"created {user}", f"{user} Age 21", f"{user} Name ben"}
    assert cli.interrupt()[0] == 130


def test_a_script_listens_polls_and_stops_listening(node: NodeProcess, listening: Callable[..., Listening]) -> None:
    with blocking.connect(node.url) as store:
        user = store.create("User", "cleo").id
        script = f"LISTEN {user} Age\nLISTEN {user} Email\nUNLISTEN {user} Email\nPOLL 10\n"
        cli = listening("-f", "json", stdin=script)
        one, other, ended = (json.loads(cli.line()) for _ in range(3))
        assert ended == {"token": other["token"]}
        assert one.keys() == other.keys() == {"token", "revision"}
        store.set(user, "Email", "c@example.com")
        store.set(user, "Age", 5)
        event = json.loads(cli.line())
        assert (event["field"], event["current"]["value"]) == ("Age", 5)
    assert cli.interrupt()[0] == 130


def test_a_poll_prints_the_events_of_all_listeners_in_the_order_of_revisions_and_once(
    node: NodeProcess, listening: Callable[..., Listening]
) -> None:
    with blocking.connect(node.url) as store:
        since = store.create("User", "before").revision
        users = [store.create("User", f"u{number}", fields={"Age": number}).id for number in range(50)]
        for user in users:
            store.set(user, "Email", "x")
        script = f"LISTEN User Email SINCE {since}\nLISTEN User Age SINCE {since}\nPOLL\n"
        cli = listening("-f", "json", stdin=script)
        first, _ = (cli.line() for _ in range(2))
        assert json.loads(first)["revision"] == since
        events = [json.loads(cli.line()) for _ in range(150)]
        live = store.create("User", "live").id
        events.append(json.loads(cli.line()))
        revisions = [event["revision"] for event in events]
        assert revisions == sorted(revisions)
        assert [event["id"] for event in events if event["kind"] == "created"] == [*users, live]
    assert cli.interrupt() == (130, "", "")


def test_watch_prints_the_events_of_its_own_listener_alone(
    node: NodeProcess, listening: Callable[..., Listening]
) -> None:
    with blocking.connect(node.url) as store:
        other = store.create("User", "other").id
        user, since = (created := store.create("User", "own")).id, created.revision
        store.set(other, "Age", 1)
        store.set(user, "Age", 2)
        cli = listening("-f", "raw", stdin=f"LISTEN {other} Age SINCE {since}\nWATCH {user} Age SINCE {since}\n")
        assert len([cli.line() for _ in range(2)]) == 2, "token and revision of the first"
        assert cli.line() == f"{user} Age 2"
    assert cli.interrupt() == (130, "", "")


def test_what_an_event_holds_cannot_command_a_terminal() -> None:
    event = changed("Note", current=reading("a\x9b2J"), previous=None, context={"Name": "\u202e"})
    assert printed("human", event) == '12 Note: "a\\u009b2J"  [Name: "\\u202e"]\n'
    assert "\x9b" in printed("raw", event)


def test_polling_without_listening_and_ending_what_was_not_begun_are_errors(
    node: NodeProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", node.url, "POLL"]) == 2
    assert "nothing is listened to; LISTEN first" in capfd.readouterr().err
    assert main(["--url", node.url, "UNLISTEN", "User", "Age"]) == 1
    assert "(error) not_found: nothing is listened to by these words" in capfd.readouterr().err
    assert main(["--url", node.url, "WATCH", "Ghost", "Age"]) == 1
    assert main(["--url", node.url, "LISTEN", "User", "Nope"]) == 1
    assert "Nope" in capfd.readouterr().err


def test_a_reader_who_has_seen_enough_is_no_error(node: NodeProcess, listening: Callable[..., Listening]) -> None:
    with blocking.connect(node.url) as store:
        user = store.create("User", "dora").id
        cli = listening("-c", f"LISTEN {user} Age")
        assert cli.line().startswith("Listening")
        assert cli.process.stdout is not None
        cli.process.stdout.close()
        store.set(user, "Age", 1)
        assert cli.process.wait(DEADLINE) == 0
