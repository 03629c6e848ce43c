"""Real nodes log to a real journald, and the queries that docs/operations.md shows find what they say."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qcore.client.blocking import connect
from qcore.server.runtime.events import EVENTS
from tests.faults import Faults, Rule
from tests.journald import WITHOUT_JOURNALD, Journald
from tests.process import DEADLINE, NodeProcess

QUERIES = re.findall(r"`(journalctl -[^`]*)` \|$", Path("docs/operations.md").read_text("utf-8"), flags=re.MULTILINE)
ABOUT_FLOOR = "journalctl QCORE_EVENT=slow_request QCORE_CLIENT=plant QCORE_ENTITY=/Floor"
TALKATIVE = ("--engine", "openraft", "--log-level", "debug")
SECRETS = "correct horse battery staple", "another secret of another house"


@pytest.fixture(scope="module")
def journald() -> Iterator[Journald]:
    if WITHOUT_JOURNALD:
        pytest.skip(WITHOUT_JOURNALD)
    made = Journald()
    yield made
    made.close()


@pytest.fixture(scope="module")
def journal(journald: Journald, fault_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journald]:
    """The journal of a machine with a slow disk, on which one node leads, one cannot start, and two are strangers."""
    pytest.importorskip("qcore_openraft", reason="the OpenRaft extension is not built")
    folder = tmp_path_factory.mktemp("nodes")
    faults = Faults(fault_library, folder / "faults")
    slow = ("--slow-request-ms", "10", "--slow-fsync-ms", "10", "--slow-apply-ms", "1")
    with ExitStack() as stack:
        alone = node(stack, journald, folder / "alone", 1, *slow, faults=faults)
        url = journald.wait_for("journalctl QCORE_EVENT=listening QCORE_NODE=1")["QCORE_URL"]
        faults.set(Rule("fsync", "delay", 50, "*/logs*"))
        be_slow(url, journald)
        faults.clear()
        second = node(stack, journald, folder / "alone", 1)
        assert second.wait() == 73
        strangers(stack, journald, folder)
        journald.wait_for("journalctl QCORE_EVENT=slow_apply")
        assert alone.stop() == 0
        yield journald


def node(
    stack: ExitStack, journald: Journald, folder: Path, id: int, *flags: str, faults: Faults | None = None
) -> NodeProcess:
    env = {} if faults is None else faults.env
    made = NodeProcess(folder, "--log-format", "auto", *flags, node=id, command=journald.daemon, env=env)
    stack.callback(made.kill)
    made.start(wait=False)
    return made


def be_slow(url: str, journald: Journald) -> None:
    """Ask for what takes longer than it may: one field of an entity, and a thousand entities at once."""
    end = time.monotonic() + DEADLINE
    with connect(url, client="plant", timeout=DEADLINE) as store:
        store.schema_set({"entityType": "Folder", "fields": [{"name": "Label", "dataType": "String"}]}, reset=True)
        store.create("Folder", "Floor")
        while not journald.ask(ABOUT_FLOOR):
            store.set("/Floor", "Label", "x")
            assert time.monotonic() < end, journald.show("journalctl QCORE_NODE=1")
        store.call("pipeline", commands=[create(number) for number in range(1000)])


def create(number: int) -> dict[str, object]:
    return {"method": "create", "params": {"type": "Folder", "name": f"folder {number}"}}


def strangers(stack: ExitStack, journald: Journald, folder: Path) -> None:
    """Two nodes that do not know each other's secret, and say all that they can."""
    addresses = ["127.0.0.1:9"]
    for id, secret in enumerate(SECRETS, 2):
        (folder / f"secret_{id}").write_text(f"{secret}\n")
        (folder / f"secret_{id}").chmod(0o600)
        secret_of = ("--cluster-secret-file", str(folder / f"secret_{id}"))
        node(stack, journald, folder / f"node{id}", id, *TALKATIVE, *secret_of, "--peers", addresses[-1])
        heard = journald.wait_for(f"journalctl QCORE_EVENT=listening QCORE_NODE={id}")
        addresses.append(heard["QCORE_URL"].removeprefix("ws://"))
    for id in (2, 3):
        journald.wait_for(f"journalctl QCORE_EVENT=link_refused QCORE_NODE={id}")


def test_the_guide_has_queries() -> None:
    assert len(QUERIES) > 12


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_of_the_guide_finds_something(journal: Journald, query: str) -> None:
    if " -F " in query:
        assert {"leading", "listening"} <= set(journal.show(query).split())
    else:
        assert journal.ask(query)


def test_a_line_has_every_field(journal: Journald) -> None:
    (line,) = journal.ask("journalctl QCORE_EVENT=leading QCORE_NODE=1 _TRANSPORT=journal")
    assert line["MESSAGE"] == "This node leads in term 1"
    assert line["MESSAGE_ID"] == EVENTS["leading"].id
    assert (line["PRIORITY"], line["SYSLOG_IDENTIFIER"]) == ("6", "qcore")
    assert (line["QCORE_NODE"], line["QCORE_ROLE"], line["QCORE_TERM"]) == ("1", "leader", "1")
    assert line["CODE_FILE"].endswith("/qcore/server/node.py")
    assert (line["CODE_FUNC"], int(line["CODE_LINE"]) > 0) == ("leading", True)


def test_why_a_node_does_not_start_stands_in_the_journal_once(journal: Journald) -> None:
    (fatal,) = journal.ask("journalctl -t qcore QCORE_EVENT=fatal")
    assert (fatal["MESSAGE_ID"], fatal["PRIORITY"]) == (EVENTS["fatal"].id, "2")
    assert "is in use by the process" in fatal["MESSAGE"]
    assert sum("is in use by the process" in line["MESSAGE"] for line in journal.ask("journalctl -t qcore")) == 1


def test_the_catalog_explains_a_line_with_its_own_numbers(journal: Journald) -> None:
    shown = journal.show(f"journalctl -x -n 1 MESSAGE_ID={EVENTS['slow_fsync'].id}")
    assert "Subject: The disk is slow" in shown
    assert re.search(r"Storing an entry took \d+ ms", " ".join(shown.replace("░", "").split()))


def test_no_line_holds_a_secret(journal: Journald) -> None:
    everything = str(journal.ask("journalctl"))
    assert "secret_2" in everything, "the log is of nodes that have one"
    assert not any(secret in everything for secret in SECRETS)


def test_a_long_line_reaches_the_journal_whole(journald: Journald, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("schemas:\n" + "  - entity_type: 7up\n" * 5_000)
    with ExitStack() as stack:
        assert node(stack, journald, tmp_path / "data", 9, "--config-file", str(wrong)).wait() == 2
    line = journald.wait_for("journalctl QCORE_EVENT=fatal QCORE_NODE=9")
    assert line["MESSAGE"].count("wrong.yaml:") == 5_000
