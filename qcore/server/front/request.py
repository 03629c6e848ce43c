"""Reads the head of one HTTP request, sans-I/O: its line and headers, whatever stands behind them.

The door answers every request, also one with a body, which the WebSocket library would not take; only handshakes are
given to the library.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request

__all__ = ["RequestReader", "Unreadable"]

_MAX_LINE = 8192
"""Bytes of a line; the library takes as many."""

_MAX_HEADERS = 128
_MAX_HEAD = 64 << 10

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([0-9])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_TOKEN_START = re.compile(rb"[\r\n!#$%&'*+.^_`|~0-9A-Za-z-]")


class Unreadable(Exception):
    """What came is no HTTP request to answer; `status` and `text` say why."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestReader:
    """Puts the head of a request together from the bytes of a connection; `rest` is what came behind it."""

    def __init__(self) -> None:
        self.rest = b""
        self._head = bytearray()
        self._line_checked = False

    @property
    def begun(self) -> bool:
        """Whether anything came yet; empty lines before a request do not count."""
        return bool(self._head)

    def feed(self, data: bytes) -> Request | None:
        """Take bytes; the request once its head is there.

        Raises:
            Unreadable: it is none.
        """
        seen = max(len(self._head) - 3, 0)
        self._head += data
        if not seen:
            del self._head[: len(self._head) - len(self._head.lstrip(b"\r\n"))]
        self._check_line()
        end = _HEAD_END.search(self._head, seen)
        if (len(self._head) if end is None else end.start()) > _MAX_HEAD:
            raise Unreadable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {_MAX_HEAD} bytes")
        if end is None:
            return None
        self.rest = bytes(self._head[end.end() :])
        return _request([line.removesuffix(b"\r") for line in bytes(self._head[: end.start()]).split(b"\n")])

    def ended(self) -> None:
        """Nothing more comes.

        Raises:
            Unreadable: a request was begun.
        """
        if self.begun:
            raise Unreadable(HTTPStatus.BAD_REQUEST, "the request ends within its head")

    def _check_line(self) -> None:
        """Refuse what cannot become a request as soon as that is known: its sender may wait for an answer."""
        if self._line_checked or not self._head:
            return
        end = self._head.find(b"\n")
        if not _TOKEN_START.match(self._head):
            raise Unreadable(HTTPStatus.BAD_REQUEST, "this is no HTTP; neither is TLS spoken here")
        if (len(self._head) if end < 0 else end) > _MAX_LINE:
            raise Unreadable(HTTPStatus.REQUEST_URI_TOO_LONG, f"a request line has at most {_MAX_LINE} bytes")
        if end >= 0:
            self._line_checked = True
            _split_line(bytes(self._head[:end]).removesuffix(b"\r"))


def _split_line(line: bytes) -> re.Match[bytes]:
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        shown = line[:80].decode("ascii", "backslashreplace")
        raise Unreadable(HTTPStatus.BAD_REQUEST, f"{shown!r} is no request line of HTTP/1.1")
    return found


def _request(lines: list[bytes]) -> Request:
    line = _split_line(lines[0])
    headers = _headers(lines[1:])
    method, protocol = line[1].decode(), "HTTP/1.0" if line[3] == b"0" else "HTTP/1.1"
    hosts = headers.get_all("Host")
    if len(hosts) > 1 or (not hosts and protocol == "HTTP/1.1"):
        raise Unreadable(HTTPStatus.BAD_REQUEST, f"a request has one Host header, {len(hosts)} given")
    target = line[2].decode()
    return Request(_origin_form(target) if method in ("GET", "HEAD") else target, headers, method, protocol)


def _headers(lines: list[bytes]) -> Headers:
    if len(lines) > _MAX_HEADERS:
        raise Unreadable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has at most {_MAX_HEADERS} headers")
    headers = Headers()
    for line in lines:
        if len(line) > _MAX_LINE:
            raise Unreadable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a header line has at most {_MAX_LINE} bytes")
        found = _HEADER.fullmatch(line)
        if found is None:
            shown = line[:80].decode("ascii", "backslashreplace")
            raise Unreadable(HTTPStatus.BAD_REQUEST, f"{shown!r} is no header line")
        headers[found[1].decode()] = found[2].decode("latin-1").rstrip(" \t")
    return headers


def _origin_form(target: str) -> str:
    """Path and query of a target, which may be a whole URL as proxies send it."""
    if target.startswith("/"):
        return target
    try:
        url = urlsplit(target)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https", "ws", "wss") or not url.netloc:
        raise Unreadable(HTTPStatus.BAD_REQUEST, f"a target is a path or a URL, {target[:80]!r} given")
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
