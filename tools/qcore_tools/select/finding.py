"""Finds entities page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qcore.client import Item, Store

__all__ = ["Findings", "Question", "failure_of", "find"]

PAGE = 1000


@dataclass(frozen=True)
class Question:
    """What is looked for; `order_by` are fields such as ``Age:desc``, `limit` is of all pages together."""

    type: str
    filter: str | None
    exact: bool
    limit: int | None
    fields: Sequence[str]
    order_by: Sequence[str]


@dataclass
class Findings:
    """What there was to tell beside the entities: how many came on how many pages, and what had no answer.

    `unanswered` counts the entities that the filter had no answer for; `failed` has, by field, the first error of those
    who have no such value, and how many they are.
    """

    entities: int = 0
    pages: int = 0
    unanswered: int = 0
    error: str | None = None
    failed: dict[str, tuple[str, int]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What people should know beside the result."""
        lines = [
            f"{path}: {message} ({count:,} of {self.entities:,} entities)"
            for path, (message, count) in self.failed.items()
        ]
        if self.unanswered:
            lines.append(f"the filter has no answer for {self.unanswered} of the entities; {self.error}")
        return lines


async def find(store: Store, question: Question, findings: Findings) -> AsyncIterator[Sequence[Item]]:
    """The pages of what is found, noted in `findings`."""
    cursor: str | None = None
    left = question.limit
    while left is None or left > 0:
        page = await store.find(
            question.type,
            question.filter,
            exact=question.exact,
            limit=PAGE if left is None else min(PAGE, left),
            cursor=cursor,
            fields=question.fields or None,
            order_by=question.order_by or None,
        )
        _note(findings, page.items, page.errors, page.error)
        yield page.items
        left = None if left is None else left - len(page.items)
        cursor = page.cursor
        if cursor is None:
            return


def _note(findings: Findings, items: Sequence[Item], errors: int, error: str | None) -> None:
    findings.pages += 1
    findings.entities += len(items)
    findings.unanswered += errors
    findings.error = findings.error or error
    for item in items:
        for path, value in item.fields.items():
            if (failure := failure_of(value)) is not None:
                message, count = findings.failed.get(path, (failure["message"], 0))
                findings.failed[path] = message, count + 1


def failure_of(value: Any) -> dict[str, Any] | None:
    """The error that stands in place of a value, if one does."""
    return value["error"] if isinstance(value, dict) and "error" in value else None
