"""The commands of docs/deployment.md, section by section, and what it says that they answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.appliance.machine import Machine

__all__ = ["Guide", "Step"]

GUIDE = Path(__file__).parents[2] / "docs" / "deployment.md"


class Step(NamedTuple):
    """A command, and what is shown as its output; ``...`` stands for anything."""

    command: str
    output: str


class Guide:
    """The guide as a whole; `make` runs in the folder `source` of the machine, with the wheels in `wheels`."""

    def __init__(self, source: str, wheels: str) -> None:
        self._make = f"make -s -C {source} WHEELS={wheels} "
        self._sections = {
            title.strip(): text
            for title, _, text in (
                part.partition("\n") for part in GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]
            )
        }

    def titles(self) -> list[str]:
        """The sections with commands that are run."""
        return [title for title, text in self._sections.items() if "```console\n" in text]

    def block(self, title: str, language: str) -> str:
        """The first block of a language in a section."""
        return self._sections[title].partition(f"```{language}\n")[2].partition("```")[0]

    def steps(self, title: str) -> list[Step]:
        """The commands of a section; a line that begins with ``>`` goes on with the one before."""
        found: list[Step] = []
        for block in re.findall(r"```console\n(.*?)```", self._sections[title], re.DOTALL):
            for command, output in re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:[^$].*\n)*)", block, re.MULTILINE):
                found.append(Step(command.replace("\n> ", "\n").strip(), output.strip()))
        return found

    def follow(self, machine: Machine, title: str) -> None:
        """Do what a section says; every command has to succeed and to answer what is shown."""
        for step in self.steps(title):
            answer = machine.run(re.sub(r"^make ", self._make, step.command))
            pattern = re.escape(step.output).replace(r"\.\.\.", r"[\s\S]*")
            assert re.fullmatch(pattern, answer), f"{step.command} answers\n{answer}\nnot as the guide says"
