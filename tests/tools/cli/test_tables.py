"""Tables for people, and the same lists for programs."""

from __future__ import annotations

from typing import Any

from qcore_tools.cli.tables import CLIENTS, SLOW_LOG
from qcore_tools.cli.views import render


def client(**changed: Any) -> dict[str, Any]:
    facts = {"name": "ann", "address": "127.0.0.1:50122", "since": "2026-11-28T03:01:13Z"}
    return facts | {"subscriptions": 2, "queue": 0, "requests": 48} | changed


def slow(**changed: Any) -> dict[str, Any]:
    facts = {"time": "2026-11-28T03:10:03Z", "method": "set", "seconds": 0.4125, "waited": 0.4, "carried_out": 0.0125}
    return facts | {"client": "", "address": "h:1", "size": 80, "params": '{"id":1}', "error": "timeout"} | changed


def test_clients_are_a_table_with_aligned_columns() -> None:
    result = {"items": [client(), client(name="", requests=1)]}
    assert render(CLIENTS, result, {}, "human").splitlines() == [
        "NAME  ADDRESS          SINCE                 SUBSCRIPTIONS  QUEUE  REQUESTS",
        "ann   127.0.0.1:50122  2026-11-28T03:01:13Z  2              0      48",
        "-     127.0.0.1:50122  2026-11-28T03:01:13Z  2              0      1",
    ]
    assert render(CLIENTS, result, {}, "raw") == "127.0.0.1:50122\n127.0.0.1:50122\n"
    assert render(CLIENTS, result, {}, "csv").splitlines()[:2] == [
        "name,address,since,subscriptions,queue,requests",
        "ann,127.0.0.1:50122,2026-11-28T03:01:13Z,2,0,48",
    ]


def test_slow_requests_have_milliseconds_for_people_and_seconds_for_programs() -> None:
    result = {"items": [slow()], "total": 1, "threshold": 0.3}
    header, row = render(SLOW_LOG, result, {}, "human").splitlines()
    assert header.split("  ")[0].strip() == "TIME"
    assert row.split() == ["2026-11-28T03:10:03Z", "set", "412", "ms", "400", "ms", "12", "ms", "-", "h:1", "80",
                           "timeout", '{"id":1}']  # fmt: skip
    line = render(SLOW_LOG, result, {}, "csv").splitlines()[1]
    assert line == '2026-11-28T03:10:03Z,set,0.4125,0.4,0.0125,,h:1,80,timeout,"{""id"":1}"'


def test_an_empty_list_says_so_to_people_alone() -> None:
    nothing = {"items": [], "total": 0, "threshold": 0.3}
    assert render(SLOW_LOG, nothing, {}, "human") == "No request took longer than 300 ms\n"
    assert render(SLOW_LOG, nothing, {}, "raw") == ""
    assert render(CLIENTS, nothing, {}, "human") == "No client is connected\n"


def test_what_a_terminal_would_obey_is_escaped_and_columns_stay_aligned() -> None:
    lines = render(CLIENTS, {"items": [client(name="a\x1b[2J"), client()]}, {}, "human").splitlines()
    assert lines[1].startswith("a\\u001b[2J  127")
    assert len({line.index("127.0.0.1") for line in lines[1:]}) == 1
    assert "\x1b" not in "".join(lines)
