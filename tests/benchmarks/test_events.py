from __future__ import annotations

from collections.abc import Callable

from benchmarks.ears import Ears
from benchmarks.peers import SCHEMA
from benchmarks.wire import Api
from tests.process import NodeProcess


def test_the_ears_count_every_event_of_every_listener(node_factory: Callable[..., NodeProcess]) -> None:
    node = node_factory(name="ears")
    node.start()
    with Api(node.url) as api:
        api.call("schema.set", schema=SCHEMA)
        user = api.call("create", type="BenchUser", name="x", fields={"Age": 0})["id"]
        with Ears(node.address, listeners=7, connections=3) as ears:
            for value in range(5):
                api.call("set", id=user, field="Age", value=value)
            count = ears.count(35)
            assert (count.frames, count.lost) == (35, 0)
    assert node.stop() == 0
