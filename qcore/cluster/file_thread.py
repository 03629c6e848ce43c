"""One thread for slow work on files, in the order in which it was asked for; an end that waits only so long for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

__all__ = ["FileThread"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class FileThread(Executor):
    """An executor of one thread, which a disk that hangs does not keep from ending with the process."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """See `Executor`."""
        future: Future[_T] = Future()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        return future

    def stop(self, limit: float) -> bool:
        """End after what was asked for; whether that was possible within `limit` seconds."""
        self._work.put(None)
        self._thread.join(limit)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, function = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as exc:
                    future.set_exception(exc)
            del future, function, work
