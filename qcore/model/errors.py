"""Every error qcore raises on purpose.

The tree::

    QcoreError                    kind        where it comes from
    ├── RequestError                          answers to a client; deterministic when raised in apply
    │   ├── NotFound              not_found   unknown type, field, entity or path
    │   ├── WrongKind             wrong_kind  Type$id of another type, Add on a Bool, a hop that is no reference
    │   ├── BadValue              bad_value   a value that does not fit its field
    │   ├── BadSchema             bad_schema  a schema that cannot be set
    │   ├── BadFilter             bad_filter  a CEL filter that cannot be compiled
    │   ├── Conflict              conflict    `expect` does not hold; carries the current value and revision
    │   ├── Stale                 stale       write time older than the stored one; carries the same
    │   ├── Cycle                 cycle       a move below itself, types that inherit each other
    │   ├── InUse                 in_use      type or label still used
    │   ├── TooLarge              too_large   over a limit of depth, length or size
    │   ├── SessionExpired        session_expired
    │   ├── Compacted             compacted   history no longer reaches back
    │   ├── Busy                  busy        too much is waiting already
    │   ├── Timeout               timeout     the request's deadline passed
    │   ├── NoQuorum              no_quorum
    │   ├── NotInitialized        not_initialized
    │   ├── DiskFull              disk_full
    │   ├── Unauthorized          unauthorized
    │   ├── Forbidden             forbidden
    │   ├── ParseError            parse_error
    │   ├── InvalidRequest        invalid_request
    │   ├── UnknownMethod         unknown_method
    │   ├── BadParams             bad_params
    │   └── Internal              internal    a defect of ours; the log has the traceback
    ├── ConnectionFailed          unreachable no server answered (client side only)
    └── Fatal                     fatal       ends the daemon with `exit_code`
        ├── ConfigError           (exit 2)    flags, settings or schema file
        ├── Damaged               (exit 65)   a file that fails its checks; names the file and the way out
        │   └── Newer             (exit 65)   a file that a newer version wrote
        ├── IdInUse               (exit 69)   another process has this node's id
        ├── Diverged              (exit 70)   the state is not what the log's digest check says
        ├── ExtensionMissing      (exit 71)   asked for a cluster without qcore_openraft
        ├── AlreadyRunning        (exit 73)   address or data directory in use
        ├── DiskFailed            (exit 74)   a write or fsync failed; never retried
        └── Removed               (exit 77)   the node was removed from its cluster
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "APPLY_KINDS",
    "AlreadyRunning",
    "BadFilter",
    "BadParams",
    "BadSchema",
    "BadValue",
    "Busy",
    "Compacted",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "Cycle",
    "Damaged",
    "DiskFailed",
    "DiskFull",
    "Diverged",
    "ExtensionMissing",
    "Fatal",
    "Forbidden",
    "IdInUse",
    "InUse",
    "Internal",
    "InvalidRequest",
    "Newer",
    "NoQuorum",
    "NotFound",
    "NotInitialized",
    "ParseError",
    "QcoreError",
    "Removed",
    "RequestError",
    "SessionExpired",
    "Stale",
    "Timeout",
    "TooLarge",
    "Unauthorized",
    "UnknownMethod",
    "WrongKind",
    "cut",
    "error_from_wire",
]

APPLY_KINDS = frozenset({"not_found", "wrong_kind", "bad_value", "bad_schema", "conflict", "stale", "cycle", "in_use"})
"""Kinds of errors with which apply refuses a write: a numbered one has the same answer whatever attempt it was."""

MAX_MESSAGE = 1000
"""Characters in the message of an answer: what clients send is quoted in it, and answers are kept in sessions."""


def cut(text: str) -> str:
    """The text, without its middle where it is longer than `MAX_MESSAGE`."""
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 205]} ... {text[-200:]}"


class QcoreError(Exception):
    """Root of all errors; `kind` is the stable word clients switch on."""

    kind: ClassVar[str] = "internal"

    def __init__(self, message: str, /, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class RequestError(QcoreError):
    """An answer to a client; `code` is JSON-RPC's number for it. A message over `MAX_MESSAGE` is cut in the middle."""

    code: ClassVar[int] = -32000

    def __init__(self, message: str, /, **data: Any) -> None:
        super().__init__(cut(message), **data)

    def wire(self) -> dict[str, Any]:
        """Return the JSON-RPC error object ``{"code", "message", "data": {"kind", ...}}``."""
        return {"code": self.code, "message": self.message, "data": {"kind": self.kind, **self.data}}


class NotFound(RequestError):
    kind = "not_found"


class WrongKind(RequestError):
    kind = "wrong_kind"


class BadValue(RequestError):
    kind = "bad_value"


class BadSchema(RequestError):
    kind = "bad_schema"


class BadFilter(RequestError):
    kind = "bad_filter"


class Conflict(RequestError):
    kind = "conflict"


class Stale(RequestError):
    kind = "stale"


class Cycle(RequestError):
    kind = "cycle"


class InUse(RequestError):
    kind = "in_use"


class TooLarge(RequestError):
    kind = "too_large"


class SessionExpired(RequestError):
    kind = "session_expired"


class Compacted(RequestError):
    kind = "compacted"


class Busy(RequestError):
    kind = "busy"


class Timeout(RequestError):
    kind = "timeout"


class NoQuorum(RequestError):
    kind = "no_quorum"


class NotInitialized(RequestError):
    kind = "not_initialized"


class DiskFull(RequestError):
    kind = "disk_full"


class Unauthorized(RequestError):
    kind = "unauthorized"


class Forbidden(RequestError):
    kind = "forbidden"


class ParseError(RequestError):
    kind = "parse_error"
    code = -32700


class InvalidRequest(RequestError):
    kind = "invalid_request"
    code = -32600


class UnknownMethod(RequestError):
    kind = "unknown_method"
    code = -32601


class BadParams(RequestError):
    kind = "bad_params"
    code = -32602


class Internal(RequestError):
    kind = "internal"
    code = -32603


class ConnectionFailed(QcoreError):
    kind = "unreachable"


class Fatal(QcoreError):
    """Ends the daemon; `exit_code` is what systemd sees, `logged` says that people have read of it already."""

    kind = "fatal"
    exit_code: ClassVar[int] = 1
    logged = False


class ConfigError(Fatal):
    exit_code = 2


class Damaged(Fatal):
    exit_code = 65


class Newer(Damaged):
    pass


class IdInUse(Fatal):
    exit_code = 69


class Diverged(Fatal):
    exit_code = 70


class ExtensionMissing(Fatal):
    exit_code = 71


class AlreadyRunning(Fatal):
    exit_code = 73


class DiskFailed(Fatal):
    exit_code = 74


class Removed(Fatal):
    exit_code = 77


_BY_KIND: dict[str, type[RequestError]] = {cls.kind: cls for cls in RequestError.__subclasses__()}


def error_from_wire(error: dict[str, Any]) -> RequestError:
    """Rebuild the error a server sent; an unknown kind becomes `Internal` with the message kept."""
    found = error.get("data")
    data = dict(found) if isinstance(found, dict) else {}
    kind = str(data.pop("kind", "internal"))
    return _BY_KIND.get(kind, Internal)(str(error.get("message", kind)), **data)
