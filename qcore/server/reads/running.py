"""Runs a client's read and answers it: at once, or in slices where it is a work."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import GeneratorType
from typing import Any

from qcore.model.errors import Internal, RequestError, Timeout
from qcore.server.calls import Call
from qcore.server.reads.staleness import Stamp
from qcore.server.runtime import logs
from qcore.server.runtime.scheduler import Scheduler, Work

__all__ = ["run_read"]

log = logs.get("qcore.node")


def run_read(
    call: Call, scheduler: Scheduler, run: Callable[[Any], Any], given: Any, stamp: Stamp | None = None
) -> None:
    """Answer `call` with what `run(given)` returns, or with the error it raises.

    A work is run by the scheduler until it returns the result or the call's deadline has passed. The result is given to
    `stamp` before.
    """
    try:
        result = run(given)
    except RequestError as exc:
        call.fail(exc)
        return
    except Exception as exc:
        _failed(call, exc)
        return
    if type(result) is GeneratorType:
        scheduler.add(_LongRead(call, result, stamp).step)
    else:
        _give(call, result, stamp)


class _LongRead:
    """A read that is a work: its steps, until the deadline of its call."""

    def __init__(self, call: Call, work: Work[Any], stamp: Stamp | None) -> None:
        self._call = call
        self._stamp = stamp
        self._work = work

    def step(self) -> bool:
        call = self._call
        try:
            next(self._work)
        except StopIteration as done:
            _give(call, done.value, self._stamp)
            return False
        except RequestError as exc:
            call.fail(exc)
            return False
        except Exception as exc:
            _failed(call, exc)
            return False
        if time.monotonic() > call.deadline:
            call.fail(Timeout(f"{call.method} was not through by its deadline"))
            return False
        return True


def _give(call: Call, result: Any, stamp: Stamp | None) -> None:
    if stamp is not None:
        stamp(result)
    call.result(result)


def _failed(call: Call, exc: Exception) -> None:
    log.error("read_failed", message=f"{call.method} failed", exc_info=exc)
    call.fail(Internal(f"{call.method} failed: {exc!r}"))
