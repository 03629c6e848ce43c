"""The drills of docs/disaster-recovery.md: its very commands, on other paths, and what it says that they answer."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from qcore.client import Condition, Create, Event, Events, connect
from qcore.model.errors import Conflict
from tests.conftest import NodeFactory
from tests.process import DEADLINE, SCHEMA_FILE, NodeProcess

GUIDE = Path(__file__).parents[2] / "docs" / "disaster-recovery.md"


class Step(NamedTuple):
    """A command of the guide, and the lines that it shows as its output; ``...`` in them stands for anything."""

    command: str
    output: list[str]


def steps(title: str) -> list[Step]:
    """The commands of a section of the guide."""
    section = GUIDE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], []))
            else:
                found[-1].output.append(line)
    assert found, f"the guide has no commands under {title!r}"
    return found


class Drill:
    """A node in the place of the service, and the folders that the guide names."""

    def __init__(self, node: NodeProcess, folder: Path) -> None:
        self._node = node
        self._paths = {"/var/lib/qcore": str(node.folder), "/backup": str(folder / "backup")}
        (folder / "backup").mkdir()

    def run(self, steps: list[Step]) -> None:
        """Do the steps; each has to succeed and to answer what the guide says."""
        for step in steps:
            if step.command == "systemctl stop qcore":
                assert self._node.stop() == 0
            elif step.command == "systemctl start qcore":
                self._node.start()
            else:
                self._check(step, self._answer(step.command))

    def _answer(self, command: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QCORE_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-c", self._here(command)],
            env=clean | {"PATH": path, "QCORE_URL": self._node.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def _here(self, text: str) -> str:
        for path, here in self._paths.items():
            text = text.replace(path, here)
        return text

    def _check(self, step: Step, answer: str) -> None:
        pattern = re.escape(self._here("\n".join(step.output))).replace(r"\.\.\.", r"[\s\S]*")
        assert re.fullmatch(pattern, answer.rstrip("\n")), f"{step.command} answers\n{answer}\nnot as the guide says"


@pytest.fixture
def service(node_factory: NodeFactory) -> NodeProcess:
    node = node_factory("--config-file", str(SCHEMA_FILE), name="service")
    node.start()
    return node


@pytest.fixture
def drill(service: NodeProcess, tmp_path: Path) -> Drill:
    return Drill(service, tmp_path)


@pytest.mark.parametrize("title", ["Backups", "The disk is lost", "The newest snapshot is damaged", "Values are lost"])
def test_a_drill_goes_as_the_guide_says(drill: Drill, title: str) -> None:
    drill.run(steps(title))


async def told(events: Events, kind: str) -> Event:
    """The next event of a kind."""
    while True:
        event = await events.next(DEADLINE)
        assert event is not None, f"no event of kind {kind} came"
        if event.kind == kind:
            return event


async def test_clients_live_on_when_an_older_copy_is_put_back(drill: Drill, service: NodeProcess) -> None:
    """They are told: the history has another name."""
    all_steps = steps("An older copy of the directory is put back")
    second_stop = [number for number, step in enumerate(all_steps) if step.command == "systemctl stop qcore"][1]
    await asyncio.to_thread(drill.run, all_steps[:second_stop])
    async with connect(service.url, timeout=DEADLINE) as store, store.listen("Folder", "Name") as events:
        epoch = (await store.info()).epoch
        revision = (await store.get("/Root", "Name")).fields["Name"].revision
        now, ever = (Condition("/Root", "Name", revision=revision, epoch=each) for each in (epoch, None))
        await store.transaction([Create("Folder", "before", "/Root")], [now])
        await store.create("Folder", "seen", "/Root")
        await told(events, "created")
        await asyncio.to_thread(drill.run, all_steps[second_stop:])
        assert (await told(events, "lost")).reason == "other_history"
        with pytest.raises(Conflict):
            await store.transaction([Create("Folder", "never", "/Root")], [now])
        await store.transaction([Create("Folder", "anew", "/Root")], [ever])
        assert not await store.exists("/Root/seen")


def test_every_section_with_commands_is_tested() -> None:
    text = GUIDE.read_text()
    titles = [part.partition("\n")[0] for part in text.split("\n## ")[1:] if "```console" in part]
    assert titles == [
        "Backups",
        "The disk is lost",
        "The newest snapshot is damaged",
        "Values are lost",
        "An older copy of the directory is put back",
    ]
