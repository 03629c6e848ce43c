"""Reads JSON-RPC 2.0: from the text of a message to calls, or to the errors that answer what is none."""

from __future__ import annotations

import re

import msgspec

from qcore.model.api import read_params
from qcore.model.errors import BadParams, InvalidRequest, ParseError, RequestError, TooLarge
from qcore.model.requests.json_limits import SIZED_JSON, check_array, check_request
from qcore.model.wire import COLON, lone_surrogate, repeated_member
from qcore.server.calls import Call, Sink
from qcore.server.client import Client
from qcore.server.front.service import Limits
from qcore.server.runtime import budgets

__all__ = ["is_batch", "read_batch", "read_call"]

_BLANKS = b" \t\r\n"


class _Envelope(msgspec.Struct):
    method: str
    jsonrpc: str = ""
    params: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()


class _Response(msgspec.Struct):
    """As much of an object as it takes to know that it is an answer, and whose."""

    id: msgspec.Raw = msgspec.Raw()
    jsonrpc: msgspec.Raw = msgspec.Raw()
    method: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_response = msgspec.json.Decoder(_Response).decode


def is_batch(data: bytes) -> bool:
    """Whether a message is a batch array, as far as its first character says."""
    return data[:1] == b"[" or (data[:1].isspace() and data.lstrip(_BLANKS)[:1] == b"[")


def read_batch(data: bytes, limits: Limits) -> list[msgspec.Raw]:
    """The requests of a batch array, not read yet.

    Raises:
        ParseError, InvalidRequest: it is no JSON, or empty.
        TooLarge: it has more than `max_batch` requests, or too much in all.
    """
    max_batch = limits.max_batch
    if len(data) > SIZED_JSON:
        check_array(data, max_batch, limits.max_list)
    try:
        items = _decode_batch(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        found = lone_surrogate(data)
        if found is None:
            raise _unreadable(exc) from None
        items = _items_as_sent(data, found[1], max_batch)
    if not items:
        raise InvalidRequest("an empty batch array holds no request")
    if len(items) > max_batch:
        raise TooLarge(f"a batch array has at most {max_batch} requests, {len(items)} given (max_batch)")
    return items


def _items_as_sent(data: bytes, readable: bytes, max_batch: int) -> list[msgspec.Raw]:
    """The requests of an array in which some cannot be read: each is answered, if they are not too many."""
    try:
        items = _decode_batch(readable)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise _unreadable(exc) from None
    if len(items) > max_batch:
        return items
    found, place = [], readable.index(b"[") + 1
    for item in items:
        text = bytes(item)
        place = readable.index(text, place)
        found.append(msgspec.Raw(data[place : place + len(text)]))
        place += len(text)
    return found


def read_call(sink: Sink, client: Client, data: bytes | msgspec.Raw, now: float, slot: int, limits: Limits) -> Call:
    """The call of a request that came at `now`; one that cannot be read is answered at once and comes back `done`."""
    try:
        envelope = _decode_envelope(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        return _unread_call(sink, bytes(data), exc, now, slot)
    id, params_text = bytes(envelope.id) or None, bytes(envelope.params)
    call = Call(sink, id, envelope.method, None, now, slot)
    try:
        if len(data) > SIZED_JSON:
            check_request(bytes(data), params_text)
        problem = _problem(envelope, id, params_text, data)
    except RequestError as exc:
        problem = exc
    if problem is not None:
        call.id = b"null" if problem.data.get("key") == "id" else _echoed(id)
        call.fail(problem)
        return call
    try:
        call.params = params = read_params(envelope.method, params_text, limits.max_pipeline, limits.max_list)
        call.deadline = now + _timeout(params.timeout, limits)
    except RequestError as exc:
        call.fail(exc)
        return call
    if call.spec is not None and call.spec.dry_run is not None and params.dry_run:
        call.route, call.writes = call.spec.dry_run, False
    call.size = len(data)
    call.client = client
    return call


def _timeout(asked: float | None, limits: Limits) -> float:
    if asked is None:
        return limits.request_timeout
    most = budgets.TIMEOUT_SECONDS
    if not 0 < asked <= most:
        raise BadParams(f"timeout is a number of seconds above 0 and up to {most:.0f}, {asked} given")
    return asked


def _problem(envelope: _Envelope, id: bytes | None, params: bytes, data: bytes | msgspec.Raw) -> RequestError | None:
    text = data if type(data) is bytes else bytes(data)
    # keys of ours, and colons in what was read of them: if the text has no more, no key stands twice
    known = 2 + (0 if id is None else 1 + id.count(COLON)) + (1 + params.count(COLON) if params else 0)
    if text.count(COLON) != known and (key := repeated_member(text)) is not None:
        return InvalidRequest(f"the key {key!r} stands twice in the request", key=key)
    if envelope.jsonrpc != "2.0":
        return InvalidRequest(f'a request says "jsonrpc": "2.0", {envelope.jsonrpc!r} given')
    if id is not None and not id.isdigit() and not _is_id(id):
        return InvalidRequest(f"an id is a string, a number or null, {id[:40].decode(errors='replace')} given")
    return None


def _is_id(id: bytes) -> bool:
    """Whether an id can be sent back: of the right kind, and text, which the decoder has not looked at."""
    if id[:1] not in b'"-0123456789n':
        return False
    if not id.isascii():
        try:
            id.decode()
        except UnicodeDecodeError:
            return False
    return True


def _echoed(id: bytes | None) -> bytes:
    """The id in the answer to what is no request, which is answered even if it has none."""
    return id if id and _is_id(id) else b"null"


def _unread_call(sink: Sink, data: bytes, exc: Exception, now: float, slot: int) -> Call:
    """The answer to what is no request; an answer of the client's own gets none, as nothing was asked of it."""
    half = lone_surrogate(data) if isinstance(exc, msgspec.DecodeError) else None
    try:
        found = _decode_response(data if half is None else half[1])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _Response()
    method = _method(found)
    call = Call(sink, _echoed(bytes(found.id)), method, None, now, slot)
    if half is not None:
        call.id = _echoed(_as_sent(bytes(found.id), data, half[1]))
        call.fail(ParseError(f"the message is no text: the escape {half[0]} is a lone surrogate, half of a pair"))
    else:
        if bytes(found.jsonrpc) == b'"2.0"' and (found.result or found.error) and not found.method:
            call.id = None
        call.fail(_unreadable(exc))
    return call


def _method(found: _Response) -> str:
    try:
        return msgspec.json.decode(found.method, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _as_sent(id: bytes, data: bytes, readable: bytes) -> bytes:
    """The id as it stood in a message of which some characters were changed to read it."""
    place = re.search(rb'"id"[ \t\r\n]*:[ \t\r\n]*(' + re.escape(id) + rb")", readable)
    return id if place is None else data[place.start(1) : place.end(1)]


def _unreadable(exc: Exception) -> RequestError:
    if isinstance(exc, RecursionError):
        return TooLarge("the message is nested too deeply")
    if isinstance(exc, msgspec.ValidationError):
        return InvalidRequest(f"a request is an object with a method: {exc}")
    return ParseError(f"the message is no JSON: {exc}")
