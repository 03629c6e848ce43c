from __future__ import annotations

import pytest

from qcore.server.config.reload import changed, reloaded
from qcore.server.config.settings import Settings


def test_what_needs_a_restart_is_told_apart_from_what_is_taken_over() -> None:
    running = Settings(log_level="info", max_list=10, max_page=7)
    loaded = Settings(log_level="debug", max_list=11, max_page=7)
    assert changed(running, loaded) == (["log_level"], ["max_list"])
    after = reloaded(running, loaded)
    assert (after.log_level, after.max_list) == ("debug", 10)
    assert changed(after, loaded) == ([], ["max_list"]), "it is said again as long as it differs"


@pytest.mark.parametrize("name", ["log_level", "log_format"])
def test_the_log_follows_at_run_time(name: str) -> None:
    given = {"log_level": "error", "log_format": "json"}
    assert changed(Settings(), Settings(**{name: given[name]})) == ([name], [])  # type: ignore[arg-type]
