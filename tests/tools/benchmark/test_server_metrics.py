from __future__ import annotations

import http.server
import threading

import pytest

from qcore_tools.benchmark.server_metrics import ServerMetrics, read_metrics, scrape

TEXT = """
# HELP qcore_requests_total Requests answered.
# TYPE qcore_requests_total counter
qcore_requests_total{method="get",outcome="ok"} 90.0
qcore_requests_total{method="get",outcome="busy"} 5.0
qcore_requests_total{method="set",outcome="ok"} 10.0
# HELP qcore_request_duration_seconds Time.
# TYPE qcore_request_duration_seconds histogram
qcore_request_duration_seconds_bucket{le="0.001",method="get"} 60.0
qcore_request_duration_seconds_bucket{le="0.01",method="get"} 90.0
qcore_request_duration_seconds_bucket{le="+Inf",method="get"} 95.0
qcore_request_duration_seconds_count{method="get"} 95.0
qcore_request_duration_seconds_sum{method="get"} 1.9
qcore_request_duration_seconds_bucket{le="0.001",method="set"} 0.0
qcore_request_duration_seconds_bucket{le="0.01",method="set"} 10.0
qcore_request_duration_seconds_bucket{le="+Inf",method="set"} 10.0
qcore_request_duration_seconds_count{method="set"} 10.0
qcore_request_duration_seconds_sum{method="set"} 0.05
"""


def test_good_answers_are_counted_and_the_times_of_all() -> None:
    both = read_metrics(TEXT, {"get", "set"})
    assert both == ServerMetrics(100, 1.95, {0.001: 60, 0.01: 100, float("inf"): 105})
    assert read_metrics(TEXT, {"find"}) == ServerMetrics()


def test_quantiles_lie_between_the_bounds_as_prometheus_has_them() -> None:
    found = read_metrics(TEXT, {"get"})
    assert found.avg == pytest.approx(0.02)
    assert found.quantile(0.5) == pytest.approx(0.001 * 47.5 / 60)
    assert found.quantile(0.9) == pytest.approx(0.001 + 0.009 * 25.5 / 30)
    assert found.quantile(0.99) == 0.01
    assert (ServerMetrics().avg, ServerMetrics().quantile(0.5)) == (None, None)


def test_what_came_meanwhile_is_the_difference_unless_the_server_began_anew() -> None:
    found = read_metrics(TEXT, {"get"})
    assert found.since(ServerMetrics()) == found
    assert found.since(found) == ServerMetrics(0, 0.0, {0.001: 0, 0.01: 0, float("inf"): 0})
    assert ServerMetrics().since(found) is None
    assert found.plus(ServerMetrics(1, 1.0, {0.001: 1})).counts[0.001] == 61


class _Odd(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("answer", [(404, b"nothing"), (200, b"<html>"), (200, b"\xff")])
async def test_a_server_that_has_no_metrics_tells_nothing(answer: tuple[int, bytes]) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Odd) as server:
        server.answer = answer  # type: ignore[attr-defined]
        url = f"ws://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert await scrape(url, ["get"]) is None
        finally:
            server.shutdown()
            thread.join()
    assert await scrape(url, ["get"]) is None
