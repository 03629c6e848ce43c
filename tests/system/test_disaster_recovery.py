"""The drills of docs/disaster-recovery.md: its very commands, on other paths, and what it says that they answer."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from qcore.client import Condition, Create, Event, Events, connect
from qcore.engine.factory import available_engines
from qcore.model.errors import Conflict
from tests.conftest import NodeFactory
from tests.process import DEADLINE, SCHEMA_FILE, NodeProcess
from tests.proof.nodes import Nodes, until

GUIDE = Path(__file__).parents[2] / "docs" / "disaster-recovery.md"


class Step(NamedTuple):
    """A command of the guide, the machine where it is run, and the lines that it shows as its output.

    ``...`` in them stands for anything.
    """

    machine: str
    command: str
    output: list[str]


def steps(title: str) -> list[Step]:
    """The commands of a section of the guide."""
    section = GUIDE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            prompt = re.match(r"(one|two|three|)\$ ", line)
            if prompt:
                found.append(Step(prompt[1], line[prompt.end() :], []))
            else:
                found[-1].output.append(line)
    assert found, f"the guide has no commands under {title!r}"
    return found


class Machine(NamedTuple):
    """A node in the place of the service: `start` and `stop` are those of systemd, clients find it at `url`."""

    node: NodeProcess
    url: str
    start: Callable[[], None]

    def stop(self) -> None:
        assert self.node.stop() == 0


WATCHED = ("qcore-cli CLUSTER", "qcore-cli INFO")
"""Commands whose answer takes a while to be what the guide says."""


class Drill:
    """Machines by the names of their prompts, each with a data directory of its own, and the folder of backups."""

    def __init__(self, machines: dict[str, Machine], folder: Path) -> None:
        self._machines = machines
        self._folder = folder
        (folder / "backup").mkdir()
        for name, machine in machines.items():
            settings = f'id = {machine.node.node}\ndata_dir = "{machine.node.folder}"\n'
            self._settings(name).write_text(settings)

    def _settings(self, name: str) -> Path:
        """What /etc/qcore/qcore.toml is on a machine."""
        return self._folder / f"{name or 'node'}.toml"

    def run(self, steps: list[Step]) -> None:
        """Do the steps; each has to succeed and to answer what the guide says."""
        for step in steps:
            machine = self._machines[step.machine]
            if step.command == f"systemctl stop qcore@{machine.node.node}":
                machine.stop()
            elif step.command == f"systemctl start qcore@{machine.node.node}":
                machine.start()
            elif step.command in WATCHED:
                self._watch(step)
            else:
                answer = self._answer(step)
                assert self._fits(step, answer), f"{step.command} answers\n{answer}\nnot as the guide says"

    def _watch(self, step: Step) -> None:
        answers = [""]

        def is_there() -> bool:
            answers.append(self._answer(step))
            return self._fits(step, answers[-1])

        until(is_there, lambda: f"{step.command} answers\n{answers[-1]}\nnot as the guide says")

    def _answer(self, step: Step) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QCORE_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        here = {"QCORE_URL": self._machines[step.machine].url, "QCORE_SETTINGS": str(self._settings(step.machine))}
        done = subprocess.run(
            ["/bin/bash", "-c", self._here(step, step.command)],
            env=clean | here | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, f"{step.command}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def _here(self, step: Step, text: str) -> str:
        folder = self._machines[step.machine].node.folder
        return text.replace("/var/lib/qcore", str(folder)).replace("/backup", str(self._folder / "backup"))

    def _fits(self, step: Step, answer: str) -> bool:
        pattern = re.escape(self._here(step, "\n".join(step.output))).replace(r"\.\.\.", r"[\s\S]*")
        return re.fullmatch(pattern, answer.rstrip("\n")) is not None


@pytest.fixture
def service(node_factory: NodeFactory) -> NodeProcess:
    node = node_factory("--config-file", str(SCHEMA_FILE), name="service")
    node.start()
    return node


@pytest.fixture
def drill(service: NodeProcess, tmp_path: Path) -> Drill:
    return Drill({"": Machine(service, service.url, service.start)}, tmp_path)


@pytest.fixture
def three(tmp_path: Path, fault_library: Path) -> Iterator[Drill]:
    """Three machines with the nodes of one cluster, whose addresses stay what they are."""
    if "openraft" not in available_engines():
        pytest.skip("the OpenRaft extension is not built")
    with Nodes(tmp_path, 3, fault_library, ("--config-file", str(SCHEMA_FILE))) as nodes:
        names = dict(zip(nodes.ids, ("one", "two", "three"), strict=True))
        yield Drill(
            {
                name: Machine(nodes.processes[id], nodes.urls[id], functools.partial(nodes.start, id))
                for id, name in names.items()
            },
            tmp_path,
        )


@pytest.mark.parametrize("title", ["Backups", "The disk is lost", "The newest snapshot is damaged", "Values are lost"])
def test_a_drill_goes_as_the_guide_says(drill: Drill, title: str) -> None:
    drill.run(steps(title))


@pytest.mark.parametrize("title", ["All three nodes are lost", "Two of three nodes are lost"])
def test_a_drill_of_three_nodes_goes_as_the_guide_says(three: Drill, title: str) -> None:
    three.run(steps(title))


async def told(events: Events, kind: str) -> Event:
    """The next event of a kind."""
    while True:
        event = await events.next(DEADLINE)
        assert event is not None, f"no event of kind {kind} came"
        if event.kind == kind:
            return event


@pytest.mark.parametrize(
    ("title", "keeps_revisions"),
    [("An older copy of the directory is put back", True), ("An older backup is put back", False)],
)
async def test_clients_live_on_when_what_was_before_is_put_back(
    drill: Drill, service: NodeProcess, title: str, keeps_revisions: bool
) -> None:
    """They are told: the history has another name."""
    all_steps = steps(title)
    put_back = [number for number, step in enumerate(all_steps) if step.command == "systemctl stop qcore@1"][-1]
    await asyncio.to_thread(drill.run, all_steps[:put_back])
    async with connect(service.url, timeout=DEADLINE) as store, store.listen("Folder", "Name") as events:
        epoch = (await store.info()).epoch
        revision = (await store.get("/Root", "Name")).fields["Name"].revision
        now = Condition("/Root", "Name", revision=revision, epoch=epoch)
        await store.transaction([Create("Folder", "before", "/Root")], [now])
        await store.create("Folder", "seen", "/Root")
        await told(events, "created")
        await asyncio.to_thread(drill.run, all_steps[put_back:])
        assert (await told(events, "lost")).reason == "other_history"
        with pytest.raises(Conflict):
            await store.transaction([Create("Folder", "never", "/Root")], [now])
        again = (await store.get("/Root", "Name")).fields["Name"].revision
        assert (again == revision) == keeps_revisions, "then only the epoch tells the histories apart"
        await store.transaction([Create("Folder", "anew", "/Root")], [Condition("/Root", "Name", revision=again)])
        assert not await store.exists("/Root/seen")
        assert not await store.exists("/Root/never")


def test_every_section_with_commands_is_tested() -> None:
    text = GUIDE.read_text()
    titles = [part.partition("\n")[0] for part in text.split("\n## ")[1:] if "```console" in part]
    assert titles == [
        "Backups",
        "The disk is lost",
        "The newest snapshot is damaged",
        "Values are lost",
        "An older copy of the directory is put back",
        "An older backup is put back",
        "All three nodes are lost",
        "Two of three nodes are lost",
    ]
