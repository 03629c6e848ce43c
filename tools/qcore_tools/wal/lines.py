"""From an entry to its lines: one for each command in it, and one for each step of a pipeline. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from qcore.model.entry import Entry, Logged, Membership, generation_of, public_id
from qcore.model.leader_commands import (
    CheckDigest,
    OpenEpoch,
    RaiseLevel,
    ReadmitDisk,
    RemoveDisk,
    RunStaged,
    StagePart,
)
from qcore.model.requests.commands import Bootstrap, Command
from qcore.model.requests.compound import Pipeline
from qcore.model.requests.restore import Restore, Restored
from qcore.model.requests.results import Booted, SchemaDone, SetDone, StepFailed
from qcore_tools.wal.changes import Change, TypeChange, as_asked, changed_types, changes_of
from qcore_tools.wal.replay import Applied, Batch
from qcore_tools.wal.selection import Selection
from qcore_tools.wal.values import Names, Shown, without_secrets

__all__ = ["KINDS", "Describer", "Line", "Step", "plain_lines"]

KINDS = ("blank", "membership", *sorted(command.method for command in get_args(Logged)))
"""What a line may be: as entries have it on disk."""


class Line(msgspec.Struct, frozen=True):
    """What one command did.

    Attributes:
        entry: its log id and time.
        time: ns since 1970; None where no time is known.
        number: which command of the entry, from 1; 0 in entries without commands.
        kind: what it is.
        within: what it came in: ``pipeline`` (then `step` is its number, from 1), ``commit`` if it came in parts.
        revision: of the state behind it, None if it is not known.
        applied: whether it went through; None if that is not known.
        changes: what it did, or what it asked for if it was not applied.
        words: the rest of it.
        error: kind and message, if it was refused.
        pending: it is not known to be committed.
    """

    entry: Entry
    time: int | None
    kind: str
    number: int = 0
    step: int | None = None
    within: str = ""
    revision: int | None = None
    changes: list[Change | TypeChange] = []
    words: str = ""
    error: tuple[str, str] | None = None
    applied: bool | None = True
    pending: bool = False


def plain_lines(line: Line, shown: Shown, wanted: Selection) -> Iterator[Line]:
    """The lines of an entry without commands, or of one that cannot be applied: what it asks for.

    `line` has what they have in common.
    """
    entry, body = line.entry, line.entry.body
    if body.kind != "commands":
        if wanted.wants_kind(body.kind) and not wanted.about_content:
            words = f"node {public_id(entry.id.node)} leads" if body.membership is None else _members(body.membership)
            yield replace(line, words=words)
        return
    for number, command in enumerate(body.commands, 1):
        steps = command.commands if isinstance(command, Pipeline) else [command]
        for step, each in enumerate(steps, 1):
            if not isinstance(each, Command) or not wanted.wants_kind(each.method, command.method):
                continue
            changes = as_asked(each, shown)
            if not wanted.about_content or any(map(wanted.wants_change, changes)):
                words = _words(each, None)
                told = replace(line, kind=each.method, number=number, changes=changes, words=words, applied=None)
                yield told if each is command else replace(told, step=step, within=command.method)


class Step(msgspec.Struct):
    """What one step has changed, and whether that is wanted."""

    revision: int
    wanted: bool
    changes: list[Change | TypeChange]


class Describer:
    """Makes steps and lines of what was applied to a state."""

    def __init__(self, names: Names, shown: Shown, wanted: Selection) -> None:
        self._names = names
        self._shown = shown
        self._wanted = wanted

    def step(self, command: Command, batch: Batch) -> Step:
        """What a command, or one of its steps, has done; to be asked when the state is just behind it."""
        names, wanted = self._names, self._wanted
        if not wanted.wants_batch(batch, names):
            return Step(batch.revision, False, [])
        if not isinstance(command, Bootstrap | Restore):
            found = changes_of(batch.events, names, self._shown, batch.deleted)
            return Step(batch.revision, True, [*changed_types(batch.before, batch.after), *found])
        # they do too much to tell, but for what is asked for
        events = wanted.events_in(batch, names) if wanted.about_content else []
        return Step(batch.revision, True, [*changes_of(events, names, self._shown, batch.deleted)])

    def lines(self, line: Line, done: Applied[Step]) -> Iterator[Line]:
        """The lines of a command that was applied; `line` has what they have in common."""
        command, outcome = done.command, done.outcome
        line = replace(line, kind=command.method, within="commit" if done.staged else "", revision=done.revision)
        if isinstance(command, Pipeline) and isinstance(outcome.result, list):
            yield from self._pipeline(line, command, outcome.result, iter(done.steps))
        elif self._wanted.wants_kind(line.kind, line.within):
            if outcome.before is not None:
                yield from self._asked(replace(line, words="sent again: it was answered before"), command)
            elif outcome.error is not None:
                error = outcome.error.kind, without_secrets(outcome.error.message)
                yield from self._asked(replace(line, error=error), command)
            else:
                yield from self._done(line, command, outcome.result, next(iter(done.steps), None))

    def _pipeline(self, line: Line, command: Pipeline, results: list[Any], steps: Iterator[Step]) -> Iterator[Line]:
        writes = 0
        for number, (each, result) in enumerate(zip(command.commands, results, strict=True), 1):
            if not isinstance(each, Command):
                continue
            writes += 1
            mine = replace(line, kind=each.method, within="pipeline", step=number)
            failed = isinstance(result, StepFailed)
            step = None if failed else next(steps, None)
            if step is not None:
                line = replace(line, revision=step.revision)
            if not self._wanted.wants_kind(mine.kind, mine.within):
                continue
            if failed:
                error = str(result.error["data"]["kind"]), without_secrets(str(result.error["message"]))
                yield from self._asked(replace(mine, error=error), each)
            else:
                yield from self._done(mine, each, result.result, step)
        if not writes and self._wanted.wants_kind(line.kind) and not self._wanted.about_content:
            yield replace(line, words="reads alone")

    def _asked(self, line: Line, command: Command) -> Iterator[Line]:
        """The line of a command that did nothing."""
        changes = as_asked(command, self._shown)
        if not self._wanted.about_content or any(map(self._wanted.wants_change, changes)):
            yield replace(line, changes=changes, words=line.words or _words(command, None), applied=False)

    def _done(self, line: Line, command: Command, result: Any, step: Step | None) -> Iterator[Line]:
        """The line of a command that went through."""
        if isinstance(result, SetDone) and not result.applied:
            yield from self._asked(replace(line, words="it was so already"), command)
        elif step is not None and step.wanted:
            words = _words(command, result)
            yield replace(line, changes=step.changes, words=words, revision=step.revision)


def _members(membership: Membership) -> str:
    """Who is in the cluster, and votes."""
    voters = [set(config) for config in membership.configs]
    texts = ["voters " + ", ".join(_node(node, membership) for node in sorted(config)) for config in voters]
    learners = sorted(node for node in membership.nodes if not any(node in config for config in voters))
    return " and ".join(texts) + (
        f"; learners {', '.join(_node(each, membership) for each in learners)}" * bool(learners)
    )


def _node(node: int, membership: Membership) -> str:
    member = membership.nodes.get(node)
    disk = f" (disk {generation_of(node) + 1})" if generation_of(node) else ""
    return f"{public_id(node)}{disk}{f' at {member.addr}' if member is not None else ''}"


def _words(command: Command, result: Any) -> str:
    """What there is to say of a command beside what it changed."""
    say = _SAY.get(type(command))
    if say is not None:
        return say(command)
    if isinstance(command, Bootstrap):
        if isinstance(result, Booted) and not result.applied:
            return "nothing: a schema file was loaded before"
        return f"schema file: {len(command.schemas):,} types, {_size(command):,} entities"
    if isinstance(command, Restore):
        if not isinstance(result, Restored):
            return f"a snapshot of {len(command.document.entities):,} entities"
        return ", ".join(f"{action}: {count:,}" for action, count in result.counts.items()) or "nothing changed"
    if isinstance(result, SchemaDone) and result.reset:
        return "reset " + ", ".join(f"{name} of {count:,}" for name, count in result.reset.items())
    return ""


_SAY: dict[type[Command], Callable[[Any], str]] = {
    CheckDigest: lambda command: f"entry {command.index} has the digest {command.digest}",
    OpenEpoch: lambda command: command.epoch,
    RaiseLevel: lambda command: f"feature level {command.level}",
    ReadmitDisk: lambda command: f"disk {command.incarnation}",
    RemoveDisk: lambda command: f"node {public_id(command.node)}, disk {command.incarnation}",
    RunStaged: lambda command: f"a command that came in {command.parts} parts",
    StagePart: lambda command: f"part {command.part + 1} of a long command, {len(command.text):,} characters",
}


def _size(command: Bootstrap) -> int:
    nodes, count = list(command.tree), 0
    while nodes:
        count += 1
        nodes.extend(nodes.pop().children)
    return count
