"""Reads JSON-RPC 2.0: from the text of a message to calls, or to the errors that answer what is none."""

from __future__ import annotations

import msgspec

from qcore.model.api import read_params
from qcore.model.errors import BadParams, InvalidRequest, ParseError, RequestError, TooLarge
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


class _OnlyId(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode


def is_batch(data: bytes) -> bool:
    """Whether a message is a batch array, as far as its first character says."""
    return data[:1] == b"[" or (data[:1].isspace() and data.lstrip(_BLANKS)[:1] == b"[")


def read_batch(data: bytes, max_batch: int) -> list[msgspec.Raw]:
    """The requests of a batch array, not read yet.

    Raises:
        ParseError, InvalidRequest: it is no JSON, or empty.
        TooLarge: it has more than `max_batch` requests.
    """
    try:
        items = _decode_batch(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise _unreadable(exc) from None
    if not items:
        raise InvalidRequest("an empty batch array holds no request")
    if len(items) > max_batch:
        raise TooLarge(f"a batch array has at most {max_batch} requests, {len(items)} given (max_batch)")
    return items


def read_call(sink: Sink, client: Client, data: bytes | msgspec.Raw, now: float, slot: int, limits: Limits) -> Call:
    """The call of a request that came at `now`; one that cannot be read is answered at once and comes back `done`."""
    try:
        envelope = _decode_envelope(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        call = Call(sink, _salvaged_id(data), "", None, now, slot)
        call.fail(_unreadable(exc))
        return call
    id = bytes(envelope.id) or None
    call = Call(sink, id, envelope.method, None, now, slot)
    problem = _problem(envelope, id)
    if problem is not None:
        call.id = _echoed(id)
        call.fail(problem)
        return call
    try:
        call.params = params = read_params(envelope.method, bytes(envelope.params), limits.max_pipeline)
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


def _problem(envelope: _Envelope, id: bytes | None) -> RequestError | None:
    if envelope.jsonrpc != "2.0":
        return InvalidRequest(f'a request says "jsonrpc": "2.0", {envelope.jsonrpc!r} given')
    if id is not None and not _is_id(id):
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


def _salvaged_id(data: bytes | msgspec.Raw) -> bytes:
    """The id of a request that cannot be read otherwise, null where there is none."""
    try:
        return _echoed(bytes(_decode_id(data).id))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return b"null"


def _unreadable(exc: Exception) -> RequestError:
    if isinstance(exc, RecursionError):
        return TooLarge("the message is nested too deeply")
    if isinstance(exc, msgspec.ValidationError):
        return InvalidRequest(f"a request is an object with a method: {exc}")
    return ParseError(f"the message is no JSON: {exc}")
