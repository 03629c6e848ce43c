"""What waits to be sent on one connection: bounded, and what nobody waits for any more can still be taken out."""

from __future__ import annotations

from collections import deque

from qcore.cluster.connections.messages import Message, Request, size

__all__ = ["SendQueue"]


class SendQueue:
    """Requests in their order, and before them what is small: answers, cancels, signs of life.

    Requests are bounded by `max_bytes`. Answers are not: they are bounded by what was asked.
    """

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        """Bytes of the requests that wait."""
        self._max_bytes = max_bytes
        self._first: deque[Message] = deque()
        self._requests: dict[int, Request] = {}

    def __bool__(self) -> bool:
        return bool(self._first or self._requests)

    def put(self, message: Message) -> None:
        """Queue what is no request."""
        self._first.append(message)

    def put_request(self, request: Request) -> bool:
        """Queue a request behind the others; False if there is no room. Alone, one of any size has room."""
        more = size(request)
        if self._requests and self.size + more > self._max_bytes:
            return False
        self._requests[request.id] = request
        self.size += more
        return True

    def withdraw(self, id: int) -> bool:
        """Take a request out that is not wanted any more; False if it has left already."""
        request = self._requests.pop(id, None)
        if request is None:
            return False
        self.size -= size(request)
        return True

    def withdraw_all(self) -> list[Request]:
        """Take all requests out; the other messages are dropped."""
        requests = list(self._requests.values())
        self._requests.clear()
        self._first.clear()
        self.size = 0
        return requests

    def take(self, max_bytes: int) -> list[Message]:
        """Take out what goes into the next frame: at least one message, if any waits, and about `max_bytes`."""
        taken: list[Message] = []
        left = max_bytes
        while self._first and (not taken or size(self._first[0]) <= left):
            taken.append(self._first.popleft())
            left -= size(taken[-1])
        while not self._first and self._requests:
            request = next(iter(self._requests.values()))
            if taken and size(request) > left:
                break
            taken.append(request)
            left -= size(request)
            self.withdraw(request.id)
        return taken
