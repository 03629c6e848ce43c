"""What a filter costs: nanoseconds for each entity, hit and miss, beside cel-python's own two runners."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import celpy
import click
from celpy.celparser import CELParser

from qcore.model.entry import FEATURE_LEVEL, Entry, EntryBody, LogId
from qcore.model.requests.commands import Create, SchemaSet
from qcore.model.schema import EntitySchema, FieldSchema
from qcore.model.values import Kind
from qcore.store.apply import apply_entry
from qcore.store.search.filter import bind, parse
from qcore.store.state.entity import Entity
from qcore.store.state.state import State

__all__ = ["main"]

TYPES = [
    EntitySchema("Team", [], []),
    EntitySchema(
        "Person",
        [],
        [
            FieldSchema("Age", Kind.Int),
            FieldSchema("Email", Kind.String),
            FieldSchema("Height", Kind.Float),
            FieldSchema("IsActive", Kind.Bool),
            FieldSchema("Level", Kind.Choice, choices=["low", "middle", "high"]),
            FieldSchema("Since", Kind.Timestamp),
            FieldSchema("Team", Kind.EntityReference),
        ],
    ),
]

FILTERS = [
    ("one term, hit", "Age >= 0"),
    ("one term, miss", "Age < 0"),
    ("two terms, hit", "Age >= 0 && Email != 'nobody'"),
    ("two terms, first misses", "Age < 0 && Email != 'nobody'"),
    ("two terms, second misses", "Age >= 0 && Email == 'nobody'"),
    ("choice and bool", "Level == 'middle' && IsActive"),
    ("one of four strings", "Email in ['a', 'b', 'c', 'd']"),
    ("time", "Since > timestamp('2020-01-01T00:00:00Z')"),
    ("through a reference", "Team->Name == 'Team 3'"),
    ("text", "Email.endsWith('@example.org')"),
    ("regular expression", "Email.matches('^p[0-9]+@')"),
    ("arithmetic", "Age * 2 + 1 > 100"),
    ("macro of four turns", "[1, 2, 3, 4].exists(n, n == Age)"),
]
BESIDE = {"Age >= 0", "Age < 0", "Age >= 0 && Email != 'nobody'", "Age < 0 && Email != 'nobody'"}


def populate(count: int) -> tuple[State, list[Entity]]:
    """A state with ten teams and `count` persons."""
    state = State()
    commands: list[Any] = [SchemaSet(schemas=TYPES)]
    commands += [Create("Team", f"Team {number}", 1) for number in range(10)]
    for number in range(count):
        fields = {
            "Age": number % 90,
            "Email": f"p{number}@example.org",
            "Height": 1.5 + number % 50 / 100,
            "IsActive": number % 2 == 0,
            "Level": number % 3,
            "Since": 1_600_000_000_000_000_000 + number * 10**12,
            "Team": 2 + number % 10,
        }
        commands.append(Create("Person", f"Person {number}", 1, fields))
    entry = Entry(LogId(1, 65_536, 0), EntryBody(FEATURE_LEVEL, 1, "commands", commands))
    for outcome in apply_entry(state, entry):
        if outcome.error is not None:
            raise outcome.error
    return state, [state.entities[id] for id in state.ids("Person")]


def best_ns(run: Callable[[], object], entities: int, repeats: int) -> float:
    """Nanoseconds for each entity, of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - start)
    return min(times) / entities


def measure(text: str, state: State, entities: list[Entity], repeats: int) -> tuple[float, int]:
    """Nanoseconds for each entity and how many match."""
    bound = bind(parse(text), [state.types.of("Person")])
    hits = 0

    def scan() -> None:
        nonlocal hits
        matches = bound.matches
        hits = sum(matches(state, entity) for entity in entities)

    return best_ns(scan, len(entities), repeats), hits


def peer_ns(text: str, runner: Any, entities: list[Entity], repeats: int) -> float:
    """Nanoseconds for each entity of one of cel-python's runners."""
    CELParser.CEL_PARSER = None  # its parser is one for the process and keeps the tree class of its first use
    environment = celpy.Environment(runner_class=runner)
    program = environment.program(environment.compile(text))

    def scan() -> None:
        for entity in entities:
            age, email = entity.values[3], entity.values[4]
            program.evaluate({"Age": celpy.celtypes.IntType(age), "Email": celpy.celtypes.StringType(email)})

    ns = best_ns(scan, len(entities), repeats)
    CELParser.CEL_PARSER = None
    return ns


@click.command()
@click.option("--entities", "count", default=20_000, show_default=True, help="Entities asked by each filter.")
@click.option("--repeats", default=5, show_default=True, help="Runs of each, the fastest counts.")
def main(count: int, repeats: int) -> None:
    """Print nanoseconds for each entity of several filters."""
    state, entities = populate(count)
    few = entities[: max(1, count // 100)]
    print(f"{'filter':27}{'ns/entity':>10}{'matches':>9}   beside, ns/entity: interpreted, compiled")
    for name, text in FILTERS:
        ns, hits = measure(text, state, entities, repeats)
        line = f"{name:27}{ns:10.0f}{hits:9}"
        if text in BESIDE:
            peers = [peer_ns(text, runner, few, 2) for runner in (celpy.InterpretedRunner, celpy.CompiledRunner)]
            line += "   " + ", ".join(f"{peer:,.0f} ({peer / ns:,.0f}x)" for peer in peers)
        print(line)


if __name__ == "__main__":
    main()
