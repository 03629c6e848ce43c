"""Digest checks in a running node: when they are proposed, and that the log read again is held against them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcore.model.leader_commands import CheckDigest
from qcore.server.runtime import budgets
from tests.server.running import Running, running, until


def checks(run: Running) -> list[int]:
    """The log indexes the checks in the log on disk are about."""
    entries = run.directory.log.read(0, 1_000_000)
    return [command.index for entry in entries for command in entry.body.commands if isinstance(command, CheckDigest)]


async def test_a_check_follows_a_change_and_none_follows_a_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "DIGEST_CHECK_SECONDS", 0.01)
    async with running(tmp_path) as run:
        client = run.client()
        await client.result("session.open")
        await until(lambda: len(run.state.checks.last) == 1)
        answer = await client.result("digest")
        assert [(each["revision"], each["digest"]) for each in answer["checks"]] == [(0, run.state.digest())]
        index = run.state.applied
        await client.result("session.open")
        await until(lambda: len(run.state.checks.last) == 2)
        assert run.state.applied == index + 2
        assert len(checks(run)) == 2


async def test_checks_come_after_so_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DIGEST_CHECK_ENTRIES", 5)
    async with running(tmp_path) as run:
        client = run.client()
        for _ in range(20):
            await client.result("session.open")
        await until(lambda: len(run.state.checks.last) >= 3)
        assert len(checks(run)) <= 4


async def test_a_log_with_checks_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "DIGEST_CHECK_ENTRIES", 3)
    async with running(tmp_path) as run:
        client = run.client()
        for _ in range(10):
            await client.result("session.open")
        await until(lambda: len(run.state.checks.last) >= 2)
    async with running(tmp_path) as again:
        assert list(again.state.checks.last)[:2] == list(run.state.checks.last)[:2]
        assert all(check.rest is not None for check in again.state.checks.last)
